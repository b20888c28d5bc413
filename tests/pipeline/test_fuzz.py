"""No bytes in a file make a reader fail in any way but its own: arbitrary ones, and whole files with harm done to them.

The examples are drawn from a fixed seed, so that a failure is found again; `benchmarks/trust.py` draws many more.
"""

import functools
import io
import json
import math
import os
import struct
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from conftest import ROOT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attention.params import load_params
from attention.tasks.cases import read_truth, write_truth
from attention.tasks.examples import ExampleTable, write_examples
from attention.tasks.problem import draw_columns, lookup
from attention.weights import draw_weights, load_weights, save_weights
from workbench.stage.errors import UserError
from workbench.stage.tables import read_grid, read_metrics, read_table

EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "60"))
FUZZ = settings(
    max_examples=EXAMPLES,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
PROBLEM = lookup([2, 6, 3], 7)

Reader = Callable[[Path], object]


def _all_blocks(path: Path) -> None:
    table = ExampleTable(path, PROBLEM)
    rows = sum(len(block.targets) for block in table.blocks(50))
    assert rows == len(table)


READERS: dict[str, Reader] = {
    "load_params": load_params,
    "read_truth": read_truth,
    "ExampleTable": _all_blocks,
    "load_weights": load_weights,
    "read_table": lambda path: read_table(path, ("epoch", "mse")),
    "read_grid": lambda path: read_grid(path, ("epoch", "mse"), None),
    "read_metrics": read_metrics,
}


@functools.cache
def whole_files() -> dict[str, bytes]:
    """Return a file that each reader accepts."""
    with tempfile.TemporaryDirectory() as folder:
        return _whole_files(Path(folder))


def _whole_files(folder: Path) -> dict[str, bytes]:
    origin = {"parameters": {"seed": 1}, "data": {}}
    write_truth(folder / "read_truth", PROBLEM, 0)
    write_examples(folder / "ExampleTable", draw_columns(PROBLEM, 0, "train", 101, 60), PROBLEM)
    save_weights(folder / "load_weights", draw_weights("embedding", 3, 7, 1, origin))
    (folder / "load_params").write_bytes((ROOT / "params.yaml").read_bytes())
    for name in ("read_table", "read_grid"):
        (folder / name).write_text("epoch,mse\n0,0.25\n1,0.125\n")
    (folder / "read_metrics").write_text('{"mse": 0.5, "recovery": {"effective": 0.25}}\n')
    for name, reader in READERS.items():
        reader(folder / name)
    return {name: (folder / name).read_bytes() for name in READERS}


@st.composite
def harm(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """Draw a few changes to a file: bytes written over, cut out, put in, repeated, or a number made another."""
    kinds = st.sampled_from(["over", "flip", "cut", "insert", "repeat", "end", "number"])
    places = st.floats(0, 1, exclude_max=True)
    changes = draw(
        st.lists(
            st.tuples(kinds, places, st.integers(1, 64), st.binary(min_size=1, max_size=16)), min_size=1, max_size=5
        )
    )

    def apply(data: bytes) -> bytes:
        for kind, place, length, new in changes:
            at = int(place * len(data))
            data = {
                "over": data[:at] + new + data[at + len(new) :],
                "flip": data[:at] + bytes(b ^ (1 << length % 8) for b in data[at : at + 1]) + data[at + 1 :],
                "cut": data[:at] + data[at + length :],
                "insert": data[:at] + new + data[at:],
                "repeat": data[:at] + data[at : at + length] * 2 + data[at + length :],
                "end": data[:at],
                "number": data[:at] + struct.pack("<Q", (-1) ** length * 2 ** (length - 1) % 2**64) + data[at + 8 :],
            }[kind]
        return data

    return apply


def refuse_or_read(reader: Reader, path: Path, data: bytes) -> None:
    """Only what is told to a user may come out, on lines that are not too long."""
    path.write_bytes(data)
    try:
        reader(path)
    except UserError as error:
        for line in str(error).split("\n"):
            assert line.isprintable(), repr(line)
            assert len(line) < 1000


@pytest.mark.parametrize("name", READERS)
@FUZZ
@given(data=st.binary(max_size=300))
def test_any_bytes_are_refused_or_read_by(name: str, tmp_path: Path, data: bytes) -> None:
    refuse_or_read(READERS[name], tmp_path / "file", data)


@pytest.mark.parametrize("name", READERS)
@FUZZ
@given(change=harm())
def test_a_file_with_harm_done_to_it_is_refused_or_read_by(
    name: str, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    refuse_or_read(READERS[name], tmp_path / "file", change(whole_files()[name]))


@pytest.mark.parametrize("name", ["load_params", "read_truth", "read_table", "read_metrics"])
@FUZZ
@given(text=st.text(alphabet="0123456789.,:-+eEnaNif\"'[]{}&*!|>#%@ \n\t\r\\/~\0é\ud7ff", max_size=120))
def test_any_text_is_refused_or_read_by(name: str, tmp_path: Path, text: str) -> None:
    refuse_or_read(READERS[name], tmp_path / "file", text.encode("utf-8"))


def test_a_table_with_any_bit_of_its_schema_or_its_number_of_rows_turned_is_refused_or_read(tmp_path: Path) -> None:
    data = whole_files()["ExampleTable"]
    first = data.index(b"schema")
    for place in range(first, data.index(b"x_0", first + 140)):
        for bit in range(8):
            turned = data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :]
            refuse_or_read(_all_blocks, tmp_path / "file", turned)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


@FUZZ
@given(tree=values)
def test_any_json_is_refused_or_read_by_read_metrics(tmp_path: Path, tree: object) -> None:
    refuse_or_read(read_metrics, tmp_path / "file", json.dumps(tree).encode())


KEYS = ["seed", "data", "model", "train", "tracking", "n_train", "true_attention", "attention", "epochs", "x"]


@FUZZ
@given(tree=st.dictionaries(st.sampled_from(KEYS), values | st.dictionaries(st.sampled_from(KEYS), values)))
def test_any_mapping_is_refused_or_read_by_load_params(tmp_path: Path, tree: object) -> None:
    refuse_or_read(load_params, tmp_path / "file", json.dumps(tree).encode())  # JSON is YAML


@FUZZ
@given(
    about=values | st.fixed_dictionaries(dict.fromkeys(("function", "n_contexts", "seq_len", "origin", "key"), values))
)
def test_any_metadata_are_refused_or_read_by_load_weights(tmp_path: Path, about: object) -> None:
    header = json.dumps({"__metadata__": {"attention": json.dumps(about)}}).encode()
    refuse_or_read(load_weights, tmp_path / "file", struct.pack("<Q", len(header)) + header)


@FUZZ
@given(
    header=st.dictionaries(
        st.text(max_size=8) | st.sampled_from(["linear.weight", "__metadata__"]),
        values
        | st.fixed_dictionaries(
            {
                "dtype": st.sampled_from(
                    ["F32", "F64", "F16", "BF16", "F8_E4M3", "F4", "I64", "U8", "BOOL", "C64", "?"]
                ),
                "shape": st.lists(st.integers(-1, 2**40), max_size=3),
                "data_offsets": st.lists(st.integers(-1, 40), max_size=3),
            }
        ),
        max_size=3,
    ),
    data=st.binary(max_size=32),
)
def test_any_safetensors_header_is_refused_or_read_by_load_weights(
    tmp_path: Path, header: dict[str, Any], data: bytes
) -> None:
    text = json.dumps(header).encode()
    refuse_or_read(load_weights, tmp_path / "file", struct.pack("<Q", len(text)) + text + data)


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Draw a table whose columns are nearly those of the examples."""
    rows = draw(st.integers(0, 3))
    kinds = st.sampled_from([pa.float32(), pa.float64(), pa.int64(), pa.string(), pa.list_(pa.float32()), pa.null()])
    names = draw(st.lists(st.sampled_from([*(f"x_{j}" for j in range(8)), "context", "y", "x_", "\n"]), max_size=10))
    columns = []
    for name in names:
        kind = draw(st.sampled_from([{"c": pa.int64()}.get(name[0], pa.float32())] * 3) | kinds)
        nullable = draw(st.booleans())
        number: st.SearchStrategy[Any] = {
            pa.int64(): st.integers(-1, 4),
            pa.string(): st.text(max_size=3),
            pa.list_(pa.float32()): st.lists(st.floats(0, 1, width=32), max_size=2),
            pa.null(): st.none(),
        }.get(kind, st.floats(width=32))
        cells = draw(st.lists(number | st.none() if nullable else number, min_size=rows, max_size=rows))
        columns.append((pa.field(name, kind, nullable=nullable or kind == pa.null()), pa.array(cells, kind)))
    return pa.table([column for _, column in columns], schema=pa.schema([field for field, _ in columns]))


@FUZZ
@given(table=tables())
def test_any_table_is_refused_or_read_by_example_table(tmp_path: Path, table: pa.Table) -> None:
    file = io.BytesIO()
    pa.parquet.write_table(table, file)
    refuse_or_read(_all_blocks, tmp_path / "file", file.getvalue())


@FUZZ
@given(
    numbers=st.lists(st.floats(0, 1, exclude_max=True, width=32), min_size=7, max_size=7),
    context=st.integers(0, 2),
    target=st.floats(width=32),
)
def test_a_row_is_read_exactly_when_its_y_is_the_number_that_its_context_reads(
    tmp_path: Path, numbers: list[float], context: int, target: float
) -> None:
    path = tmp_path / "file"
    write_examples(path, _rows(numbers, context, target), PROBLEM)
    true = numbers[[2, 6, 3][context]]
    try:
        _all_blocks(path)
        read = True
    except UserError:
        read = False
    assert read == (not math.isnan(target) and np.float32(target) == np.float32(true))


def _rows(numbers: list[float], context: int, target: float) -> Iterator[Any]:
    yield {
        "x": np.array([numbers], np.float32),
        "context": np.array([context]),
        "y": np.array([target], np.float32),
    }
