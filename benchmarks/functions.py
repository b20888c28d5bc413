"""Compare the attention functions on the article's data: python benchmarks/functions.py [--seeds N] [--functions A B].

A line a training goes to benchmarks/results/functions.csv as soon as it is done, and is not computed again: a run that
was interrupted goes on. benchmarks/results/functions.md sums them up, with what a function costs.
"""

import argparse
import csv
import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from attention.functions import ATTENTION_FUNCTIONS
from attention.inference.attention import attention_of
from attention.measures.recovery import found, recovery
from attention.params import load_params
from attention.params.schema import TrainParams
from attention.studies.statistics import share_interval
from attention.tasks.entry import Positions
from attention.tasks.problem import Examples, draw_examples
from attention.training.engines import start_engine
from attention.weights import Weights, draw_weights
from report import RESULTS, write_markdown

TABLE = RESULTS / "functions.csv"
COLUMNS = ("function", "seed", "mse", "normalized", "effective", "accuracy", "found", "steps")
EVERY = 200  # steps between two looks at the test error
GOOD = 1e-3  # the error is down to this …
SUMMARY = (
    f"Test error, recovery and steps until the test error stays under {GOOD:g}: median (5 % to 95 % of the seeds). "
    "How many trainings found the truth, and the 90 % interval of their share. The time of a step is a multiple of "
    "embedding's, by benchmarks/results/compiled.csv"
)
Row = dict[str, str]


def main() -> None:
    """Train what is missing, two at a time, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--functions", nargs="*", default=list(ATTENTION_FUNCTIONS), choices=list(ATTENTION_FUNCTIONS))
    asked = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    done = list(read())
    known = {(row["function"], int(row["seed"])) for row in done}
    asked_for = itertools.product(range(asked.seeds), asked.functions)  # so that all have the same seeds, at any time
    jobs = [(function, [seed]) for seed, function in asked_for if (function, seed) not in known]
    with ProcessPoolExecutor(2) as pool, TABLE.open("a", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if not done:
            table.writeheader()
        ending = as_completed([pool.submit(train, *job) for job in jobs])
        for future in tqdm(ending, total=len(jobs), unit=" jobs", disable=None):
            rows = future.result()
            done.extend(rows)
            table.writerows(rows)
            file.flush()
    order = list(ATTENTION_FUNCTIONS)
    done.sort(key=lambda row: (order.index(row["function"]), int(row["seed"])))
    with TABLE.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(done)
    every = {name: own for name in order if (own := [row for row in done if row["function"] == name])}
    write_markdown("functions", [summarise(name, own) for name, own in every.items()], SUMMARY)


def read() -> Iterator[Row]:
    """Yield the trainings that the table has already."""
    if TABLE.exists():
        with TABLE.open(newline="") as file:
            yield from csv.DictReader(file)


class Training(NamedTuple):
    """One member: its truth, its weights before and after, and the test error of every look on the way."""

    seed: int
    truth: Positions
    before: Weights
    after: Weights
    errors: tuple[float, ...]

    @property
    def settled(self) -> int | None:
        """The steps until the error stays good, None where it does not."""
        bad = [look for look, error in enumerate(self.errors) if error >= GOOD]
        looks = bad[-1] + 2 if bad else 1  # the first look after which no error is bad
        return looks * EVERY if looks <= len(self.errors) else None


def train(function: str, seeds: Sequence[int]) -> list[Row]:
    """Return the lines of trainings with the parameters of params.yaml."""
    return [row(training) for training in follow(function, seeds)]


def follow(
    function: str,
    seeds: Sequence[int],
    times: int = 1,
    change: Callable[[Weights], Weights] = lambda same: same,
    every: int = EVERY,
) -> list[Training]:
    """Train as the pipeline does with this function and each of the seeds, and look at the test error on the way.

    Args:
        function: its name in the registry.
        seeds: one a member.
        times: how many times the epochs of params.yaml.
        change: what is done to the initial weights.
        every: steps between two looks.

    """
    params = load_params()
    data = params.data
    problems = [data.problem(seed) for seed in seeds]
    pairs = list(zip(problems, seeds, strict=True))
    trains = [next(draw_examples(*pair, "train", data.n_train, data.n_train)) for pair in pairs]
    tests = [next(draw_examples(*pair, "test", data.n_test, data.n_test)) for pair in pairs]
    truths = [np.array(problem.sizes["true_attention"]) for problem in problems]
    before = [change(draw_weights(function, problem.n_queries, problem.seq_len, seed)) for problem, seed in pairs]
    members = OneByOne(before, params.train, seeds)
    looks = []
    for _ in range(times * params.train.epochs):
        for first in range(0, data.n_train, every):
            members.train([examples.take(slice(first, first + every)) for examples in trains])
            looks.append([error(now, test) for now, test in zip(members.weights(), tests, strict=True)])
    return [
        Training(*member)
        for member in zip(seeds, truths, before, members.weights(), zip(*looks, strict=True), strict=True)
    ]


class OneByOne:
    """The engine of the pipeline, one for each member."""

    def __init__(self, weights: Sequence[Weights], params: TrainParams, seeds: Sequence[int]) -> None:
        self._engines = [start_engine(own, params, seed) for own, seed in zip(weights, seeds, strict=True)]

    def train(self, examples: Sequence[Examples]) -> None:
        """Take one step a batch, in order."""
        for engine, own in zip(self._engines, examples, strict=True):
            engine.train(own)

    def weights(self) -> list[Weights]:
        """Return a copy of the weights as they are now."""
        return [engine.weights() for engine in self._engines]


def error(now: Weights, test: Examples) -> float:
    """Return the mean squared error on the test examples."""
    slopes = attention_of(now) * now.arrays["linear.weight"]
    outputs = (test.values * slopes[test.queries]).sum(axis=1) + now.arrays["linear.bias"]
    return float(np.square(outputs - test.targets).mean())


def row(training: Training) -> Row:
    """Return the line of a training."""
    now = training.after
    measures = recovery(attention_of(now), now.output, training.truth)
    return {
        "function": now.function,
        "seed": str(training.seed),
        "mse": repr(training.errors[-1]),
        **{name: repr(value) for name, value in measures.means().items()},
        "found": str(int(found(measures))),
        "steps": str(training.settled or "inf"),
    }


def summarise(function: str, rows: list[Row]) -> Row:
    """Return the line of a function."""
    columns = {name: np.array([float(row[name]) for row in rows]) for name in COLUMNS[2:]}
    settled = int(np.isfinite(columns["steps"]).sum())
    number = int(columns["found"].sum())
    low, high = share_interval(number, len(rows))
    problem = load_params().data.problem(0)
    weights = draw_weights(function, problem.n_queries, problem.seq_len, 0)
    return {
        "function": function,
        "found": f"{number} of {len(rows)} ({low:.0%} to {high:.0%})",
        "test MSE": spread(columns["mse"], ".2e"),
        "normalized": spread(columns["normalized"], ".3f"),
        "effective": spread(columns["effective"], ".3f"),
        "steps": spread(columns["steps"], ",.0f"),
        "settled": f"{settled} of {len(rows)}",
        "parameters": str(sum(array.size for array in weights.arrays.values())),
        "time of a step": step_time(function),
    }


def spread(values: np.ndarray, form: str) -> str:
    """Show the median and the interval that holds 90 % of the values; a step that never came is later than all."""
    low, high = np.quantile(values, [0.05, 0.95], method="inverted_cdf")
    shown = ["never" if np.isinf(value) else format(value, form) for value in (np.median(values), low, high)]
    return "{} ({} to {})".format(*shown)


def step_time(function: str) -> str:
    """Return how many times as long as with embedding a compiled step takes."""
    with (RESULTS / "compiled.csv").open(newline="") as file:
        medians = {row["function"]: row["engine, steps/s"].partition(" (")[0] for row in csv.DictReader(file)}
    own, least = (float(medians[name].replace(",", "")) for name in (function, "embedding"))
    return f"{least / own:.1f}"


if __name__ == "__main__":
    main()
