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
from attention.measures.recovery import recovery
from attention.training.engines import attention_of
from attention.weights import Weights
from functions import Training, follow
from report import write_report

Mask = NDArray[np.bool_]
Counted = Iterator[tuple[str, str, str]]  # function, what was counted, how many


def main() -> None:
    """Count for every function that misses the truth in some context."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=32)
    seeds = range(parser.parse_args().seeds)
    rows = []
    for reason in (outside_the_support, far_from_the_centre, outside_the_window, against_the_sign, without_noise, slow):
        for function, what, count in reason(seeds):
            print(f"{function}: {what}: {count}", flush=True)
            rows.append({"function": function, "what": what, "how many": count})
    write_report("reasons", rows, f"Contexts in which the truth is found, and why not: {len(seeds)} seeds")


def outside_the_support(seeds: Sequence[int]) -> Counted:
    """Where a sparse function starts with no attention to the true position."""
    for function in ("sparsemax", "entmax15"):
        trainings = follow(function, seeds)
        nothing = at_truth(trainings, lambda training: attention_of(training.before)) == 0
        yield function, "found, of those whose true position starts without attention", part(found(trainings), nothing)
        longer = found(follow(function, seeds, times=3))
        yield function, "the same in three times the epochs", part(longer, nothing)
        yield function, "found, of those whose true position starts with some", part(found(trainings), ~nothing)


def far_from_the_centre(seeds: Sequence[int]) -> Counted:
    """How far from its initial centre gaussian finds the true position."""
    trainings = follow("gaussian", seeds)
    distance = np.concatenate([np.abs(t.before.arrays["attention.centre"] - t.truth) for t in trainings])
    yield "gaussian", "found, of those that start less than 2 positions away", part(found(trainings), distance < 2)
    yield "gaussian", "found, of those that start 4 positions away or more", part(found(trainings), distance >= 4)


def outside_the_window(seeds: Sequence[int]) -> Counted:
    """Whether local still sees the true position."""
    trainings = follow("local", seeds)
    missed = ~found(trainings)
    unseen = at_truth(trainings, lambda training: attention_of(training.after)) == 0
    yield "local", "missed ones that end with the true position outside the window", part(unseen, missed)
    starts = np.concatenate([centres(training.before) for training in trainings])
    yield "local", "first and last of the initial centres", f"{starts.min():.1f} and {starts.max():.1f}"


def against_the_sign(seeds: Sequence[int]) -> Counted:
    """Where the output weight of the true position starts below zero, and what happens where none does."""
    for function in ("softmax", "dot", "additive"):
        trainings = follow(function, seeds)
        negative = at_truth(trainings, lambda training: np.broadcast_to(*slopes(training.before))) < 0
        yield function, "missed ones whose output weight starts below zero", part(negative, ~found(trainings))
        yield function, "settled seeds, from weights without sign", settled(follow(function, seeds, change=unsigned))


def without_noise(seeds: Sequence[int]) -> Counted:
    """What becomes of hard when it is always the largest score that is chosen."""
    ATTENTION_FUNCTIONS["hard, no noise"] = replace(ATTENTION_FUNCTIONS["hard"], noisy=False)
    trainings = follow("hard, no noise", seeds)
    every = np.ones(len(found(trainings)), bool)
    yield "hard", "found without noise", part(found(trainings), every)
    yield "hard", "settled seeds without noise", settled(trainings)


def slow(seeds: Sequence[int]) -> Counted:
    """What sigmoid still pays to other positions, and how it goes on."""
    left = [
        attention_of(training.after)[context, position]
        for training in follow("sigmoid", seeds)
        for context, own in enumerate(training.truth)
        for position in training.truth
        if position != own
    ]
    yield "sigmoid", "attention left at positions of other contexts, median", f"{np.median(left):.2f}"
    yield "sigmoid", "settled seeds in twice the epochs", settled(follow("sigmoid", seeds, times=2))


def found(trainings: Sequence[Training]) -> Mask:
    """Tell of every context of every training whether the largest attention is on the true position."""
    return np.concatenate([recovery(attention_of(t.after), t.after.output, t.truth).accuracy == 1 for t in trainings])


def at_truth(trainings: Sequence[Training], of: Callable[[Training], NDArray[np.float32]]) -> NDArray[np.float32]:
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


def settled(trainings: Sequence[Training]) -> str:
    """Count the trainings whose error stays good."""
    return f"{sum(training.settled is not None for training in trainings)} of {len(trainings)}"


if __name__ == "__main__":
    main()
