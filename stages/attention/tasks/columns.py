"""The columns of a task as files have them: their names, how they are told to people, and what is refused of them."""

from pathlib import Path
from typing import Any

import numpy as np

from attention.tasks.entry import Column, Columns
from attention.tasks.problem import Problem
from workbench.stage.errors import DataError

AGAIN = "`dvc repro -f generate` writes it again"


def check(path: str | Path, problem: Problem, columns: Columns, first_row: int) -> None:
    """Refuse numbers out of range, and examples that are not as the task makes them."""
    for column in problem.columns:
        numbers = columns[column.name]
        inside = (numbers >= 0) & (numbers < (column.below or 1))  # false for NaN too
        if inside.all() or column.name == "y":
            continue
        place = tuple(np.argwhere(~inside)[0])
        allowed = f"0 to {column.below - 1}" if column.below else "0 up to, not including, 1"
        name = f"{column.name}_{place[1]}" if column.by_position else column.name
        raise DataError(f"{path}: row {first_row + place[0]}: {name} is {numbers[place]}; allowed: {allowed}; {AGAIN}")
    truth, values = problem.entry.truth(columns, problem.sizes), columns[problem.entry.values]
    if (truth < 0).any() or not np.array_equal(truth, columns.get("truth", truth)):
        row = int(np.argmax((truth < 0) | (truth != columns.get("truth", truth))))
        right = truth[row] if truth[row] >= 0 else "nowhere"
        raise DataError(
            f"{path}: row {first_row + row}: truth is {columns['truth'][row]}, but of {problem.task}, "
            f"{problem.entry.equation}, it is {right}; {AGAIN}"
        )
    true = values[np.arange(len(truth)), truth]
    if not np.array_equal(true, columns["y"]):
        row = int(np.argmax(true != columns["y"]))
        raise DataError(
            f"{path}: row {first_row + row}: y is {columns['y'][row]}, but the true position has "
            f"{problem.entry.values}_{truth[row]} = {true[row]}; {AGAIN}"
        )


def missing(path: str | Path, error: OSError) -> DataError:
    """Return what is said of a file that cannot be opened."""
    return DataError(f"{path}: cannot be read ({error.strerror}); `dvc repro` writes it")


def no_table(path: str | Path) -> DataError:
    """Return what is said of a file that is no table of text."""
    return DataError(f"{path}: not a CSV table of numbers; {AGAIN}")


def describe_columns(problem: Problem) -> str:
    """Say for people which columns a table has: those of positions by the first two."""
    each = (
        f"{name}_0, {name}_1 … {_kind(below)}" if wide else f"{name} {_kind(below)}"
        for name, below, wide in problem.columns
    )
    return f"{', '.join(each)}, in this order and nothing else"


def _kind(below: int | None) -> str:
    return "float32" if below is None else "int64"


def column_names(problem: Problem) -> list[str]:
    """Return the name of each column of a table: x_0, x_1 … where there is one a position."""
    return [
        f"{name}_{position}" if wide else name
        for name, _, wide in problem.columns
        for position in range(problem.seq_len if wide else 1)
    ]


def split(column: Column, array: Any) -> Any:
    """Return the columns of a table that an array (n,) or (n, seq_len) fills."""
    return array.T.copy() if column.by_position else [array]
