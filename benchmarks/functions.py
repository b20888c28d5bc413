"""Compare the attention functions on the article's data: python benchmarks/functions.py [--seeds N] [--functions A B].

A line a training goes to benchmarks/results/functions.csv as soon as it is done, and is not computed again: a run that
was interrupted goes on. benchmarks/results/functions.md sums them up.
"""

import argparse
import csv
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import product

import numpy as np
from tqdm import tqdm

from attention.dataset import draw_examples, draw_truth
from attention.engines import attention_of, choose_engine, start_engine
from attention.functions import ATTENTION_FUNCTIONS
from attention.params import load_params
from attention.recovery import recovery
from attention.weights import draw_weights
from report import RESULTS, write_markdown

TABLE = RESULTS / "functions.csv"
COLUMNS = ("function", "seed", "mse", "normalized", "effective", "accuracy", "steps")
EVERY = 200  # steps between two looks at the test error
GOOD = 1e-3  # the error is down to this …
Row = dict[str, str]


def main() -> None:
    """Train what is missing, two at a time, and sum up."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--functions", nargs="*", default=list(ATTENTION_FUNCTIONS), choices=list(ATTENTION_FUNCTIONS))
    asked = parser.parse_args()
    RESULTS.mkdir(exist_ok=True)
    done = list(read())
    known = {(row["function"], int(row["seed"])) for row in done}
    missing = [pair for pair in product(asked.functions, range(asked.seeds)) if pair not in known]
    with ProcessPoolExecutor(2) as pool, TABLE.open("a", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        if not done:
            table.writeheader()
        ending = as_completed([pool.submit(train, *pair) for pair in missing])
        for future in tqdm(ending, total=len(missing), unit=" trainings", disable=None):
            done.append(future.result())
            table.writerow(done[-1])
            file.flush()
    order = list(ATTENTION_FUNCTIONS)
    done.sort(key=lambda row: (order.index(row["function"]), int(row["seed"])))
    with TABLE.open("w", newline="") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(done)
    summary = [summarise(name, [row for row in done if row["function"] == name]) for name in order]
    write_markdown(
        "functions",
        [row for row in summary if row],
        f"Test error, recovery and steps until the test error stays under {GOOD:g}: median (5 % to 95 % of the seeds)",
    )


def read() -> Iterator[Row]:
    """Yield the trainings that the table has already."""
    if TABLE.exists():
        with TABLE.open(newline="") as file:
            yield from csv.DictReader(file)


def train(function: str, seed: int) -> Row:
    """Train as the pipeline does with this function and seed, and look at the test error on the way."""
    params = load_params()
    truth = draw_truth(seed, params.data)
    n_train, n_test, seq_len = params.data.n_train, params.data.n_test, params.data.seq_len
    (train_data,) = draw_examples(seed, "train", n_train, truth, seq_len, block_rows=n_train)
    (test,) = draw_examples(seed, "test", n_test, truth, seq_len, block_rows=n_test)
    engine = start_engine(draw_weights(function, len(truth), params.data.seq_len, seed), params.train, seed)
    errors = []
    for _ in range(params.train.epochs):
        for first in range(0, params.data.n_train, EVERY):
            engine.train(train_data.take(slice(first, first + EVERY)))
            now = engine.weights()
            attention = attention_of(now)
            slopes = attention * now.arrays["linear.weight"]
            outputs = (test.inputs * slopes[test.contexts]).sum(axis=1) + now.arrays["linear.bias"]
            errors.append(float(np.square(outputs - test.targets).mean()))
    bad = [look for look, error in enumerate(errors) if error >= GOOD]
    settled = 0 if not bad else bad[-1] + 1  # the first look after which no error is bad
    means = recovery(attention, now, truth).means()
    return {
        "function": function,
        "seed": str(seed),
        "mse": repr(errors[-1]),
        **{name: repr(value) for name, value in means.items()},
        "steps": str((settled + 1) * EVERY) if settled < len(errors) else "inf",
    }


def summarise(function: str, rows: list[Row]) -> Row:
    """Return the line of a function, empty without trainings."""
    if not rows:
        return {}
    columns = {name: np.array([float(row[name]) for row in rows]) for name in COLUMNS[2:]}
    settled = int(np.isfinite(columns["steps"]).sum())
    return {
        "function": function,
        "engine": choose_engine("auto", function),
        "test MSE": spread(columns["mse"], ".2e"),
        "normalized": spread(columns["normalized"], ".3f"),
        "effective": spread(columns["effective"], ".3f"),
        "accuracy": spread(columns["accuracy"], ".2f"),
        "steps": spread(columns["steps"], ",.0f"),
        "settled": f"{settled} of {len(rows)}",
    }


def spread(values: np.ndarray, form: str) -> str:
    """Show the median and the interval that holds 90 % of the values; a step that never came is later than all."""
    low, middle, high = (
        "never" if np.isinf(value) else format(value, form)
        for value in np.quantile(values, [0.05, 0.5, 0.95], method="higher")
    )
    return f"{middle} ({low} to {high})"


if __name__ == "__main__":
    main()
