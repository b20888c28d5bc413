"""Result tables and metrics: exact numbers out and in, and every refusal."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray

from attention.measures.columns import ATTENTION_COLUMNS, EVALUATION_COLUMNS, HISTORY_COLUMNS
from workbench.stage.errors import DataError
from workbench.stage.tables import number_rows, read_grid, read_metrics, read_table, write_grid, write_json, write_table

AGAIN = "`dvc repro -f train` writes it again"
WANTED = "allowed: at least one row of epoch,mse, all finite numbers"

Put = Callable[[str | bytes], Path]


@pytest.fixture
def put(tmp_path: Path) -> Put:
    """Put a text into a file of the stage `train`."""
    path = tmp_path / "train" / "file"
    path.parent.mkdir()

    def put_text(text: str | bytes) -> Path:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return put_text


def finite_floats(count: int, dtype: type[np.floating]) -> NDArray[np.floating]:
    """Return numbers whose bits are random, so of every size, besides the largest, smallest and roundest."""
    limits = np.finfo(dtype)
    bits = np.random.default_rng(13).integers(0, 256, count * limits.bits // 8, dtype=np.uint8)
    drawn = bits.view(dtype)
    special = np.array([limits.max, limits.tiny, limits.smallest_subnormal, 0.1, -0.0, 1, 1e5, 1e16, 1e22], dtype)
    found: NDArray[np.floating] = np.concatenate([drawn[np.isfinite(drawn)], special])
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_keep_their_every_bit(tmp_path: Path, dtype: type[np.floating]) -> None:
    numbers = finite_floats(1009, dtype)
    write_table(tmp_path / "t.csv", {"number": numbers})
    back = read_table(tmp_path / "t.csv", ["number"])["number"]
    assert back.astype(dtype).tobytes() == numbers.tobytes()


def test_a_table_is_written_in_the_order_given_with_the_fewest_digits(tmp_path: Path) -> None:
    columns: dict[str, ArrayLike] = {"b": np.array([0.1, 1 / 3], np.float32), "a": [2, 3], "c": np.array([0.1, 1e-10])}
    write_table(tmp_path / "t.csv", columns)
    assert (tmp_path / "t.csv").read_bytes() == b"b,a,c\n0.1,2,0.1\n0.33333334,3,1e-10\n"


def test_a_table_is_read_as_other_readers_read_it(put: Put) -> None:
    text = "epoch,mse\n0,0.05295090000000001\n1,2.9285e-03\n"
    rows = list(csv.DictReader(text.splitlines()))
    found = read_table(put(text), ["epoch", "mse"])
    assert list(found) == ["epoch", "mse"]
    for name, column in found.items():
        assert column.dtype == np.float64
        assert column.tolist() == [float(row[name]) for row in rows]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "got the columns "),
        ("epoch,mse\n", "got no rows"),
        ("epoch,mse\n0,\n", "row 0: mse is nan"),
        ("epoch,mse\n0\n", "row 0: mse is nan"),
        ("epoch,mse\n0,1\n\n2,1\n", "row 1: epoch is nan"),
        ("epoch,mse\n0,1\n1,nan\n", "row 1: mse is nan"),
        ("epoch,mse\n0,inf\n", "row 0: mse is inf"),
        ("epoch,mse\n0,much\n", "row 0: mse is much"),
        ("epoch,mse\n0,\x1b[31m\n", "row 0: mse is \\x1b[31m"),
        ("mse,epoch\n0,1\n", "got the columns mse,epoch"),
        ("epoch\n0\n", "got the columns epoch"),
        ("epoch,mse,more\n0,1,2\n", "got the columns epoch,mse,more"),
        ("epoch,epoch\n0,1\n", "got the columns epoch,epoch"),
        ("\ufeffepoch,mse\n0,1\n", "got the columns \\ufeffepoch,mse"),
        (b"\xffepoch,mse\n0,1\n", "got the columns \N{REPLACEMENT CHARACTER}epoch,mse"),
        (",".join(["epoch"] * 1_000_000) + "\n1\n", "got the columns " + ("epoch," * 13)[:77] + "..."),
    ],
    ids=range(16),
)
def test_a_table_of_anything_else_is_refused(put: Put, text: str | bytes, told: str) -> None:
    path = put(text)
    with pytest.raises(DataError) as caught:
        read_table(path, ["epoch", "mse"])
    assert str(caught.value) == f"{path}: {told}; {WANTED}; {AGAIN}"


@pytest.mark.parametrize(
    "text",
    [
        "epoch,mse\n0,1\n0,1,2\n",
        "epoch,mse\n0,1,2\n",
        "epoch,mse\n" + "1," * 1_000_000 + "1\n",
        "epoch,mse\n0,1" + "0" * 400 + "\n",
        b"epoch,mse\n\xff,1\n",
    ],
    ids=range(5),
)
def test_what_is_no_table_is_refused(put: Put, text: str | bytes) -> None:
    path = put(text)
    with pytest.raises(DataError) as caught:
        read_table(path, ["epoch", "mse"])
    assert str(caught.value) == f"{path}: not a CSV table; {AGAIN}"


def test_a_file_larger_than_any_table_is_refused_before_it_is_read(put: Put, monkeypatch: pytest.MonkeyPatch) -> None:
    path = put("epoch,mse\n0,1\n")
    monkeypatch.setattr("workbench.stage.tables.MOST_TABLE", 13)
    with pytest.raises(DataError) as caught:
        read_table(path, ["epoch", "mse"])
    told = "cannot be read (14 bytes, of which at most 13 are read)"
    assert str(caught.value) == f"{path}: {told}; `dvc repro train` writes it"


@pytest.mark.parametrize("block_rows", [1, 7, 24, 65_536])
def test_a_grid_is_written_and_read_a_block_at_a_time_with_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_rows: int
) -> None:
    array = np.random.default_rng(0).random((5, 3, 4), dtype=np.float32)
    write_table(tmp_path / "whole.csv", number_rows(ATTENTION_COLUMNS, array))
    monkeypatch.setattr("workbench.stage.tables.BLOCK_ROWS", block_rows)
    write_grid(tmp_path / "blocks.csv", ATTENTION_COLUMNS, [*array])
    assert (tmp_path / "blocks.csv").read_bytes() == (tmp_path / "whole.csv").read_bytes()
    found = read_grid(tmp_path / "blocks.csv", ATTENTION_COLUMNS, 5, 3, 4)
    assert {*found} == {"attention"}
    assert np.array_equal(found["attention"].astype(np.float32), array)
    for sizes in ((5, 4, 3), (4, 3, 4), (None, 3, 5)):
        with pytest.raises(DataError, match="its 60 rows are not one for each of "):
            read_grid(tmp_path / "blocks.csv", ATTENTION_COLUMNS, *sizes)


def test_a_missing_table_names_the_stage_that_writes_it(tmp_path: Path) -> None:
    path = tmp_path / "data" / "evaluate" / "attention.csv"
    with pytest.raises(DataError) as caught:
        read_table(path, EVALUATION_COLUMNS)
    assert str(caught.value) == f"{path}: cannot be read (No such file or directory); `dvc repro evaluate` writes it"


def test_metrics_are_json_with_every_bit_of_their_numbers(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"mse": 0.1, "recovery": {"normalized": 1 / 3}})
    text = (tmp_path / "m.json").read_text()
    assert text == '{\n  "mse": 0.1,\n  "recovery": {\n    "normalized": 0.3333333333333333\n  }\n}\n'
    assert read_metrics(tmp_path / "m.json") == {"mse": 0.1, "recovery.normalized": 1 / 3}


def test_no_metric_may_be_nan_and_the_earlier_file_stays(tmp_path: Path) -> None:
    write_json(tmp_path / "m.json", {"mse": 0.1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "m.json", {"mse": float("nan")})
    assert json.loads((tmp_path / "m.json").read_text()) == {"mse": 0.1}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ('{"a": {"c": 1.5}}', "null"),
        ('{"a": 1.5}', "null"),
        ('{"a": {"b": "1.5"}}', "'1.5'"),
        ('{"a": {"b": true}}', "true"),
        ('{"a": {"b": NaN}}', "nan"),
        ('{"a": {"b": 1e999}}', "inf"),
        ('{"a": {"b": "' + "x" * 200 + '"}}', "'" + "x" * 76 + "..."),
    ],
)
def test_a_metric_that_is_no_number_is_refused(put: Put, text: str, shown: str) -> None:
    path = put(text)
    with pytest.raises(DataError) as caught:
        read_metrics(path, "a.b")
    assert str(caught.value) == f"{path}: a.b: got {shown}; allowed: a number; {AGAIN}"


@pytest.mark.parametrize(
    "text", ["", '{"mse": 0.5, "mse": 0.4}', '\ufeff{"mse": 0.5}', '{"mse":', b'{"mse": "\xff"}', "[" * 100_000]
)
def test_what_is_no_json_is_refused(put: Put, text: str | bytes) -> None:
    path = put(text)
    with pytest.raises(DataError) as caught:
        read_metrics(path)
    assert str(caught.value) == f"{path}: not a JSON file; {AGAIN}"


def test_missing_metrics_name_the_stage_that_writes_them(tmp_path: Path) -> None:
    path = tmp_path / "data" / "evaluate" / "metrics.json"
    with pytest.raises(DataError) as caught:
        read_metrics(path)
    assert str(caught.value) == f"{path}: cannot be read (No such file or directory); `dvc repro evaluate` writes it"


def test_an_array_is_laid_out_one_row_a_number() -> None:
    rows = number_rows(("epoch", "context", "value"), np.array([[5.0, 7.0, 11.0], [13.0, 17.0, 19.0]]))
    assert {name: column.tolist() for name, column in rows.items()} == {
        "epoch": [0, 0, 0, 1, 1, 1],
        "context": [0, 1, 2, 0, 1, 2],
        "value": [5, 7, 11, 13, 17, 19],
    }


def test_names_that_do_not_fit_the_axes_are_refused() -> None:
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        number_rows(("epoch", "context", "position", "value"), np.zeros((2, 3)))


def test_the_columns_that_other_people_read_keep_their_names() -> None:
    assert HISTORY_COLUMNS[:2] == ("epoch", "mse")
    assert ATTENTION_COLUMNS == ("epoch", "context", "position", "attention")
    assert EVALUATION_COLUMNS == ("context", "position", "truth", "attention", "normalized", "effective")
