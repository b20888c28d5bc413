"""Small result tables: CSV with a header, numbers in the fewest digits that read back exactly."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workbench.stage.errors import DataError, show_name, show_value
from workbench.stage.inputs import from_json, regular
from workbench.stage.outputs import writing

Metrics = dict[str, Union[float, "Metrics"]]

BLOCK_ROWS = 65_536  # rows of a table written and read at a time
MOST_TABLE, MOST_JSON = 1_000_000_000, 1_000_000  # bytes; the largest table that params.yaml allows has half of it


def write_table(path: str | Path, columns: Mapping[str, ArrayLike]) -> None:
    """Write columns of equal length, in the order given; whole numbers, float32 and float64 keep their every bit."""
    _write_blocks(path, [columns])


def write_grid(path: str | Path, names: Sequence[str], arrays: Sequence[NDArray[np.generic]]) -> None:
    """Write what `number_rows` makes of arrays of one shape, stacked, without laying out more than a block at once."""
    at_once = max(1, BLOCK_ROWS // arrays[0].size)

    def blocks() -> Iterator[Mapping[str, ArrayLike]]:
        for first in range(0, len(arrays), at_once):
            rows = number_rows(names, np.stack(arrays[first : first + at_once]))
            yield {**rows, names[0]: rows[names[0]] + first}

    _write_blocks(path, blocks())


def _write_blocks(path: str | Path, blocks: Iterable[Mapping[str, ArrayLike]]) -> None:
    with writing(path) as beside, beside.open("w", newline="", encoding="utf-8") as file:
        for number, columns in enumerate(blocks):
            pd.DataFrame(dict(columns)).to_csv(file, index=False, header=not number, lineterminator="\n")


def read_table(path: str | Path, columns: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Read a table that has exactly these columns, all finite numbers, and at least one row.

    Raises:
        DataError: the file is missing or holds anything else.

    """
    numbers = np.concatenate([*_read_blocks(path, columns)])
    return {name: numbers[:, place].copy() for place, name in enumerate(columns)}


def read_grid(path: str | Path, columns: Sequence[str], *sizes: int | None) -> dict[str, NDArray[np.float64]]:
    """Read what `number_rows` laid out: the first columns count the places of an array, one row a place, in order.

    Args:
        path: the table.
        columns: first one for each axis, then what the places hold.
        sizes: the array's; None for the first: as long as the table is.

    Returns:
        each of the latter columns as an array of that shape.

    Raises:
        DataError: as `read_table` does, and where the rows are other than these.

    """
    inner = [size or 0 for size in sizes[1:]]
    steps = [math.prod(inner[axis:]) for axis in range(len(sizes))]  # rows from one place to the next along an axis
    rows, ordered, held = 0, True, []
    for block in _read_blocks(path, columns):
        number = np.arange(rows, rows + len(block))
        for axis, step in enumerate(steps):
            place = number // step % inner[axis - 1] if axis else number // step
            ordered = ordered and np.array_equal(block[:, axis], place)
        rows += len(block)
        held.append(block[:, len(sizes) :].copy())
    shape = (sizes[0] or max(1, rows // steps[0]), *inner)
    if rows != math.prod(shape) or not ordered:
        axes = " × ".join(f"{size} {name}s" for name, size in zip(columns, shape, strict=False))
        raise DataError(
            f"{path}: its {rows} rows are not one for each of {axes}, in order; "
            f"`dvc repro -f {Path(path).parent.name}` writes it again"
        )
    numbers = np.concatenate(held)
    return {name: numbers[:, place].reshape(shape) for place, name in enumerate(columns[len(sizes) :])}


def _read_blocks(path: str | Path, columns: Sequence[str]) -> Iterator[NDArray[np.float64]]:
    """Yield the rows (n, columns) of a table, a block at a time."""
    stage = Path(path).parent.name
    wanted = (
        f"allowed: at least one row of {','.join(columns)}, all finite numbers; `dvc repro -f {stage}` writes it again"
    )
    rows = 0
    try:
        with regular(path, MOST_TABLE).open("rb") as file:
            header, first = (file.readline(1_000).rstrip(b"\r\n") for _ in range(2))
        if header != ",".join(columns).encode():  # before pandas, which would take a million columns as they come
            raise DataError(f"{path}: got the columns {show_name(header.decode(errors='replace'))}; {wanted}")
        if first.count(b",") >= len(columns):  # pandas makes an index of what the first row has more than the header
            raise ValueError("a row longer than the header")
        with pd.read_csv(path, chunksize=BLOCK_ROWS, skip_blank_lines=False) as frames:
            for frame in frames:
                numbers = frame.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
                if not np.isfinite(numbers).all():
                    row, place = np.argwhere(~np.isfinite(numbers))[0]
                    got = show_name(frame.iloc[row, place])
                    raise DataError(f"{path}: row {rows + row}: {columns[place]} is {got}; {wanted}")
                rows += len(numbers)
                yield numbers
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); `dvc repro {stage}` writes it") from error
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: not a CSV table; `dvc repro -f {stage}` writes it again") from error
    if not rows:
        raise DataError(f"{path}: got no rows; {wanted}")


def write_json(path: str | Path, value: Any) -> None:
    """Write a value as JSON, its mappings in their order."""
    with writing(path) as beside:
        beside.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8", newline="\n")


def read_metrics(path: str | Path, *needed: str) -> dict[str, float]:
    """Read what `write_json` wrote of metrics, by dotted names.

    Raises:
        DataError: the file is missing, is no JSON, holds anything but finite numbers, or lacks one of those needed.

    """
    stage = Path(path).parent.name
    try:
        text = regular(path, MOST_JSON).read_text(encoding="utf-8")
        metrics = dict(_flatten(from_json(text)))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); `dvc repro {stage}` writes it") from error
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not a JSON file; `dvc repro -f {stage}` writes it again") from error
    for name in sorted({*needed, *metrics}):
        value = metrics.get(name)
        if not isinstance(value, float) or not math.isfinite(value):
            raise DataError(
                f"{path}: {show_name(name or 'all of it')}: got {show_value(value)}; allowed: a number; "
                f"`dvc repro -f {stage}` writes it again"
            )
    return metrics


def _flatten(tree: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        for name, value in tree.items():
            yield from _flatten(value, f"{prefix}.{name}" if prefix else name)
    else:
        yield prefix, tree


def number_rows(names: Sequence[str], values: NDArray[np.generic]) -> dict[str, NDArray[np.generic]]:
    """Lay an array out as one row a number: a column for each of its axes, the last name for the number itself."""
    return dict(zip(names, [*np.indices(values.shape).reshape(values.ndim, -1), values.ravel()], strict=True))
