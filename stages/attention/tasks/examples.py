"""The toy problem: y is the one number of a sequence that the context points at; and its tables on disk.

    inputs[i, j] ~ U[0, 1)    contexts[i] ~ U{0 … n_contexts-1}    targets[i] = inputs[i, truth[contexts[i]]]

Tables are drawn, written, read and checked a block of rows at a time: memory does not grow with the number of examples.
"""

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from attention.params.schema import DataParams
from workbench.stage.errors import DataError, show_name, show_value
from workbench.stage.inputs import regular
from workbench.stage.outputs import writing
from workbench.stage.streams import stream

BLOCK_ROWS = 65_536  # rows drawn, written and read at a time; results do not depend on it
MOST_NUMBERS = BLOCK_ROWS * 1026  # of a row group, which is read at once: the largest that `write_examples` makes
MOST_NUMBERS_A_BYTE = 8  # of a table, however compressed: random numbers need a byte each at least
MOST_TRUTH = 100_000  # bytes

Truth = NDArray[np.int64]  # (n_contexts,): the position that each context reads


class Examples(NamedTuple):
    """Some consecutive examples."""

    inputs: NDArray[np.float32]  # (n, seq_len), in [0, 1)
    contexts: NDArray[np.int64]  # (n,)
    targets: NDArray[np.float32]  # (n,)

    def take(self, rows: slice | NDArray[np.int64]) -> "Examples":
        """Return some of the examples."""
        return Examples(self.inputs[rows], self.contexts[rows], self.targets[rows])


class Table(Protocol):
    """Examples in their order, wherever they come from."""

    def __len__(self) -> int:
        """Return the number of examples."""

    @property
    def seq_len(self) -> int:
        """The number of positions."""

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[Examples]:
        """Yield all examples in order, exactly `rows` at a time (the last block may be smaller)."""


def draw_truth(seed: int, data: DataParams) -> Truth:
    """Return the position that each context reads: as listed, or drawn with replacement from the seed."""
    if isinstance(data.true_attention, list):
        return np.array(data.true_attention, dtype=np.int64)
    return stream(seed, "truth").integers(0, data.seq_len, data.n_contexts)


def draw_examples(
    seed: int, split: Literal["train", "test"], n: int, truth: Truth, seq_len: int, block_rows: int = BLOCK_ROWS
) -> Iterator[Examples]:
    """Yield the `n` examples of a split, `block_rows` at a time; the numbers do not depend on the block's size."""
    input_stream, context_stream = (
        (stream(seed, "train inputs"), stream(seed, "train contexts"))
        if split == "train"
        else (stream(seed, "test inputs"), stream(seed, "test contexts"))
    )
    for start in range(0, n, block_rows):
        rows = min(block_rows, n - start)
        inputs = input_stream.random((rows, seq_len), dtype=np.float32)
        contexts = context_stream.integers(0, len(truth), rows)
        yield Examples(inputs, contexts, inputs[np.arange(rows), truth[contexts]])


@dataclass(frozen=True)
class DrawnTable:
    """The table that `write_examples` would write of a split, without a file: the same examples in the same blocks."""

    seed: int
    split: Literal["train", "test"]
    n: int
    truth: Truth
    seq_len: int

    def __len__(self) -> int:
        """Return the number of examples."""
        return self.n

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[Examples]:
        """Yield all examples in order, exactly `rows` at a time (the last block may be smaller)."""
        if self.n > BLOCK_ROWS:  # drawn again each time: memory does not grow with the number of examples
            yield from draw_examples(self.seed, self.split, self.n, self.truth, self.seq_len, rows)
            return
        for first in range(0, self.n, rows):
            yield self._whole.take(slice(first, first + rows))

    @cached_property
    def _whole(self) -> Examples:
        (block,) = draw_examples(self.seed, self.split, self.n, self.truth, self.seq_len)
        return block


def write_examples(path: str | Path, blocks: Iterable[Examples], seq_len: int) -> None:
    """Write a Parquet table: columns x_0 … x_{seq_len-1} float32, context int64, y float32; a row group a block.

    Uniform numbers do not compress, and a codec's bytes depend on its version: the columns are stored plain.
    """
    schema = _schema(seq_len)
    with (
        writing(path) as beside,
        pq.ParquetWriter(beside, schema, compression="none", use_dictionary=False, write_statistics=False) as writer,
    ):
        for inputs, contexts, targets in blocks:
            columns = [pa.array(column) for column in (*inputs.T.copy(), contexts, targets)]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))


def write_truth(path: str | Path, truth: Truth) -> None:
    """Write the table context,position."""
    with writing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["context", "position"])
        table.writerows(enumerate(truth.tolist()))


def read_truth(path: str | Path) -> Truth:
    """Read the position of each context; the contexts are 0, 1, 2 … in order."""
    try:
        with regular(path, MOST_TRUTH).open(newline="", encoding="utf-8") as file:
            header, *rows = csv.reader(file)
        contexts, positions = zip(*((int(context), int(position)) for context, position in rows), strict=True)
    except OSError as error:
        raise _missing(path, error) from error
    except (ValueError, csv.Error) as error:
        raise DataError(f"{path}: not a table of whole numbers context,position; {_AGAIN}") from error
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


@dataclass(frozen=True)
class ExampleTable:
    """A Parquet table of examples, checked against the truth as it is read.

    Args:
        path: the table.
        truth: (n_contexts,) what the examples must agree with.

    Raises:
        DataError: on opening, when the file is no such table; while reading, at the first bad row.

    """

    path: Path
    truth: Truth

    def __post_init__(self) -> None:
        file = self._file()
        found = file.schema_arrow
        columns = [name for name in found.names if name.startswith("x_")]
        wanted = _schema(max(1, len(columns)))
        if not found.equals(wanted):
            pairs = zip_longest(map(_describe, found), map(_describe, wanted))
            got, instead = next((a, b) for a, b in pairs if a != b)
            raise DataError(
                f"{self.path}: got {f'column {show_name(got)}' if got else 'no column'} in the place of "
                f"{instead.partition(' ')[0] if instead else 'nothing'}; "
                f"allowed: x_0, x_1 … float32, context int64, y float32, in this order and nothing else; {_AGAIN}"
            )
        if len(self.truth) and self.truth.max() >= len(columns):
            raise DataError(
                f"{self.path}: got {len(columns)} positions, but the truth reads position {self.truth.max()}; {_AGAIN}"
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
        return int(self._file().metadata.num_rows)

    @property
    def seq_len(self) -> int:
        """The number of positions."""
        return len(self._file().schema_arrow) - 2

    def blocks(self, rows: int = BLOCK_ROWS) -> Iterator[Examples]:
        """Yield all examples in order, exactly `rows` at a time (the last block may be smaller)."""
        held: list[Examples] = []
        wanted = rows
        for part in self._row_groups():
            while len(part.targets) >= wanted:
                yield _join([*held, part.take(slice(wanted))])
                held, part, wanted = [], part.take(slice(wanted, None)), rows
            held.append(part)
            wanted -= len(part.targets)
        if wanted < rows:
            yield _join(held)

    def _row_groups(self) -> Iterator[Examples]:
        file = self._file()
        first_row = 0
        for group in range(file.num_row_groups):  # pyarrow's own iterator over batches would keep them all in memory
            try:
                columns = file.read_row_group(group, use_threads=False).columns
            except (OSError, pa.ArrowException) as error:
                raise _damaged(self.path) from error
            if {len(column) for column in columns} != {file.metadata.row_group(group).num_rows}:
                raise _damaged(self.path)
            *inputs, contexts, targets = (column.to_numpy() for column in columns)
            part = Examples(np.stack(inputs, axis=1), contexts, targets)
            self._check(part, first_row)
            yield part
            first_row += len(targets)

    def _file(self) -> Any:
        try:
            return pq.ParquetFile(regular(self.path))
        except OSError as error:
            raise (_missing(self.path, error) if error.errno else _damaged(self.path)) from error
        except (pa.ArrowException, UnicodeDecodeError) as error:  # names of columns are read here too
            raise _damaged(self.path) from error

    def _check(self, block: Examples, first_row: int) -> None:
        inside = (block.inputs >= 0) & (block.inputs < 1)  # false for NaN too
        known = (block.contexts >= 0) & (block.contexts < len(self.truth))
        if not inside.all():
            row, column = np.argwhere(~inside)[0]
            raise DataError(
                f"{self.path}: row {first_row + row}: x_{column} is {block.inputs[row, column]}; "
                f"allowed: 0 up to, not including, 1; {_AGAIN}"
            )
        if block.contexts.dtype != np.int64 or not known.all():
            row = int(np.argmin(known))
            raise DataError(
                f"{self.path}: row {first_row + row}: context is {block.contexts[row]}; "
                f"allowed: 0 to {len(self.truth) - 1}; {_AGAIN}"
            )
        true = block.inputs[np.arange(len(known)), self.truth[block.contexts]]
        if not np.array_equal(true, block.targets):
            row = int(np.argmax(true != block.targets))
            raise DataError(
                f"{self.path}: row {first_row + row}: y is {block.targets[row]}, but context {block.contexts[row]} "
                f"reads x_{self.truth[block.contexts[row]]} = {true[row]}; {_AGAIN}"
            )


_AGAIN = "`dvc repro -f generate` writes it again"


def _join(parts: list[Examples]) -> Examples:
    return parts[0] if len(parts) == 1 else Examples(*map(np.concatenate, zip(*parts, strict=True)))


def _missing(path: str | Path, error: OSError) -> DataError:
    return DataError(f"{path}: cannot be read ({error.strerror}); `dvc repro` writes it")


def _damaged(path: str | Path) -> DataError:
    return DataError(f"{path}: not a whole Parquet file; {_AGAIN}")


def _describe(column: Any) -> str:
    return f"{column.name} {column.type}{'' if column.nullable else ', not null,'}"


def _schema(seq_len: int) -> Any:
    inputs = [pa.field(f"x_{j}", pa.float32(), nullable=False) for j in range(seq_len)]
    return pa.schema(
        [*inputs, pa.field("context", pa.int64(), nullable=False), pa.field("y", pa.float32(), nullable=False)]
    )
