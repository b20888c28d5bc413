"""Count what explains the table of functions: python benchmarks/reasons.py [--seeds N].

Trains again what did not find the truth, and with one thing changed: more epochs, other initial weights, no noise.
Writes benchmarks/results/reasons.{csv,md}.
"""

import argparse
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from attention.functions import ATTENTION_FUNCTIONS
from attention.inference.attention import attention_of
from attention.measures.recovery import recovery
from attention.params import load_params
from attention.studies.trainings import Training, draw
from attention.training.loop import train
from attention.weights import Weights
from functions import GOOD, follow
from functions import Training as Followed
from report import write_report

Mask = NDArray[np.bool_]
Counted = Iterator[tuple[str, str, str]]  # function, what was counted, how many
SATURATED = 1e-3  # attention at the true position below which its gradient is as good as none


def main() -> None:
    """Count for every function that misses the truth in some context."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=400)
    seeds = range(parser.parse_args().seeds)
    rows = []
    for reason in (
        varies,
        against_the_sign,
        outside_the_support,
        slow,
        far_from_the_centre,
        outside_the_window,
        without_noise,
    ):
        for function, what, count in reason(seeds):
            print(f"{function}: {what}: {count}", flush=True)
            rows.append({"function": function, "what": what, "how many": count})
        write_report("reasons", rows, f"Contexts in which the truth is found, and why not: {len(seeds)} seeds")


def varies(seeds: Sequence[int]) -> Counted:
    """How much seeds differ: the article's training error after its second epoch."""
    params = load_params()
    errors = []
    for seed in seeds:
        initial, examples, _, _ = draw(Training(params, seed))
        errors.append([epoch.loss for epoch in train(initial, examples, params.train, seed)][1])
    low, least, most, high = np.quantile(errors, [0.05, 0, 1, 0.95], method="inverted_cdf")
    yield "embedding", "training error after the second epoch, the largest to the smallest", f"{most / least:.0f}"
    yield "embedding", "the same without the lowest and the highest 5 % of the seeds", f"{high / low:.0f}"


def against_the_sign(seeds: Sequence[int]) -> Counted:
    """Where the output weight of the true position starts below zero, and what happens where none does."""
    for function in ("softmax", "dot", "scaled_dot", "bilinear", "additive"):
        trainings = trained(function, seeds)
        missed, negative = ~found(trainings), starts_negative(trainings)
        yield function, "missed ones whose output weight starts below zero", part(negative, missed)
        if function == "dot":
            little = at_truth(trainings, lambda training: attention_of(training.before)) < SATURATED
            yield function, f"missed ones whose attention starts below {SATURATED:g}", part(little, missed)
        unsigned_ones = trained(function, seeds, change=unsigned)
        yield (
            function,
            "missed ones, all output weights made positive",
            part(~found(unsigned_ones), every(unsigned_ones)),
        )


def outside_the_support(seeds: Sequence[int]) -> Counted:
    """Where a sparse function starts with no attention to the true position."""
    for function in ("sparsemax", "entmax15"):
        trainings = trained(function, seeds)
        nothing = at_truth(trainings, lambda training: attention_of(training.before)) == 0
        yield function, "found, of those whose true position starts without attention", part(found(trainings), nothing)
        longer = found(trained(function, seeds, times=3))
        yield function, "the same in three times the epochs", part(longer, nothing)
        yield function, "found, of those whose true position starts with some", part(found(trainings), ~nothing)
        missed = ~found(trainings) & ~nothing
        yield (
            function,
            "of the others of these, the output weight starts below zero",
            part(starts_negative(trainings), missed),
        )


def slow(seeds: Sequence[int]) -> Counted:
    """What sigmoid still pays to other positions, and how it goes on."""
    trainings = trained("sigmoid", seeds)
    left = [
        attention_of(training.after)[context, position]
        for training in trainings
        for context, own in enumerate(training.truth)
        for position in training.truth
        if position != own
    ]
    yield "sigmoid", "attention left at positions of other contexts, median", f"{np.median(left):.2f}"
    longer = trained("sigmoid", seeds, times=2)
    late = [error(training) >= GOOD for training in longer]
    number = sum(late)
    yield "sigmoid", f"seeds whose error is {GOOD:g} or more after twice the epochs", f"{number} of {len(longer)}"
    negative: Mask = np.any(starts_negative(longer).reshape(len(longer), -1), axis=1)
    yield "sigmoid", "of these, an output weight of a true position starts below zero", part(negative, np.array(late))


def far_from_the_centre(seeds: Sequence[int]) -> Counted:
    """How far from its initial centre gaussian finds the true position."""
    trainings = trained("gaussian", seeds)
    distance = np.concatenate([np.abs(t.before.arrays["attention.centre"] - t.truth) for t in trainings])
    yield "gaussian", "found, of those that start less than 2 positions away", part(found(trainings), distance < 2)
    yield "gaussian", "found, of those that start 4 positions away or more", part(found(trainings), distance >= 4)


def outside_the_window(seeds: Sequence[int]) -> Counted:
    """Whether local still sees the true position."""
    trainings = trained("local", seeds)
    missed = ~found(trainings)
    unseen = at_truth(trainings, lambda training: attention_of(training.after)) == 0
    yield "local", "missed ones that end with the true position outside the window", part(unseen, missed)
    starts = np.concatenate([centres(training.before) for training in trainings])
    yield "local", "first and last of the initial centres", f"{starts.min():.1f} and {starts.max():.1f}"


def without_noise(seeds: Sequence[int]) -> Counted:
    """What becomes of hard when it is always the largest score that is chosen."""
    ATTENTION_FUNCTIONS["hard, no noise"] = replace(ATTENTION_FUNCTIONS["hard"], noisy=False)
    for function in ("hard", "hard, no noise"):
        trainings = trained(function, seeds)
        yield function, "missed ones", part(~found(trainings), every(trainings))


def trained(
    function: str, seeds: Sequence[int], times: int = 1, change: Callable[[Weights], Weights] = lambda same: same
) -> list[Followed]:
    """Train as the pipeline does, and look at the test error after every epoch."""
    return follow(function, seeds, times, change, every=load_params().data.n_train)


def error(training: Followed) -> float:
    """Return the test error after the last epoch."""
    return training.errors[-1]


def every(trainings: Sequence[Followed]) -> Mask:
    """Return all contexts of all trainings."""
    return np.ones(len(found(trainings)), bool)


def starts_negative(trainings: Sequence[Followed]) -> Mask:
    """Tell of every context whether the output weight of its true position starts below zero."""
    negative: Mask = at_truth(trainings, lambda training: np.broadcast_to(*slopes(training.before))) < 0
    return negative


def found(trainings: Sequence[Followed]) -> Mask:
    """Tell of every context of every training whether the largest attention is on the true position."""
    return np.concatenate([recovery(attention_of(t.after), t.after.output, t.truth).accuracy == 1 for t in trainings])


def at_truth(trainings: Sequence[Followed], of: Callable[[Followed], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Return a matrix's numbers (n_contexts, seq_len) at the true position of every context of every training."""
    return np.concatenate([of(training)[np.arange(len(training.truth)), training.truth] for training in trainings])


def slopes(weights: Weights) -> tuple[NDArray[np.float32], tuple[int, int]]:
    """Return the output weights, and the shape in which every context has them."""
    return weights.arrays["linear.weight"], (weights.n_contexts, weights.seq_len)


def unsigned(weights: Weights) -> Weights:
    """Return the weights with no output weight below zero."""
    return weights.with_arrays(weights.arrays | {"linear.weight": np.abs(weights.arrays["linear.weight"])})


def centres(weights: Weights) -> NDArray[np.float32]:
    """Return where the windows of local lie, in positions from 0, by the equation in its docstring."""
    query, matrix, vector = (torch.from_numpy(weights.arrays[f"attention.{name}"]) for name in ("query", "W_p", "v_p"))
    centre = weights.seq_len * ((query @ matrix.T).tanh() @ vector).sigmoid() - 1
    return np.asarray(centre.numpy())


def part(those: Mask, of: Mask) -> str:
    """Count those that hold among others."""
    return f"{int((those & of).sum())} of {int(of.sum())}"


if __name__ == "__main__":
    main()
