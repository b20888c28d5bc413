"""Small result tables: CSV with a header, numbers in the fewest digits that read back exactly."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from workbench.stage.errors import DataError, show_name, show_value
from workbench.stage.outputs import writing

Metrics = dict[str, Union[float, "Metrics"]]

HISTORY_COLUMNS = ("epoch", "mse", "normalized", "effective", "accuracy")
ATTENTION_COLUMNS = ("epoch", "context", "position", "attention")
EVALUATION_COLUMNS = ("context", "position", "truth", "attention", "normalized", "effective")


def write_table(path: str | Path, columns: Mapping[str, ArrayLike]) -> None:
    """Write columns of equal length, in the order given; whole numbers, float32 and float64 keep their every bit."""
    with writing(path) as beside:
        pd.DataFrame(dict(columns)).to_csv(beside, index=False, lineterminator="\n")


def read_table(path: str | Path, columns: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Read a table that has exactly these columns, all finite numbers, and at least one row.

    Raises:
        DataError: the file is missing or holds anything else.

    """
    stage = Path(path).parent.name
    try:
        frame = pd.read_csv(path)
        if not isinstance(frame.index, pd.RangeIndex):  # pandas makes an index of what rows have more than the header
            raise ValueError("rows longer than the header")
        numbers = frame.apply(pd.to_numeric, errors="coerce").astype(float)
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); `dvc repro {stage}` writes it") from error
    except (ValueError, OverflowError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: not a CSV table; `dvc repro -f {stage}` writes it again") from error
    if list(frame.columns) != list(columns) or not len(frame) or not np.isfinite(numbers.to_numpy()).all():
        got = show_name(",".join(map(str, frame.columns)))
        raise DataError(
            f"{path}: got {len(frame)} rows of {got}; allowed: at least one row of "
            f"{','.join(columns)}, all finite numbers; `dvc repro -f {stage}` writes it again"
        )
    return {name: numbers[name].to_numpy() for name in columns}


def read_grid(path: str | Path, columns: Sequence[str], *sizes: int | None) -> dict[str, NDArray[np.float64]]:
    """Read what `number_rows` laid out: the first columns count the places of an array, one row a place, in order.

    Args:
        path: the table.
        columns: first one for each axis, then what the places hold.
        sizes: the array's; None for the first: as long as the table is.

    Returns:
        each column as an array of that shape.

    Raises:
        DataError: as `read_table` does, and where the rows are other than these.

    """
    table = read_table(path, columns)
    rows = len(table[columns[0]])
    inner = [size or 0 for size in sizes[1:]]
    shape = (sizes[0] or max(1, rows // math.prod(inner)), *inner)
    places = np.indices(shape).reshape(len(shape), -1)
    if rows != places.shape[1] or not all(map(np.array_equal, table.values(), places)):
        axes = " × ".join(f"{size} {name}s" for name, size in zip(columns, shape, strict=False))
        raise DataError(
            f"{path}: its {rows} rows are not one for each of {axes}, in order; "
            f"`dvc repro -f {Path(path).parent.name}` writes it again"
        )
    return {name: column.reshape(shape) for name, column in table.items()}


def write_metrics(path: str | Path, metrics: Metrics) -> None:
    """Write metrics, possibly in groups, as JSON."""
    with writing(path) as beside:
        beside.write_text(json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def read_metrics(path: str | Path, *needed: str) -> dict[str, float]:
    """Read what `write_metrics` wrote, by dotted names.

    Raises:
        DataError: the file is missing, is no JSON, holds anything but finite numbers, or lacks one of those needed.

    """
    stage = Path(path).parent.name
    try:
        metrics = dict(_flatten(json.loads(Path(path).read_text())))
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
