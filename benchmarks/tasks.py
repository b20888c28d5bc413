"""Which function needs what: every attention function on every task, and a network without attention.

    python benchmarks/tasks.py [--seeds 32]

writes benchmarks/results/tasks.csv, a row a training, and what needs.py makes of it.
"""

import argparse
import csv
import math
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np

from attention.functions import ATTENTION_FUNCTIONS
from attention.inference.attention import attention_of
from attention.measures.cases import recovery_of
from attention.measures.prediction import network_errors
from attention.measures.recovery import found
from attention.params import load_params
from attention.params.schema import Params
from attention.studies.trainings import Training, draw
from attention.tasks import TASKS
from attention.tasks.examples import DrawnTable
from attention.tasks.problem import Examples, Problem, make_problem
from attention.training.loop import TrainingError, train
from needs import ARTICLE, BATCHES, COLUMNS, TABLE, WITHOUT, Cell, Row, read, write
from workbench.stage.streams import stream

TRAININGS = {BATCHES: {"epochs": 6, "batch_size": 32, "learning_rate": 0.02}, ARTICLE: dict[str, Any]()}
KEYS = {"recall": ("position",), "successor": ("content+before",), "neighbour": ("colour", "position")}
HIDDEN, EPOCHS, RATE = 64, 40, 1e-3  # of the network without attention


def main() -> None:
    """Train all, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=32)
    parser.add_argument("--without", type=int, default=2, help="seeds of the network without attention, through torch")
    asked = parser.parse_args()
    cells = [Cell(task, TASKS[task].default_keys, name, BATCHES) for task in TASKS for name in ATTENTION_FUNCTIONS]
    cells += [Cell(task, keys, "scaled_dot", BATCHES) for task, others in KEYS.items() for keys in others]
    cells += [Cell(task, TASKS[task].default_keys, "softmax", ARTICLE) for task in ("recall", "neighbour")]
    params = load_params()
    with ProcessPoolExecutor(2) as pool:  # whose work is a cell: each is compiled by one of them alone
        slow = [pool.submit(without_attention, params, task, range(asked.without)) for task in TASKS]
        every = [pool.submit(trained, params, cell, range(asked.seeds)) for cell in cells]
        rows = [row for future in (*every, *slow) for row in future.result()]
    with TABLE.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows({name: show(value) for name, value in row.items()} for row in rows)
    write(read())


def show(value: object) -> object:
    """Return a number of six digits, and anything else as it is."""
    return f"{value:.6g}" if isinstance(value, float) else value


def trained(params: Params, cell: Cell, seeds: Sequence[int]) -> list[Row]:
    """Return the rows of a cell, with the numbers that the stages train and evaluate would leave."""
    changed = params.model_copy(
        update={
            "data": params.data.model_copy(update={"task": cell.task, "keys": cell.keys}),
            "model": params.model.model_copy(update={"attention": cell.function}),
            "train": params.train.model_copy(update=TRAININGS[cell.training]),
        }
    )
    return [{**cell._asdict(), "seed": seed, **measured(Training(changed, seed))} for seed in seeds]


def measured(training: Training) -> Row:
    """Train a network, and return what is measured of it; one that diverged has an infinite error."""
    initial, examples, test, cases = draw(training)
    try:
        *_, last = train(initial, examples, training.params.train, training.seed, cases=cases)
    except TrainingError:
        return {"error": math.inf, "normalized": 0.0, "effective": 0.0, "found": 0}
    attend = partial(attention_of, last.weights)
    error, *accuracy = network_errors(attend, last.weights, test).values()
    told = [cases] if test.problem.task == "lookup" else test.blocks()
    recovered = recovery_of(attend, last.weights.output, told)
    means = recovered.means()
    return {
        "error": error,
        "accuracy": next(iter(accuracy), ""),
        **{name: means[name] for name in ("normalized", "effective")},
        "found": int(found(recovered)),
    }


def without_attention(params: Params, task: str, seeds: Sequence[int]) -> list[Row]:
    """Return the rows of a network of two hidden layers over query, keys and values, trained with Adam."""
    import torch

    torch.set_num_threads(1)
    rows = list[Row]()
    for seed in seeds:
        problem = make_problem(task, seed=seed)
        train = flat(DrawnTable(problem, seed, "train", params.data.n_train), problem)
        test = flat(DrawnTable(problem, seed, "test", params.data.n_test), problem)
        torch.manual_seed(seed)
        layers = [torch.nn.Linear(train[0].shape[1], HIDDEN), torch.nn.ReLU(), torch.nn.Linear(HIDDEN, HIDDEN)]
        network = torch.nn.Sequential(*layers, torch.nn.ReLU(), torch.nn.Linear(HIDDEN, problem.classes or 1))
        (seen, answers), (new, expected) = (tuple(map(torch.from_numpy, pair)) for pair in (train, test))
        optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
        criterion = torch.nn.CrossEntropyLoss() if problem.classes else torch.nn.MSELoss()
        order = stream(seed, "shuffle of the network without attention")
        for _ in range(EPOCHS):
            for batch in torch.from_numpy(order.permutation(len(seen))).split(32):  # type: ignore[no-untyped-call]
                optimizer.zero_grad()
                criterion(network(seen[batch]).squeeze(-1), answers[batch]).backward()
                optimizer.step()
        with torch.no_grad():
            said = network(new).squeeze(-1)
        right = float((said.argmax(-1) == expected).double().mean()) if problem.classes else ""
        cell = Cell(task, "", WITHOUT, f"{EPOCHS} epochs")
        rows.append({**cell._asdict(), "seed": seed, "error": float(criterion(said, expected)), "accuracy": right})
    return rows


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


if __name__ == "__main__":
    main()
