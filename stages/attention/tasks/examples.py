"""Examples of a task: drawn in memory, or in tables on disk, which are checked against the truth as they are read.

Tables are drawn, written, read and checked a block of rows at a time: memory does not grow with the number of examples.
"""

import csv
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from attention.tasks.entry import Column, Columns, Positions, TaskError
from attention.tasks.problem import (
    CASES,
    MOST_NUMBERS,
    Examples,
    Problem,
    contexts_of,
    draw_columns,
    draw_examples,
    lookup,
    make_problem,
)
from workbench.stage.errors import DataError, show_name, show_value
from workbench.stage.inputs import from_json, regular
from workbench.stage.outputs import writing

MOST_NUMBERS_A_BYTE = 8  # of a table, however compressed: random numbers need a byte each at least
MOST_TRUTH = 100_000  # bytes, of lookup's; of other tasks the cases have all columns
MOST_CASES = 20_000_000
METADATA = b"task"  # in the schema of a table: of which task it is; lookup's has none


class Table(Protocol):
    """Examples in their order, wherever they come from."""

    @property
    def problem(self) -> Problem:
        """The task that they are of, and its sizes."""

    def __len__(self) -> int:
        """Return the number of examples."""

    def blocks(self, rows: int | None = None) -> Iterator[Examples]:
        """Yield all examples in order, exactly `rows` at a time (the last block may be smaller)."""


@dataclass(frozen=True)
class DrawnTable:
    """The table that `write_examples` would write of a split, without a file: the same examples in the same blocks."""

    problem: Problem
    seed: int
    split: str
    n: int

    def __len__(self) -> int:
        """Return the number of examples."""
        return self.n

    def blocks(self, rows: int | None = None) -> Iterator[Examples]:
        """Yield all examples in order, exactly `rows` at a time (the last block may be smaller)."""
        rows = rows or self.problem.block_rows
        if self.n > self.problem.block_rows:  # drawn again each time: memory does not grow with their number
            yield from draw_examples(self.problem, self.seed, self.split, self.n, rows)
            return
        for first in range(0, self.n, rows):
            yield self._whole.take(slice(first, first + rows))

    @cached_property
    def _whole(self) -> Examples:
        (block,) = draw_examples(self.problem, self.seed, self.split, self.n)
        return block


def write_examples(path: str | Path, blocks: Iterable[Columns], problem: Problem) -> None:
    """Write a Parquet table: the columns of the task, those of positions as x_0, x_1 …; a row group a block.

    Uniform numbers do not compress, and a codec's bytes depend on its version: the columns are stored plain.
    """
    schema = _schema(problem)
    with (
        writing(path) as beside,
        pq.ParquetWriter(beside, schema, compression="none", use_dictionary=False, write_statistics=False) as writer,
    ):
        for block in blocks:
            arrays = [pa.array(one) for column in problem.columns for one in _each(column, block[column.name])]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


def write_truth(path: str | Path, problem: Problem, seed: int) -> None:
    """Write the truth of each case: of lookup context,position; of other tasks some examples of their own."""
    from workbench.stage.tables import write_table  # and pandas, which only who writes needs

    if problem.task == "lookup":
        positions = problem.sizes["true_attention"]
        write_table(path, {"context": range(len(positions)), "position": positions})
        return
    (cases,) = draw_columns(problem, seed, "cases", CASES)
    columns = [one for column in problem.columns for one in _each(column, cases[column.name])]
    write_table(path, {"case": range(CASES), **dict(zip(_names(problem), columns, strict=True))})


def read_cases(path: str | Path, problem: Problem) -> Examples:
    """Return the cases by which attention is told: of lookup every context once, else those of the file.

    Raises:
        DataError: the file is missing, or its cases are no examples of the task.

    """
    if problem.task == "lookup":
        return contexts_of(problem)
    header, rows = _read_csv(path, MOST_CASES)
    wanted = ["case", *_names(problem)]
    if header != wanted:
        got, instead = next((a, b) for a, b in zip_longest(header, wanted) if a != b)
        raise DataError(
            f"{path}: got {f'column {show_name(got)}' if got else 'no column'} in the place of {instead or 'nothing'}; "
            f"allowed: case, {_describe_columns(problem)}; {_AGAIN}"
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
        raise _no_table(path) from error
    if not in_order:
        raise DataError(f"{path}: got {len(rows)} rows; allowed: {CASES} cases, 0, 1, 2 … in order; {_AGAIN}")
    _check(path, problem, columns, 0)
    return problem.examples(columns)


def read_truth(path: str | Path) -> Positions:
    """Read the position that each context of lookup reads; the contexts are 0, 1, 2 … in order."""
    header, rows = _read_csv(path, MOST_TRUTH)
    try:
        contexts, positions = zip(*((int(context), int(position)) for context, position in rows), strict=True)
    except ValueError as error:
        raise _no_table(path) from error
    if (
        header != ["context", "position"]
        or contexts != tuple(range(len(contexts)))
        or not all(0 <= position < 2**31 for position in positions)
    ):
        raise DataError(
            f"{path}: got columns {show_name(','.join(header))} with contexts {show_value(contexts[:8])} "
            f"and positions {show_value(positions[:8])}; "
            f"allowed: context,position with contexts 0, 1, 2 … in order and positions from 0; {_AGAIN}"
        )
    return np.array(positions, dtype=np.int64)


def _read_csv(path: str | Path, most: int) -> tuple[list[str], list[list[str]]]:
    try:
        with regular(path, most).open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
    except OSError as error:
        raise _missing(path, error) from error
    except (ValueError, csv.Error) as error:
        raise _no_table(path) from error
    if not rows or any(len(row) != len(header) for row in rows):
        raise _no_table(path)
    return header, rows


def open_examples(folder: Path, split: str) -> "ExampleTable":
    """Open the table of a split, whose task the file itself says; that of lookup goes with the truth beside it.

    Raises:
        DataError: the file is missing, or no table of a task of this project.

    """
    path = folder / f"{split}.parquet"
    schema = _open(path).schema_arrow
    said = (schema.metadata or {}).get(METADATA)
    if said is None:
        truth = read_truth(folder / "truth.csv").tolist()
        seq_len = max(1, sum(name.startswith("x_") for name in schema.names))
        table = ExampleTable(path, lookup(truth, seq_len))
        if max(truth) >= seq_len:
            raise DataError(f"{path}: got {seq_len} positions, but the truth reads position {max(truth)}; {_AGAIN}")
        return table
    try:
        about = from_json(said.decode())
        problem = make_problem(about["task"], about["sizes"], about["keys"])
        if json.loads(_about(problem)) != about or problem.task == "lookup":
            raise ValueError("something left out")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, TaskError) as error:
        raise DataError(f"{path}: its metadata name no task of this project; {_AGAIN}") from error
    return ExampleTable(path, problem)


@dataclass(frozen=True)
class ExampleTable:
    """A Parquet table of examples, checked against the truth as it is read for the first time.

    Args:
        path: the table.
        problem: what the examples must be of.

    Raises:
        DataError: on opening, when the file is no such table; while reading, at the first bad row.

    """

    path: Path
    problem: Problem
    _checked: list[bool] = field(default_factory=list, init=False, repr=False, compare=False)  # whole, once or more

    def __post_init__(self) -> None:
        file = _open(self.path)
        found, wanted = file.schema_arrow, _schema(self.problem)
        if not found.equals(wanted):
            pairs = zip_longest(map(_describe, found), map(_describe, wanted))
            got, instead = next((a, b) for a, b in pairs if a != b)
            raise DataError(
                f"{self.path}: got {f'column {show_name(got)}' if got else 'no column'} in the place of "
                f"{instead.partition(' ')[0] if instead else 'nothing'}; "
                f"allowed: {_describe_columns(self.problem)}; {_AGAIN}"
            )
        if not file.metadata.num_rows:
            raise DataError(f"{self.path}: got no rows; allowed: at least one; {_AGAIN}")
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        if file.metadata.num_rows != sum(groups):
            raise _damaged(self.path)
        size = self.path.stat().st_size
        if file.metadata.num_rows * len(found) > size * MOST_NUMBERS_A_BYTE:
            raise DataError(
                f"{self.path}: got {file.metadata.num_rows:,} rows in {size:,} bytes; "
                f"allowed: random numbers, which take more; {_AGAIN}"
            )
        if max(groups) * len(found) > MOST_NUMBERS:
            raise DataError(
                f"{self.path}: got a row group of {max(groups):,} rows; "
                f"allowed: at most {MOST_NUMBERS // len(found):,}; {_AGAIN}"
            )

    def __len__(self) -> int:
        """Return the number of examples."""
        return int(_open(self.path).metadata.num_rows)

    def blocks(self, rows: int | None = None) -> Iterator[Examples]:
        """Yield all examples in order, exactly `rows` at a time (the last block may be smaller)."""
        held = list[Columns]()
        have, rows = 0, rows or self.problem.block_rows
        for part in self._row_groups():
            held.append(part)
            have += len(part["y"])
            while have >= rows:
                block = _join(held)
                yield self.problem.examples({name: column[:rows] for name, column in block.items()})
                held, have = [{name: column[rows:] for name, column in block.items()}], have - rows
        if have:
            yield self.problem.examples(_join(held))

    def _row_groups(self) -> Iterator[Columns]:
        file = _open(self.path)
        first_row = 0
        for group in range(file.num_row_groups):  # pyarrow's own iterator over batches would keep them all in memory
            try:
                columns = file.read_row_group(group, use_threads=False).columns
            except (OSError, pa.ArrowException) as error:
                raise _damaged(self.path) from error
            if {len(column) for column in columns} != {file.metadata.row_group(group).num_rows}:
                raise _damaged(self.path)
            numbers = iter([column.to_numpy() for column in columns])
            part = {
                name: np.stack([next(numbers) for _ in range(self.problem.seq_len)], axis=1) if wide else next(numbers)
                for name, _, wide in self.problem.columns
            }
            if not self._checked:
                _check(self.path, self.problem, part, first_row)
            yield part
            first_row += len(part["y"])
        self._checked.append(True)


def _check(path: str | Path, problem: Problem, columns: Columns, first_row: int) -> None:
    """Refuse numbers out of range, and examples that are not as the task makes them."""
    for column in problem.columns:
        numbers = columns[column.name]
        inside = (numbers >= 0) & (numbers < (column.below or 1))  # false for NaN too
        if inside.all() or column.name == "y":
            continue
        place = tuple(np.argwhere(~inside)[0])
        allowed = f"0 to {column.below - 1}" if column.below else "0 up to, not including, 1"
        name = f"{column.name}_{place[1]}" if column.by_position else column.name
        raise DataError(f"{path}: row {first_row + place[0]}: {name} is {numbers[place]}; allowed: {allowed}; {_AGAIN}")
    truth, values = problem.entry.truth(columns, problem.sizes), columns[problem.entry.values]
    if (truth < 0).any() or not np.array_equal(truth, columns.get("truth", truth)):
        row = int(np.argmax((truth < 0) | (truth != columns.get("truth", truth))))
        right = truth[row] if truth[row] >= 0 else "nowhere"
        raise DataError(
            f"{path}: row {first_row + row}: truth is {columns['truth'][row]}, but of {problem.task}, "
            f"{problem.entry.equation}, it is {right}; {_AGAIN}"
        )
    true = values[np.arange(len(truth)), truth]
    if not np.array_equal(true, columns["y"]):
        row = int(np.argmax(true != columns["y"]))
        raise DataError(
            f"{path}: row {first_row + row}: y is {columns['y'][row]}, but the true position has "
            f"{problem.entry.values}_{truth[row]} = {true[row]}; {_AGAIN}"
        )


_AGAIN = "`dvc repro -f generate` writes it again"


def _join(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts[1:] else parts[0]


def _open(path: Path) -> Any:
    try:
        return pq.ParquetFile(regular(path), pre_buffer=False)
    except OSError as error:
        raise (_missing(path, error) if error.errno else _damaged(path)) from error
    except (pa.ArrowException, UnicodeDecodeError) as error:  # names of columns are read here too
        raise _damaged(path) from error


def _missing(path: str | Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be read ({error.strerror}); `dvc repro` writes it")


def _damaged(path: str | Path) -> DataError:
    return DataError(f"{path}: not a whole Parquet file; {_AGAIN}")


def _no_table(path: str | Path) -> DataError:
    return DataError(f"{path}: not a CSV table of numbers; {_AGAIN}")


def _describe(column: Any) -> str:
    return f"{column.name} {column.type}{'' if column.nullable else ', not null,'}"


def _describe_columns(problem: Problem) -> str:
    """Say for people which columns a table has: those of positions by the first two."""
    each = (
        f"{name}_0, {name}_1 … {_kind(below)}" if wide else f"{name} {_kind(below)}"
        for name, below, wide in problem.columns
    )
    return f"{', '.join(each)}, in this order and nothing else"


def _kind(below: int | None) -> str:
    return "float32" if below is None else "int64"


def _names(problem: Problem) -> list[str]:
    return [
        f"{name}_{position}" if wide else name
        for name, _, wide in problem.columns
        for position in range(problem.seq_len if wide else 1)
    ]


def _each(column: Column, array: Any) -> Any:
    """Return the columns of a table that an array (n,) or (n, seq_len) fills."""
    return array.T.copy() if column.by_position else [array]


def _schema(problem: Problem) -> Any:
    fields = [
        pa.field(f"{name}_{j}" if wide else name, pa.float32() if below is None else pa.int64(), nullable=False)
        for name, below, wide in problem.columns
        for j in range(problem.seq_len if wide else 1)
    ]
    return pa.schema(fields, metadata=None if problem.task == "lookup" else {METADATA: _about(problem)})


def _about(problem: Problem) -> str:
    return json.dumps({"task": problem.task, "sizes": problem.sizes, "keys": problem.keys}, sort_keys=True)
