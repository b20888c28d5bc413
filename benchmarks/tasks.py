"""Which function needs what: every attention function on every task, with many seeds, and a network without attention.

    python benchmarks/tasks.py [--seeds 32] [--epochs 6] [--batch-size 32] [--learning-rate 0.02]

writes benchmarks/results/tasks.csv, a row a training, and tasks.md, the medians.
"""

import argparse
import csv
import statistics
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from attention.functions import ATTENTION_FUNCTIONS
from attention.params import load_params
from attention.params.schema import Params
from attention.studies.trainings import Training, run_training
from attention.tasks import TASKS
from attention.tasks.examples import DrawnTable
from attention.tasks.problem import Examples, Problem, make_problem
from workbench.stage.streams import stream

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks/results"
COLUMNS = ("task", "keys", "function", "seed", "error", "accuracy", "normalized", "effective", "found")
KEYS = {
    "recall": ("position",),
    "successor": ("content+before",),
    "neighbour": ("colour", "position"),
}  # beside defaults
FOR_KEYS = "scaled_dot"
HIDDEN, WITHOUT = 64, "no attention, two hidden layers of 64"

Row = dict[str, Any]


def main() -> None:
    """Train all, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--learning-rate", type=float, default=0.02)
    parser.add_argument("--without", type=int, default=2, help="seeds of the network without attention, through torch")
    asked = parser.parse_args()
    article = load_params(ROOT / "params.yaml")
    sizes = {"epochs": asked.epochs, "batch_size": asked.batch_size, "learning_rate": asked.learning_rate}
    params = article.model_copy(update={"train": article.train.model_copy(update=sizes)})
    cells = [(task, TASKS[task].default_keys, name) for task in TASKS for name in ATTENTION_FUNCTIONS]
    cells += [(task, keys, FOR_KEYS) for task, others in KEYS.items() for keys in others]
    work = [(params, *cell, seed) for cell in cells for seed in range(asked.seeds)]
    rows = list(joblib.Parallel(n_jobs=-1, backend="threading")(joblib.delayed(one)(*each) for each in work))
    rows += [without_attention(params, task, seed) for task in TASKS for seed in range(asked.without)]
    with (RESULTS / "tasks.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    (RESULTS / "tasks.md").write_text(report(rows, asked), encoding="utf-8")


def one(params: Params, task: str, keys: str, function: str, seed: int) -> Row:
    """Return the row of a training."""
    data = params.data.model_copy(update={"task": task, "keys": keys})
    model = params.model.model_copy(update={"attention": function})
    outcome = run_training(Training(params.model_copy(update={"data": data, "model": model}), seed))
    last = dict(zip(("normalized", "effective"), outcome.history[-1][1:3], strict=True)) if outcome.history else {}
    said = {"task": task, "keys": keys, "function": function, "seed": seed, "found": int(outcome.found)}
    return {**said, **last, "error": outcome.mse, "accuracy": ""}


def without_attention(params: Params, task: str, seed: int) -> Row:
    """Return the row of a network of two hidden layers over query, keys and values: 40 epochs of Adam at 0.001."""
    import torch

    problem = make_problem(task, seed=seed)
    train = flat(DrawnTable(problem, seed, "train", params.data.n_train), problem)
    test = flat(DrawnTable(problem, seed, "test", params.data.n_test), problem)
    torch.manual_seed(seed)
    layers = [torch.nn.Linear(train[0].shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, HIDDEN)]
    network = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(HIDDEN, problem.classes or 1))
    (seen, answers), (new, expected) = (tuple(map(torch.from_numpy, pair)) for pair in (train, test))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    criterion = torch.nn.CrossEntropyLoss() if problem.classes else torch.nn.MSELoss()
    order = stream(seed, "shuffle of the network without attention")
    for _ in range(40):
        for rows in torch.from_numpy(order.permutation(len(seen))).split(32):  # type: ignore[no-untyped-call]
            optimizer.zero_grad()
            criterion(network(seen[rows]).squeeze(-1), answers[rows]).backward()
            optimizer.step()
    with torch.no_grad():
        said = network(new).squeeze(-1)
    accuracy = float((said.argmax(-1) == expected).double().mean()) if problem.classes else ""
    error = float(criterion(said, expected))
    return {"task": task, "keys": "", "function": WITHOUT, "seed": seed, "error": error, "accuracy": accuracy}


def flat(table: DrawnTable, problem: Problem) -> tuple[Any, Any]:
    """Return query, keys and values of every example as one row of numbers, features one-hot; and the targets."""
    blocks = list(table.blocks())
    return np.concatenate([numbers(block, problem) for block in blocks]), np.concatenate([b.targets for b in blocks])


def numbers(block: Examples, problem: Problem) -> Any:
    """Return a block of examples as rows of float32."""
    n = len(block.targets)
    parts = [hot(block.queries.reshape(n, -1), problem.n_queries).sum(axis=1), block.values.reshape(n, -1)]
    if block.keys.dtype == np.float32:
        parts.append(block.keys.reshape(n, -1))
    elif block.keys.ndim > 1:
        keys = block.keys.reshape(n, problem.seq_len, -1)
        parts.append(hot(keys, problem.n_keys).sum(axis=2).reshape(n, -1))
    return np.concatenate(parts, axis=1).astype(np.float32)


def hot(features: Any, number: int) -> Any:
    """Return whole numbers one-hot; -1 is none."""
    return np.equal(features[..., None], np.arange(number)).astype(np.float32)


def report(rows: list[Row], asked: argparse.Namespace) -> str:
    """Return the medians as a table for people: a row a function, a column a task."""
    cells: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        usual = row["keys"] in ("", TASKS[row["task"]].default_keys)
        cells.setdefault((row["function"] if usual else f"{FOR_KEYS}, keys {row['keys']}", row["task"]), []).append(row)
    lines = [
        f"Medians of {asked.seeds} seeds; batch {asked.batch_size}, rate {asked.learning_rate:g}, "
        f"{asked.epochs} epochs. "
        "Each cell: error on new data (caption: cross-entropy); share of |a·w| on the true position; how many of the "
        "trainings found the truth.",
        "",
        f"| | {' | '.join(TASKS)} |",
        f"| --- |{' --- |' * len(TASKS)}",
    ]
    lines += [
        f"| {name} | {' | '.join(told(cells.get((name, task), [])) for task in TASKS)} |"
        for name in dict.fromkeys(name for name, _ in cells)
    ]
    return "\n".join(lines) + "\n"


def told(rows: list[Row]) -> str:
    """Return a cell."""
    if not rows:
        return "–"
    error = statistics.median(np.inf if row["error"] is None else row["error"] for row in rows)
    if "effective" not in rows[0]:
        right = [row["accuracy"] for row in rows if row["accuracy"] != ""]
        return f"{error:.2g}" + (f", {statistics.median(right):.2f} right" if right else "")
    mass = statistics.median(row.get("effective", 0.0) for row in rows)
    return f"{error:.2g}; {mass:.2f}; {sum(row['found'] for row in rows)}"


if __name__ == "__main__":
    main()
