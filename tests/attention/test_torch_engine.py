"""Training through torch, against the article's own loop."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attention.functions import ATTENTION_FUNCTIONS
from attention.network import AttentionNetwork
from attention.params.schema import TrainParams
from attention.tasks.examples import ExampleTable, write_examples
from attention.tasks.problem import BLOCK_ROWS, Examples, draw_columns, draw_examples, lookup
from attention.training.loop import Epoch, TrainingError, train
from attention.weights import Weights, draw_weights
from workbench.stage.streams import stream

TRUTH = np.array([2, 6, 3])
ORIGIN = {"parameters": {"seed": 11}}


def options(**changes: Any) -> TrainParams:
    defaults = {"epochs": 3, "batch_size": 1, "learning_rate": 0.01, "shuffle": False, "engine": "torch"}
    return TrainParams.model_validate(defaults | changes)


def small(path: Path, rows: int = 41) -> tuple[ExampleTable, Examples]:
    """Return examples as a table and as arrays."""
    problem = lookup(TRUTH, 7)
    write_examples(path, draw_columns(problem, 0, "train", rows), problem)
    return ExampleTable(path, problem), next(draw_examples(problem, 0, "train", rows))


class ArticleNetwork(nn.Module):
    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.context_embed = nn.Embedding(weights.n_contexts, weights.seq_len)
        self.linear = nn.Linear(weights.seq_len, 1)
        arrays = {name: torch.from_numpy(array.copy()) for name, array in weights.arrays.items()}
        self.load_state_dict(
            {
                "context_embed.weight": arrays["attention.scores"],
                "linear.weight": arrays["linear.weight"],
                "linear.bias": arrays["linear.bias"],
            }
        )

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        glimpse: torch.Tensor = self.linear(x * self.context_embed(c))
        return glimpse


def article(
    weights: Weights, orders: list[list[int]], examples: Examples, params: TrainParams
) -> list[tuple[Any, ...]]:
    """Train by the article's listing, with the lines it lost; `orders` are the rows of each epoch."""
    model = ArticleNetwork(weights)
    criterion = nn.MSELoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=params.learning_rate)
    inputs, contexts, outputs = map(torch.from_numpy, (examples.values, examples.queries, examples.targets))
    records = []
    for order in orders:
        losses: list[float] = []
        for first in range(0, len(order), params.batch_size):
            i = order[first : first + params.batch_size]
            pred = model(inputs[i], contexts[i]).squeeze(-1)
            loss = criterion(pred, outputs[i])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses += [loss.item()] * len(i)
        records.append((np.mean(losses), *(p.detach().numpy().copy() for p in model.parameters())))
    return records


def assert_same(found: list[Epoch], expected: list[tuple[Any, ...]]) -> None:
    assert [record.epoch for record in found] == list(range(len(expected)))
    for record, (mse, scores, weight, bias) in zip(found, expected, strict=True):
        assert record.loss == pytest.approx(float(mse), rel=1e-5)
        for name, array in (("attention.scores", scores), ("linear.weight", weight), ("linear.bias", bias)):
            np.testing.assert_allclose(record.weights.arrays[name], array, rtol=1e-4, atol=1e-6, err_msg=name)


@pytest.mark.parametrize("batch_size", [1, 3, 41, 43])  # 41 = 13·3 + 2: the last batch of three is a partial one
def test_training_is_the_article_s_loop(tmp_path: Path, batch_size: int) -> None:
    table, examples = small(tmp_path / "t")
    params, weights = options(batch_size=batch_size), draw_weights("embedding", 3, 7, 11)
    found = list(train(weights, table, params, 11))
    assert_same(found, article(weights, [list(range(41))] * 3, examples, params))
    assert found[-1].loss < found[0].loss


def test_a_shuffled_epoch_has_an_order_of_its_own_from_the_seed(tmp_path: Path) -> None:
    table, examples = small(tmp_path / "t")
    params, weights = options(batch_size=3, shuffle=True), draw_weights("embedding", 3, 7, 11)
    orders = [stream(11, "shuffle", epoch).permutation(41).tolist() for epoch in range(3)]
    assert len({tuple(order) for order in orders}) == 3
    assert_same(list(train(weights, table, params, 11)), article(weights, orders, examples, params))
    assert next(train(weights, table, params, 12)).loss != next(train(weights, table, params, 11)).loss


def test_no_batch_is_cut_where_the_table_is_read_in_blocks(tmp_path: Path) -> None:
    truth, rows = np.array([1, 0]), 70_001
    assert rows > BLOCK_ROWS
    assert BLOCK_ROWS % 7001
    problem = lookup(truth, 2)
    examples = next(draw_examples(problem, 0, "train", rows, rows))
    write_examples(tmp_path / "t", draw_columns(problem, 0, "train", rows), problem)
    params, weights = options(batch_size=7001, epochs=2), draw_weights("embedding", 2, 2, 11)
    steps: list[int] = []
    found = list(train(weights, ExampleTable(tmp_path / "t", problem), params, 11, steps.append))
    assert_same(found, article(weights, [list(range(rows))] * 2, examples, params))
    assert sum(steps) == 2 * 10


@pytest.mark.parametrize(("rows", "batch_size"), [(41, 1), (41, 3), (1999, 3), (41, 43)])
def test_progress_counts_every_step(tmp_path: Path, rows: int, batch_size: int) -> None:
    table, _ = small(tmp_path / "t", rows)
    steps: list[int] = []
    list(train(draw_weights("embedding", 3, 7, 0), table, options(batch_size=batch_size), 0, steps.append))
    assert sum(steps) == 3 * -(-rows // batch_size)


@pytest.mark.parametrize("function", ATTENTION_FUNCTIONS)
def test_a_record_is_of_its_own_epoch_and_keeps_its_origin(tmp_path: Path, function: str) -> None:
    table, _ = small(tmp_path / "t")
    weights = draw_weights(function, 3, 7, 11, ORIGIN)
    before = {name: array.tobytes() for name, array in weights.arrays.items()}
    found = list(train(weights, table, options(), 11))
    assert {name: array.tobytes() for name, array in weights.arrays.items()} == before
    for name in weights.arrays:
        assert len({before[name], *(record.weights.arrays[name].tobytes() for record in found)}) == 4
    for record in found:
        assert (record.weights.function, record.weights.origin) == (function, ORIGIN)
        with torch.no_grad():
            attention = AttentionNetwork.from_weights(record.weights).get_attention(torch.arange(3)).numpy()
        np.testing.assert_allclose(record.attention, attention, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("function", ATTENTION_FUNCTIONS)
def test_training_is_repeated_to_the_bit_and_fewer_epochs_are_its_beginning(tmp_path: Path, function: str) -> None:
    table, _ = small(tmp_path / "t")
    weights = draw_weights(function, 3, 7, 11)
    long = list(train(weights, table, options(shuffle=True, batch_size=3), 11))
    torch.manual_seed(5)  # whose numbers nothing may depend on
    short = list(train(weights, table, options(shuffle=True, batch_size=3, epochs=2), 11))
    for one, other in zip(long, short, strict=False):
        assert one.loss == other.loss
        assert all(
            array.tobytes() == other.weights.arrays[name].tobytes() for name, array in one.weights.arrays.items()
        )
        assert one.attention.tobytes() == other.attention.tobytes()


def test_an_error_that_is_no_longer_finite_ends_the_training(tmp_path: Path) -> None:
    table, _ = small(tmp_path / "t", 1)
    weights = draw_weights("embedding", 3, 7, 0)
    huge = weights.with_arrays({name: np.full_like(array, 1e30) for name, array in weights.arrays.items()})
    with pytest.raises(TrainingError) as caught:
        next(train(huge, table, options(learning_rate=7.0), 0))
    assert str(caught.value) == (
        "params.yaml: train.learning_rate: got 7.0, with which the error of epoch 0 is inf; "
        "allowed: one with which training converges; try a tenth of it"
    )
