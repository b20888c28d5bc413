"""Examples of a task: drawn in memory, or in tables on disk, which are checked against the truth as they are read.

Tables are drawn, written, read and checked a block of rows at a time: memory does not grow with the number of examples.
"""

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

from attention.tasks.cases import read_truth
from attention.tasks.columns import AGAIN, check, describe_columns, missing, split
from attention.tasks.entry import Columns, TaskError
from attention.tasks.problem import MOST_NUMBERS, Examples, Problem, draw_examples, lookup, make_problem
from workbench.stage.errors import DataError, show_name
from workbench.stage.inputs import from_json, regular
from workbench.stage.outputs import writing

MOST_NUMBERS_A_BYTE = 8  # of a table, however compressed: random numbers need a byte each at least
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
            arrays = [pa.array(one) for column in problem.columns for one in split(column, block[column.name])]
            writer.write_table(pa.Table.from_arrays(arrays, schema=schema))


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
            raise DataError(f"{path}: got {seq_len} positions, but the truth reads position {max(truth)}; {AGAIN}")
        return table
    try:
        about = from_json(said.decode())
        problem = make_problem(about["task"], about["sizes"], about["keys"])
        if json.loads(_about(problem)) != about or problem.task == "lookup":
            raise ValueError("something left out")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, TaskError) as error:
        raise DataError(f"{path}: its metadata name no task of this project; {AGAIN}") from error
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
                f"allowed: {describe_columns(self.problem)}; {AGAIN}"
            )
        if not file.metadata.num_rows:
            raise DataError(f"{self.path}: got no rows; allowed: at least one; {AGAIN}")
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        if file.metadata.num_rows != sum(groups):
            raise _damaged(self.path)
        size = self.path.stat().st_size
        if file.metadata.num_rows * len(found) > size * MOST_NUMBERS_A_BYTE:
            raise DataError(
                f"{self.path}: got {file.metadata.num_rows:,} rows in {size:,} bytes; "
                f"allowed: random numbers, which take more; {AGAIN}"
            )
        if max(groups) * len(found) > MOST_NUMBERS:
            raise DataError(
                f"{self.path}: got a row group of {max(groups):,} rows; "
                f"allowed: at most {MOST_NUMBERS // len(found):,}; {AGAIN}"
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
                check(self.path, self.problem, part, first_row)
            yield part
            first_row += len(part["y"])
        self._checked.append(True)


def _join(parts: list[Columns]) -> Columns:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts[1:] else parts[0]


def _open(path: Path) -> Any:
    try:
        return pq.ParquetFile(regular(path), pre_buffer=False)
    except OSError as error:
        raise (missing(path, error) if error.errno else _damaged(path)) from error
    except (pa.ArrowException, UnicodeDecodeError) as error:  # names of columns are read here too
        raise _damaged(path) from error


def _damaged(path: str | Path) -> DataError:
    return DataError(f"{path}: not a whole Parquet file; {AGAIN}")


def _describe(column: Any) -> str:
    return f"{column.name} {column.type}{'' if column.nullable else ', not null,'}"


def _schema(problem: Problem) -> Any:
    fields = [
        pa.field(f"{name}_{j}" if wide else name, pa.float32() if below is None else pa.int64(), nullable=False)
        for name, below, wide in problem.columns
        for j in range(problem.seq_len if wide else 1)
    ]
    return pa.schema(fields, metadata=None if problem.task == "lookup" else {METADATA: _about(problem)})


def _about(problem: Problem) -> str:
    return json.dumps({"task": problem.task, "sizes": problem.sizes, "keys": problem.keys}, sort_keys=True)
