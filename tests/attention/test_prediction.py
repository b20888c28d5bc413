"""Errors of the network and of its baselines, against NumPy's own solvers and the network itself."""

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from attention.functions import ATTENTION_FUNCTIONS
from attention.measures.arithmetic import exp, log
from attention.measures.prediction import Floats, baseline_errors, least_squares, network_errors
from attention.network import AttentionNetwork
from attention.tasks.examples import DrawnTable, ExampleTable, write_examples
from attention.tasks.problem import BLOCK_ROWS, Examples, draw_columns, draw_examples, lookup, make_problem
from attention.weights import Weights, draw_weights, initial_weights

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
    test = ExampleTable(tmp_path / "t", problem)
    errors = network_errors(lambda block: attention[block.queries], weights, test)
    assert errors == {"mse": (4 + 1.5625) / 2}


@pytest.mark.parametrize("function", ATTENTION_FUNCTIONS)
def test_the_error_of_a_network_is_that_of_its_own_predictions(tmp_path: Path, function: str) -> None:
    test, examples = table(tmp_path / "t", 0, 53)
    weights = draw_weights(function, 3, 7, 5)
    network = AttentionNetwork.from_weights(weights)
    inputs, contexts, targets = map(torch.from_numpy, (examples.values, examples.queries, examples.targets))
    with torch.no_grad():
        attention = network.get_attention(torch.arange(3)).numpy()
        expected = float((network.double()(inputs.double(), contexts) - targets).square().mean())
    errors = network_errors(lambda block: attention[block.queries], weights, test)
    assert errors["mse"] == pytest.approx(expected, rel=1e-6)


def test_the_baselines_are_the_mean_and_ordinary_least_squares(tmp_path: Path) -> None:
    train, fitted = table(tmp_path / "train", 0, 211)
    test, new = table(tmp_path / "test", 1, 53)
    y, new_y = fitted.targets.astype(float), new.targets.astype(float)
    z, new_z = (np.column_stack([np.ones(len(e.targets)), e.values.astype(float)]) for e in (fitted, new))
    beta = np.linalg.lstsq(z, y)[0]
    found = {name: errors["mse"] for name, errors in baseline_errors(train, test).items()}
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
    assert baseline_errors(big, big)["mean"]["mse"] == pytest.approx(y.var(), rel=1e-12)
    assert network_errors(lambda block: np.zeros_like(block.values), nothing, big)["mse"] == pytest.approx(
        (y**2).mean(), rel=1e-12
    )


def test_the_baselines_do_not_depend_on_the_file_s_row_groups(tmp_path: Path) -> None:
    train, _ = table(tmp_path / "train", 0, 211)
    test, _ = table(tmp_path / "test", 1, 53)
    before = baseline_errors(train, test)
    for path in (train.path, test.path):
        pq.write_table(pq.read_table(path), path, row_group_size=13)
    assert baseline_errors(train, test) == before


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


def test_the_errors_of_classes_by_hand() -> None:
    """Two cells, three colours: logits are what attention and weights give the colour of each cell, and the biases."""
    problem = make_problem("caption", {"side": 2, "n_colours": 3})
    columns = {
        "colour": np.array([[0, 1, 2, 1], [2, 0, 1, 1]]),
        "kind": np.array([[0, 1, 2, 3], [3, 0, 1, 2]]),
        "word": np.array([0, 0]),
    }
    block = problem.examples(problem.complete(columns))
    weights = initial_weights("embedding", problem, 0)
    arrays = weights.arrays | {
        "linear.weight": np.array([[2, 1, 1, 4]], np.float32),
        "linear.bias": np.array([0, 1, -1], np.float32),
    }
    attention = np.array([[0.5, 0.5, 0, 0.25], [0, 1, 1, 0]], np.float32)
    logits = np.array([[1, 1.5 + 1, -1], [1, 1 + 1, -1]])  # targets: 0 and 0
    expected = [-math.log(math.exp(row[0]) / np.exp(row).sum()) for row in logits]
    table = cast(Any, SimpleNamespace(blocks=lambda: [block]))
    errors = network_errors(lambda _: attention, weights.with_arrays(arrays), table)
    assert errors == {"loss": pytest.approx(sum(expected) / 2, rel=1e-12), "accuracy": 0.0}


def test_without_attention_the_colours_of_all_cells_tell_a_little() -> None:
    """The best model of the sum of all cells, against torch's own minimization of the same cross-entropy."""
    problem = make_problem("caption")
    train, test = DrawnTable(problem, 0, "train", 1009), DrawnTable(problem, 0, "test", 211)
    found = baseline_errors(train, test)
    (block,), (new,) = train.blocks(), test.blocks()
    counts = np.bincount(block.targets) / 1009
    assert found["mean"]["loss"] == pytest.approx(-np.log(counts[new.targets]).mean(), rel=1e-9)
    assert found["mean"]["accuracy"] == np.mean(new.targets == counts.argmax())
    slopes, bias = (torch.zeros(size, dtype=torch.float64, requires_grad=True) for size in (9, 6))

    def loss(examples: Examples) -> torch.Tensor:
        logits = torch.einsum("njc,j->nc", torch.from_numpy(examples.values).double(), slopes) + bias
        return torch.nn.functional.cross_entropy(logits, torch.from_numpy(examples.targets))

    optimizer = torch.optim.LBFGS([slopes, bias], max_iter=200, tolerance_grad=1e-12, line_search_fn="strong_wolfe")

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        value = loss(block)
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(closure)  # type: ignore[no-untyped-call]
    assert found["linear"]["loss"] == pytest.approx(loss(new).item(), rel=1e-6)


def test_exp_and_log_are_within_a_few_units_of_the_last_place() -> None:
    x = np.linspace(-690, 690, 100_003)
    assert np.abs(exp(x) / np.exp(x) - 1).max() < 2e-15
    positive = np.concatenate([np.exp(x[::10]), np.linspace(0.5, 2, 100_003)])
    exact = np.log(positive)
    assert np.abs(log(positive) - exact).max() < 3e-13
    close = np.abs(exact) < 1
    assert np.abs(log(positive) - exact)[close].max() < 5e-16
    assert exp(np.array([0.0, -1e6])).tolist() == [1.0, exp(np.array([-700.0]))[0]]
    assert log(np.array([1.0])) == 0
