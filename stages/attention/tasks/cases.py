"""The cases by which attention is told, as a table of text: of lookup the truth of each context."""

import csv
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from attention.tasks.columns import AGAIN, check, column_names, describe_columns, missing, no_table, split
from attention.tasks.entry import Positions
from attention.tasks.problem import CASES, Examples, Problem, contexts_of, draw_columns
from workbench.stage.errors import DataError, show_name, show_value
from workbench.stage.inputs import regular

MOST_TRUTH = 100_000  # bytes, of lookup's; of other tasks the cases have all columns
MOST_CASES = 20_000_000


def write_truth(path: str | Path, problem: Problem, seed: int) -> None:
    """Write the truth of each case: of lookup context,position; of other tasks some examples of their own."""
    from workbench.stage.tables import write_table  # and pandas, which only who writes needs

    if problem.task == "lookup":
        positions = problem.sizes["true_attention"]
        write_table(path, {"context": range(len(positions)), "position": positions})
        return
    (cases,) = draw_columns(problem, seed, "cases", CASES)
    columns = [one for column in problem.columns for one in split(column, cases[column.name])]
    write_table(path, {"case": range(CASES), **dict(zip(column_names(problem), columns, strict=True))})


def read_cases(path: str | Path, problem: Problem) -> Examples:
    """Return the cases by which attention is told: of lookup every context once, else those of the file.

    Raises:
        DataError: the file is missing, or its cases are no examples of the task.

    """
    if problem.task == "lookup":
        return contexts_of(problem)
    header, rows = _read_csv(path, MOST_CASES)
    wanted = ["case", *column_names(problem)]
    if header != wanted:
        got, instead = next((a, b) for a, b in zip_longest(header, wanted) if a != b)
        raise DataError(
            f"{path}: got {f'column {show_name(got)}' if got else 'no column'} in the place of {instead or 'nothing'}; "
            f"allowed: case, {describe_columns(problem)}; {AGAIN}"
        )
    columns, place = dict[str, Any](), 1
    try:
        for column in problem.columns:
            width = problem.seq_len if column.by_position else 1
            kind = np.float32 if column.below is None else np.int64
            numbers = [[kind(text) for text in row[place : place + width]] for row in rows]
            columns[column.name] = np.array(numbers, kind).reshape((-1, width) if column.by_position else -1)
            place += width
        in_order = [int(row[0]) for row in rows] == list(range(CASES))
    except (ValueError, OverflowError) as error:
        raise no_table(path) from error
    if not in_order:
        raise DataError(f"{path}: got {len(rows)} rows; allowed: {CASES} cases, 0, 1, 2 … in order; {AGAIN}")
    check(path, problem, columns, 0)
    return problem.examples(columns)


def read_truth(path: str | Path) -> Positions:
    """Read the position that each context of lookup reads; the contexts are 0, 1, 2 … in order."""
    header, rows = _read_csv(path, MOST_TRUTH)
    try:
        contexts, positions = zip(*((int(context), int(position)) for context, position in rows), strict=True)
    except ValueError as error:
        raise no_table(path) from error
    if (
        header != ["context", "position"]
        or contexts != tuple(range(len(contexts)))
        or not all(0 <= position < 2**31 for position in positions)
    ):
        raise DataError(
            f"{path}: got columns {show_name(','.join(header))} with contexts {show_value(contexts[:8])} "
            f"and positions {show_value(positions[:8])}; "
            f"allowed: context,position with contexts 0, 1, 2 … in order and positions from 0; {AGAIN}"
        )
    return np.array(positions, dtype=np.int64)


def _read_csv(path: str | Path, most: int) -> tuple[list[str], list[list[str]]]:
    try:
        with regular(path, most).open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
    except OSError as error:
        raise missing(path, error) from error
    except (ValueError, csv.Error) as error:
        raise no_table(path) from error
    if not rows or any(len(row) != len(header) for row in rows):
        raise no_table(path)
    return header, rows
