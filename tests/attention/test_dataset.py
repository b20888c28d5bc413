"""The toy data: drawn from its streams, written and read without loss, and checked as it is read."""

import hashlib
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from attention.params.schema import DataParams
from attention.tasks.cases import read_truth, write_truth
from attention.tasks.examples import ExampleTable, open_examples, write_examples
from attention.tasks.problem import Examples, draw_columns, draw_examples, lookup
from workbench.stage.errors import DataError
from workbench.stage.outputs import md5

TRUTH = np.array([2, 6, 3])
SEQ_LEN, ROWS = 7, 211
PROBLEM = lookup(TRUTH, SEQ_LEN)
AGAIN = "`dvc repro -f generate` writes it again"
ALLOWED_COLUMNS = "allowed: x_0, x_1 … float32, context int64, y float32, in this order and nothing else"


def joined(blocks: Iterable[Examples]) -> Examples:
    held = list(blocks)
    return Examples(*(np.concatenate(column) for column in zip(*held, strict=True)))._replace(keys=held[0].keys)


def same(one: Examples, other: Examples) -> bool:
    return all(
        getattr(one, name).dtype == getattr(other, name).dtype
        and np.array_equal(getattr(one, name), getattr(other, name))
        for name in Examples._fields
    )


def data_params(true_attention: str | list[int], n_train: int = ROWS, n_contexts: int = 3) -> DataParams:
    return DataParams.model_validate(
        {
            "task": "lookup",
            "n_train": n_train,
            "n_test": 53,
            "seq_len": SEQ_LEN,
            "n_contexts": n_contexts,
            "true_attention": true_attention,
        }
    )


@pytest.fixture(scope="module")
def examples() -> Examples:
    return joined(draw_examples(PROBLEM, 0, "train", ROWS))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "train.parquet"
    write_examples(path, draw_columns(PROBLEM, 0, "train", ROWS, 47), PROBLEM)
    return path


def test_a_listed_truth_is_taken_as_it_is() -> None:
    assert data_params([2, 6, 3]).problem(5) == PROBLEM


def test_a_random_truth_depends_on_the_seed_and_the_sizes_alone() -> None:
    def draw(seed: int, data: DataParams) -> list[int]:
        return list(data.problem(seed).sizes["true_attention"])

    drawn = draw(0, data_params("random", n_contexts=101))
    assert len(drawn) == 101
    assert set(drawn) == set(range(SEQ_LEN))  # with replacement: more contexts than positions
    assert drawn == draw(0, data_params("random", n_train=3, n_contexts=101))
    assert drawn != draw(1, data_params("random", n_contexts=101))


def test_the_answer_is_the_number_that_the_context_points_at(examples: Examples) -> None:
    for inputs, context, target in zip(examples.values, examples.queries, examples.targets, strict=True):
        assert target == inputs[{0: 2, 1: 6, 2: 3}[int(context)]]


def test_the_numbers_are_uniform() -> None:
    inputs, contexts, *_ = joined(draw_examples(PROBLEM, 0, "train", 10_007))
    assert inputs.dtype == np.float32
    assert contexts.dtype == np.int64
    assert inputs.min() >= 0
    assert inputs.max() < 1
    assert np.abs(inputs.mean(axis=0) - 1 / 2).max() < 0.015  # five standard deviations
    assert np.abs(inputs.var(axis=0) - 1 / 12).max() < 0.004
    assert np.abs(np.corrcoef(np.column_stack([inputs, contexts]).T) - np.eye(SEQ_LEN + 1)).max() < 0.05
    assert np.abs(np.bincount(contexts, minlength=3) - 10_007 / 3).max() < 240


@pytest.mark.parametrize("block_rows", [1, 13, 105, 210, 211, 1009])
@pytest.mark.parametrize("split", ["train", "test"])
def test_examples_do_not_depend_on_the_size_of_the_blocks(block_rows: int, split: Literal["train", "test"]) -> None:
    blocks = list(draw_examples(PROBLEM, 3, split, ROWS, block_rows))
    assert [len(b.targets) for b in blocks[:-1]] == [block_rows] * (len(blocks) - 1)
    assert same(joined(blocks), joined(draw_examples(PROBLEM, 3, split, ROWS)))


def test_more_examples_begin_with_the_same_ones(examples: Examples) -> None:
    fewer = joined(draw_examples(PROBLEM, 0, "train", 53))
    assert same(fewer, examples.take(slice(53)))


def test_the_test_data_are_new_and_every_seed_has_its_own(examples: Examples) -> None:
    drawn = {s: joined(draw_examples(PROBLEM, s, "train", ROWS)).values for s in (0, 1)}
    drawn[2] = joined(draw_examples(PROBLEM, 0, "test", ROWS)).values
    assert np.array_equal(drawn[0], examples.values)
    assert len({row.tobytes() for inputs in drawn.values() for row in inputs}) == 3 * ROWS


def test_examples_are_taken_by_slice_or_by_row_numbers(examples: Examples) -> None:
    some = examples.take(np.array([5, 3]))
    assert some.values.tolist() == [examples.values[5].tolist(), examples.values[3].tolist()]
    assert some.queries.tolist() == [examples.queries[5], examples.queries[3]]
    assert some.targets.tolist() == [examples.targets[5], examples.targets[3]]


def test_other_readers_find_the_columns_of_the_contract(path: Path, examples: Examples) -> None:
    inputs = [f"x_{j}" for j in range(SEQ_LEN)]
    schema = pq.read_schema(path)
    assert schema.names == [*inputs, "context", "y"]
    assert [str(t) for t in schema.types] == ["float"] * SEQ_LEN + ["int64", "float"]
    frame = pd.read_parquet(path)
    assert np.array_equal(frame[inputs].to_numpy(), examples.values)
    assert np.array_equal(frame["context"].to_numpy(), examples.queries)
    assert np.array_equal(frame["y"].to_numpy(), examples.targets)


def test_equal_examples_give_equal_bytes(path: Path, tmp_path: Path) -> None:
    again = tmp_path / "another name.parquet"
    write_examples(again, draw_columns(PROBLEM, 0, "train", ROWS, 47), PROBLEM)
    assert again.read_bytes() == path.read_bytes()
    assert md5(again) == hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def test_a_digest_is_the_md5_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert md5(tmp_path / "abc") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321


@pytest.mark.parametrize("row_group", [1, 13, 47, ROWS])
@pytest.mark.parametrize("rows", [7, 53, 210, ROWS, 1009])
def test_blocks_are_of_the_size_asked_for_whatever_the_file_s_row_groups(
    path: Path, examples: Examples, row_group: int, rows: int
) -> None:
    pq.write_table(pq.read_table(path), path, row_group_size=row_group)
    table = ExampleTable(path, PROBLEM)
    blocks = list(table.blocks(rows))
    assert (len(table), table.problem.seq_len) == (ROWS, SEQ_LEN)
    assert [len(b.targets) for b in blocks] == [rows] * (ROWS // rows) + [ROWS % rows] * (ROWS % rows > 0)
    assert same(joined(blocks), examples)


def column(path: Path, name: str, make: Callable[[pa.Array], pa.Array]) -> pa.Table:
    table = pq.read_table(path)
    place = table.schema.get_field_index(name)
    made = make(table.column(name).combine_chunks())
    return table.set_column(place, pa.field(name, made.type, nullable=made.null_count > 0), made)


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda t: t.drop_columns(["x_3"]), "column x_4 float, not null, in the place of x_3"),
        (lambda t: t.drop_columns(["context"]), "column y float, not null, in the place of context"),
        (lambda t: t.drop_columns(["y"]), "no column in the place of y"),
        (lambda t: t.append_column("z", t.column("y")), "column z float in the place of nothing"),
        (lambda t: t.add_column(0, "x_z", t.column("y")), "column x_z float in the place of x_0"),
        (lambda t: t.select(["y", *t.schema.names[:-1]]), "column y float, not null, in the place of x_0"),
        (lambda t: t.select(["context", "y"]), "column context int64, not null, in the place of x_0"),
        (lambda t: t.cast(pa.schema([*list(t.schema)[:-1], pa.field("y", pa.float32())])), "column y float in the"),
        (lambda _: pa.table({"a": [7]}), "column a int64 in the place of x_0"),
        (lambda _: pa.table({}), "no column in the place of x_0"),
    ],
)
def test_other_columns_are_refused(path: Path, change: Callable[[pa.Table], pa.Table], got: str) -> None:
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(DataError) as caught:
        ExampleTable(path, PROBLEM)
    assert str(caught.value).startswith(f"{path}: got {got}")
    assert str(caught.value).endswith(f"; {ALLOWED_COLUMNS}; {AGAIN}")


@pytest.mark.parametrize(
    ("name", "kind", "got"),
    [("x_3", pa.float64(), "double"), ("context", pa.int32(), "int32"), ("y", pa.float64(), "double")],
)
def test_columns_of_another_type_are_refused(path: Path, name: str, kind: pa.DataType, got: str) -> None:
    pq.write_table(column(path, name, lambda values: values.cast(kind)), path)
    with pytest.raises(DataError) as caught:
        ExampleTable(path, PROBLEM)
    told = f"{path}: got column {name} {got}, not null, in the place of {name}; {ALLOWED_COLUMNS}; {AGAIN}"
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("row", "name", "value", "problem"),
    [
        (150, "x_3", np.nan, "row 150: x_3 is nan; allowed: 0 up to, not including, 1"),
        (150, "x_5", 1.0, "row 150: x_5 is 1.0; allowed: 0 up to, not including, 1"),
        (0, "x_0", -0.25, "row 0: x_0 is -0.25; allowed: 0 up to, not including, 1"),
        (210, "x_6", np.inf, "row 210: x_6 is inf; allowed: 0 up to, not including, 1"),
        (97, "context", 3, "row 97: context is 3; allowed: 0 to 2"),
        (0, "context", -1, "row 0: context is -1; allowed: 0 to 2"),
    ],
)
def test_a_number_out_of_range_is_refused_with_its_row(
    path: Path, row: int, name: str, value: float, problem: str
) -> None:
    def spoil(values: pa.Array) -> pa.Array:
        numbers = values.to_numpy().copy()
        numbers[row] = value
        return pa.array(numbers)

    pq.write_table(column(path, name, spoil), path)
    table = ExampleTable(path, PROBLEM)
    with pytest.raises(DataError) as caught:
        list(table.blocks(13))
    assert str(caught.value) == f"{path}: {problem}; {AGAIN}"


@pytest.mark.parametrize("value", [0.5, np.nan])
def test_an_answer_that_disagrees_with_the_truth_is_refused(path: Path, examples: Examples, value: float) -> None:
    def spoil(values: pa.Array) -> pa.Array:
        numbers = values.to_numpy().copy()
        numbers[100] = value
        return pa.array(numbers)

    pq.write_table(column(path, "y", spoil), path)
    context = int(examples.queries[100])
    with pytest.raises(DataError) as caught:
        list(ExampleTable(path, PROBLEM).blocks(13))
    assert str(caught.value) == (
        f"{path}: row 100: y is {value}, but the true position has x_{TRUTH[context]} = "
        f"{examples.values[100, TRUTH[context]]}; {AGAIN}"
    )


def test_the_rows_before_the_first_bad_one_are_given(path: Path) -> None:
    def spoil(values: pa.Array) -> pa.Array:
        numbers = values.to_numpy().copy()
        numbers[150] = 7
        return pa.array(numbers)

    pq.write_table(column(path, "context", spoil), path, row_group_size=47)
    blocks = ExampleTable(path, PROBLEM).blocks(100)
    assert len(next(blocks).targets) == 100
    with pytest.raises(DataError, match="row 150"):
        next(blocks)


def test_a_table_that_belongs_to_another_truth_is_refused(path: Path) -> None:
    (path.parent / "truth.csv").write_text("context,position\n0,2\n1,7\n2,3\n")
    with pytest.raises(DataError) as caught:
        open_examples(path.parent, "train")
    assert str(caught.value) == f"{path}: got 7 positions, but the truth reads position 7; {AGAIN}"
    with pytest.raises(DataError, match=r"y is 0\.\d+, but the true position has x_5 = 0\.\d+"):
        list(ExampleTable(path, lookup([2, 5, 3], SEQ_LEN)).blocks())


def test_a_table_without_rows_is_refused(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(0, 0), path)
    with pytest.raises(DataError) as caught:
        ExampleTable(path, PROBLEM)
    assert str(caught.value) == f"{path}: got no rows; allowed: at least one; {AGAIN}"


def test_more_equal_rows_than_random_numbers_could_be_in_so_few_bytes_are_refused(path: Path) -> None:
    pq.write_table(pq.read_table(path).slice(0, 1).take(pa.array(np.zeros(400_000, np.int64))), path)
    with pytest.raises(DataError) as caught:
        ExampleTable(path, PROBLEM)
    told = f"got 400,000 rows in {path.stat().st_size:,} bytes; allowed: random numbers, which take more"
    assert str(caught.value) == f"{path}: {told}; {AGAIN}"


def test_a_row_group_larger_than_any_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pq.write_table(pq.read_table(path), path)
    columns = 7 + 2
    monkeypatch.setattr("attention.tasks.examples.MOST_NUMBERS", ROWS * columns)
    assert len(ExampleTable(path, PROBLEM)) == ROWS
    monkeypatch.setattr("attention.tasks.examples.MOST_NUMBERS", ROWS * columns - 1)
    with pytest.raises(DataError) as caught:
        ExampleTable(path, PROBLEM)
    told = f"got a row group of {ROWS} rows; allowed: at most {ROWS - 1}"
    assert str(caught.value) == f"{path}: {told}; {AGAIN}"


def damage_pages(content: bytes) -> bytes:
    return content[:4] + b"\xff" * 26 + content[30:]


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content[: len(content) // 2],
        lambda content: content[:4] + content[100:],
        lambda _: b"",
        lambda _: b"x_0,context,y\n0.5,0,0.5\n",
        damage_pages,
    ],
)
def test_a_damaged_file_is_refused(path: Path, damage: Callable[[bytes], bytes]) -> None:
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(DataError) as caught:
        list(ExampleTable(path, PROBLEM).blocks())
    assert str(caught.value) == f"{path}: not a whole Parquet file; {AGAIN}"


def test_a_missing_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train.parquet"
    with pytest.raises(DataError) as caught:
        ExampleTable(path, PROBLEM)
    assert str(caught.value) == f"{path}: cannot be read (No such file or directory); `dvc repro` writes it"


def test_the_truth_is_written_and_read_as_a_table(tmp_path: Path) -> None:
    write_truth(tmp_path / "truth.csv", PROBLEM, 0)
    assert (tmp_path / "truth.csv").read_bytes() == b"context,position\n0,2\n1,6\n2,3\n"
    back: NDArray[np.int64] = read_truth(tmp_path / "truth.csv")
    assert back.dtype == np.int64
    assert back.tolist() == TRUTH.tolist()


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("context,place\n0,2\n", "context,place with contexts (0,) and positions (2,)"),
        ("context,position\n0,2\n2,6\n", "context,position with contexts (0, 2) and positions (2, 6)"),
        ("context,position\n1,2\n0,6\n", "context,position with contexts (1, 0) and positions (2, 6)"),
        ("context,position\n0,-1\n", "context,position with contexts (0,) and positions (-1,)"),
        ("context,position\n0,2147483648\n", "context,position with contexts (0,) and positions (2147483648,)"),
    ],
)
def test_a_truth_that_makes_no_sense_is_refused(tmp_path: Path, text: str, got: str) -> None:
    (tmp_path / "truth.csv").write_text(text)
    with pytest.raises(DataError) as caught:
        read_truth(tmp_path / "truth.csv")
    assert str(caught.value) == (
        f"{tmp_path}/truth.csv: got columns {got}; "
        f"allowed: context,position with contexts 0, 1, 2 … in order and positions from 0; {AGAIN}"
    )


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"context,position\n",
        b"context,position\n0,two\n",
        b"context,position\n0,2.0\n",
        b"context,position\n0,1,2\n",
        b"context,position\n0\n",
        b"\xff\xfe",
        b"PAR1\0\0",
    ],
)
def test_what_is_no_truth_is_refused(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "truth.csv").write_bytes(text)
    with pytest.raises(DataError) as caught:
        read_truth(tmp_path / "truth.csv")
    assert str(caught.value) == (f"{tmp_path}/truth.csv: not a CSV table of numbers; {AGAIN}")


def test_a_missing_truth_is_refused(tmp_path: Path) -> None:
    told = f"{tmp_path}/truth.csv: cannot be read (No such file or directory); `dvc repro` writes it"
    with pytest.raises(DataError, match=f"^{re.escape(told)}$"):
        read_truth(tmp_path / "truth.csv")
