from pathlib import Path

import numpy as np
import pytest

from attention.params.schema import TrainParams
from attention.tasks import columns, examples, problem
from attention.tasks.entry import Columns
from attention.tasks.examples import DrawnTable, ExampleTable, write_examples
from attention.tasks.problem import Problem, draw_columns, lookup
from attention.training import loop as training
from attention.training.loop import Epoch, train
from attention.weights import draw_weights
from workbench.stage.errors import DataError

SEED, TRUTH, SEQ_LEN, ROWS = 5, np.array([2, 6, 3]), 7, 211


def epochs_of(params: TrainParams, told: list[int] | None) -> list[Epoch]:
    table = DrawnTable(lookup(TRUTH, SEQ_LEN), SEED, "train", ROWS)
    initial = draw_weights("embedding", len(TRUTH), SEQ_LEN, SEED)
    return list(train(initial, table, params, SEED, told.append if told is not None else None))


@pytest.mark.parametrize("engine", ["compiled", "torch"])
@pytest.mark.parametrize(
    ("batch_size", "rows_at_once"),
    [(1, 1 << 19), (1, 2 * ROWS), (13, 3 * ROWS - 1), (ROWS + 1, 1)],
    ids=["in one go", "two epochs a go", "two and a bit", "an epoch a go, one batch"],
)
def test_epochs_in_one_go_are_those_that_are_asked_for_one_by_one(
    engine: str, batch_size: int, rows_at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = {"epochs": 5, "batch_size": batch_size, "learning_rate": 0.01, "shuffle": False, "engine": engine}
    params = TrainParams.model_validate(values)
    told: list[int] = []
    slowly = epochs_of(params, told)
    monkeypatch.setattr(training, "ROWS_AT_ONCE", rows_at_once)
    quickly = epochs_of(params, None)

    assert sum(told) == 5 * -(-ROWS // batch_size)
    assert [epoch.epoch for epoch in quickly] == [0, 1, 2, 3, 4]
    assert len({epoch.loss for epoch in quickly}) == 5  # it learns
    for one, other in zip(slowly, quickly, strict=True):
        assert one.loss == other.loss
        assert np.array_equal(one.attention, other.attention)
        for name, array in one.weights.arrays.items():
            assert np.array_equal(array, other.weights.arrays[name]), name


def test_a_table_of_more_rows_than_a_block_holds_whole_batches_of_is_not_trained_on_in_one_go(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Two partial sums of the error, added, are not always the bits of one sum."""
    monkeypatch.setattr(problem, "BLOCK_ROWS", 100)
    params = TrainParams(epochs=3, batch_size=30, learning_rate=0.01, shuffle=False, engine="compiled")
    assert [epoch.loss for epoch in epochs_of(params, [])] == [epoch.loss for epoch in epochs_of(params, None)]


def test_a_table_is_checked_as_it_is_first_read_and_what_is_wrong_with_it_ends_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Blocks are read by another thread: a mistake that it finds is told by training."""
    task = lookup(TRUTH, SEQ_LEN)
    good, checked, check = list(draw_columns(task, SEED, "train", ROWS, 30)), list[int](), columns.check

    def watched(path: Path, of: Problem, columns: Columns, first_row: int) -> None:
        checked.append(first_row)
        check(path, of, columns, first_row)

    monkeypatch.setattr(examples, "check", watched)
    params = TrainParams(epochs=3, batch_size=10, learning_rate=0.01, shuffle=True, engine="compiled")
    write_examples(tmp_path / "good.parquet", good, task)
    table, initial = ExampleTable(tmp_path / "good.parquet", task), draw_weights("embedding", len(TRUTH), SEQ_LEN, SEED)
    assert len({epoch.loss for epoch in train(initial, table, params, SEED)}) == 3
    assert checked == [0, 30, 60, 90, 120, 150, 180, 210]

    good[5] = {**good[5], "y": good[5]["y"] + 1}
    write_examples(tmp_path / "bad.parquet", good, task)
    with pytest.raises(DataError, match=r"bad\.parquet: row 150: y is "):
        list(train(initial, ExampleTable(tmp_path / "bad.parquet", task), params, SEED))
