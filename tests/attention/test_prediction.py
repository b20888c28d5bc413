"""Errors of the network and of its baselines, against NumPy's own solvers and the network itself."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from attention.functions import ATTENTION_FUNCTIONS
from attention.measures.prediction import Floats, baseline_mses, least_squares, network_mse
from attention.network import AttentionNetwork
from attention.tasks.examples import ExampleTable, write_examples
from attention.tasks.problem import BLOCK_ROWS, Examples, draw_columns, draw_examples, lookup
from attention.weights import Weights, draw_weights

TRUTH = np.array([2, 6, 3])


def table(path: Path, seed: int, rows: int) -> tuple[ExampleTable, Examples]:
    """Return examples as a table and as arrays."""
    problem = lookup(TRUTH, 7)
    write_examples(path, draw_columns(problem, seed, "train", rows), problem)
    return ExampleTable(path, problem), next(draw_examples(problem, seed, "train", rows))


def moments(z: Floats, y: Floats) -> Floats:
    columns = np.column_stack([z, y])
    return columns.T @ columns


def test_the_error_of_a_network_is_the_mean_square_by_hand(tmp_path: Path) -> None:
    problem = lookup([1, 0], 2)
    columns = {"x": np.array([[0.5, 0.25], [0.25, 0.75]], np.float32), "context": np.array([1, 0])}
    write_examples(tmp_path / "t", [problem.complete(columns)], problem)
    weights = Weights(
        "embedding",
        2,
        2,
        {"linear.weight": np.array([[2, -4]], np.float32), "linear.bias": np.array([0.5], np.float32)},
        {},
    )
    attention = np.array([[1, 0.5], [3, 1]], np.float32)
    # row 0: 0.5·3·2 + 0.25·1·(-4) + 0.5 = 2.5, off by 2; row 1: 0.25·1·2 + 0.75·0.5·(-4) + 0.5 = -0.5, off by -1.25
    assert network_mse(attention, weights, ExampleTable(tmp_path / "t", problem)) == (4 + 1.5625) / 2


@pytest.mark.parametrize("function", ATTENTION_FUNCTIONS)
def test_the_error_of_a_network_is_that_of_its_own_predictions(tmp_path: Path, function: str) -> None:
    test, examples = table(tmp_path / "t", 0, 53)
    weights = draw_weights(function, 3, 7, 5)
    network = AttentionNetwork.from_weights(weights)
    inputs, contexts, targets = map(torch.from_numpy, (examples.values, examples.queries, examples.targets))
    with torch.no_grad():
        attention = network.get_attention(torch.arange(3)).numpy()
        expected = float((network.double()(inputs.double(), contexts) - targets).square().mean())
    assert network_mse(attention, weights, test) == pytest.approx(expected, rel=1e-6)


def test_the_baselines_are_the_mean_and_ordinary_least_squares(tmp_path: Path) -> None:
    train, fitted = table(tmp_path / "train", 0, 211)
    test, new = table(tmp_path / "test", 1, 53)
    y, new_y = fitted.targets.astype(float), new.targets.astype(float)
    z, new_z = (np.column_stack([np.ones(len(e.targets)), e.values.astype(float)]) for e in (fitted, new))
    beta = np.linalg.lstsq(z, y)[0]
    found = baseline_mses(train, test)
    assert list(found) == ["mean", "linear"]
    assert found["mean"] == pytest.approx(float(np.mean((new_y - y.mean()) ** 2)), rel=1e-12)
    assert found["linear"] == pytest.approx(float(np.mean((new_y - new_z @ beta) ** 2)), rel=1e-9)


def test_baselines_and_errors_sum_over_all_blocks(tmp_path: Path) -> None:
    rows = BLOCK_ROWS + 7
    problem = lookup([1, 0], 2)
    write_examples(tmp_path / "t", draw_columns(problem, 0, "train", rows), problem)
    big = ExampleTable(tmp_path / "t", problem)
    y = next(draw_examples(problem, 0, "train", rows, rows)).targets.astype(float)
    zeros = {"linear.weight": np.zeros((1, 2), np.float32), "linear.bias": np.zeros(1, np.float32)}
    nothing = Weights("embedding", 2, 2, zeros, {})
    assert baseline_mses(big, big)["mean"] == pytest.approx(y.var(), rel=1e-12)
    assert network_mse(np.zeros((2, 2), np.float32), nothing, big) == pytest.approx((y**2).mean(), rel=1e-12)


def test_the_baselines_do_not_depend_on_the_file_s_row_groups(tmp_path: Path) -> None:
    train, _ = table(tmp_path / "train", 0, 211)
    test, _ = table(tmp_path / "test", 1, 53)
    before = baseline_mses(train, test)
    for path in (train.path, test.path):
        pq.write_table(pq.read_table(path), path, row_group_size=13)
    assert baseline_mses(train, test) == before


@pytest.mark.parametrize(("rows", "columns"), [(2, 1), (13, 5), (211, 11)])
def test_least_squares_solves_as_numpy_does(rows: int, columns: int) -> None:
    random = np.random.default_rng(17)
    z, y = random.normal(size=(rows, columns)), random.normal(size=rows)
    assert least_squares(moments(z, y)) == pytest.approx(np.linalg.lstsq(z, y)[0], rel=1e-9, abs=1e-12)


def test_least_squares_does_not_mind_columns_of_very_different_sizes() -> None:
    random = np.random.default_rng(19)
    z, y = random.normal(size=(97, 3)) * [1e-6, 1, 1e6], random.normal(size=97)
    assert least_squares(moments(z, y)) == pytest.approx(np.linalg.lstsq(z, y, rcond=0)[0], rel=1e-6)


@pytest.mark.parametrize(
    ("dependent", "zero"),
    [
        ([1, 0, 0], [1, 0, 1, 1, 1]),  # a copy of the first column
        ([2, 0, -3], [1, 1, 1, 0, 1]),
        ([0, 0, 0], [0, 1, 1, 1, 1]),  # a column of zeros
    ],
)
def test_a_column_that_others_determine_gets_0_and_the_fit_stays_the_best(
    dependent: list[float], zero: list[int]
) -> None:
    random = np.random.default_rng(23)
    free, y = random.normal(size=(31, 4)), random.normal(size=31)
    place = zero.index(0)
    z = np.insert(free, place, free[:, :3] @ dependent, axis=1)
    found, oracle = least_squares(moments(z, y)), np.linalg.lstsq(z, y)[0]
    assert np.linalg.matrix_rank(z) == 4
    assert (found != 0).tolist() == [bool(used) for used in zero]
    assert z @ found == pytest.approx(z @ oracle, rel=1e-9, abs=1e-9)


def test_fewer_rows_than_columns_are_fitted_exactly() -> None:
    random = np.random.default_rng(29)
    z, y = random.normal(size=(3, 7)), random.normal(size=3)
    found = least_squares(moments(z, y))
    assert z @ found == pytest.approx(y, rel=1e-7)
    assert np.count_nonzero(found) == 3
