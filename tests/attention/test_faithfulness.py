"""Faithfulness, against hand-computed numbers, SciPy's τ, and networks that really run without a position."""

import numpy as np
import pytest
import torch
from scipy import stats

from attention.measures.faithfulness import MOST_EXAMPLES, MOST_PAIRS, explanations, faithfulness, first_of, kendall
from attention.network import AttentionNetwork, torch_attention
from attention.tasks.examples import DrawnTable
from attention.tasks.problem import Examples, draw_examples, make_problem
from attention.weights import initial_weights

NOTHING = np.zeros(1, np.int64)


def test_tau_is_scipys_with_ties_too() -> None:
    random = np.random.default_rng(0)
    one, other = random.integers(0, 5, (211, 7)).astype(np.float32), random.integers(0, 5, (211, 7)).astype(float)
    other[::2] += random.random((106, 7))  # every second row has none
    expected = [stats.kendalltau(*rows).statistic for rows in zip(one, other, strict=True)]
    assert kendall(one, other) == pytest.approx(expected, rel=1e-14, abs=1e-15)
    assert kendall(np.ones((2, 3), np.float32), one[:2, :3]).tolist() == [0, 0]


def test_explanations_by_hand() -> None:
    """Of shares: terms 0.5·2·1, 0.25·4·0.5, 0.25·2·-3; the output is 0; without the first (-1)/0.5 is left."""
    values = np.array([[1, 0.5, -3]], np.float32)
    one = Examples(values, NOTHING, np.arange(3), NOTHING, np.array([2]), NOTHING)
    attention, output = np.array([[0.5, 0.25, 0.25]], np.float32), np.array([2, 4, 2], np.float32)
    terms, left_out = explanations(attention, output, one, shared=True)
    assert terms.tolist() == [[1, 0.5, 1.5]]
    assert left_out.tolist() == [[1 / 0.5, 0.5 / 0.75, 1.5 / 0.75]]
    assert explanations(attention, output, one, shared=False)[1].tolist() == [[1, 0.5, 1.5]]
    found = faithfulness(attention, output, one, shared=True)
    assert (found.gradient_found.tolist(), found.left_out_found.tolist()) == ([1], [0])  # the first of two equal ones
    assert found.gradient_tau.tolist() == [0]  # one pair agrees, one does not, and one is a tie
    nothing_left = explanations(np.array([[1, 0, 0]], np.float32), output, one, shared=True)[1]
    assert nothing_left.tolist() == [[2, 0, 0]]


def test_of_classes_what_counts_is_the_right_logit_less_the_mean_of_all() -> None:
    (block,) = draw_examples(make_problem("caption"), 0, "test", 53)
    weights = initial_weights("softmax", make_problem("caption"), 3)
    terms, _ = explanations(torch_attention(weights, block), weights.output, block, shared=True)
    values = torch.tensor(block.values, requires_grad=True)
    logits = AttentionNetwork.from_weights(weights)(values, torch.tensor(block.queries), torch.tensor(block.keys))
    right = logits.gather(1, torch.tensor(block.targets)[:, None])[:, 0] - logits.mean(dim=1)
    right.sum().backward()
    assert values.grad is not None
    assert terms == pytest.approx((values.grad * values).sum(dim=-1).abs().detach().numpy(), rel=1e-5, abs=1e-8)


@pytest.mark.parametrize(("function", "shared"), [("softmax", True), ("embedding", False), ("scaled_dot", True)])
def test_leaving_out_is_what_the_network_says_without_the_position(function: str, shared: bool) -> None:
    problem = make_problem("recall")
    weights = initial_weights(function, problem, 5)
    network = AttentionNetwork.from_weights(weights)
    (block,) = draw_examples(problem, 0, "test", 53)
    values, queries, keys = map(torch.tensor, (block.values, block.queries, block.keys))
    _, left_out = explanations(torch_attention(weights, block), weights.output, block, shared)
    with torch.no_grad():
        whole = network(values, queries, keys)
        for place in range(problem.seq_len):
            others = [each for each in range(problem.seq_len) if each != place]
            parameters, positions = dict(network.attention.items()), network.positions[others]
            attention = network.function(
                parameters, queries, keys[:, others], positions=positions, noise=None, **network.options
            )
            without = (values[:, others] * attention) @ network.linear.weight[0, others] + network.linear.bias
            assert left_out[:, place] == pytest.approx((whole - without).abs().numpy(), rel=1e-4, abs=1e-6)


@pytest.mark.parametrize(("seq_len", "blocks", "rows"), [(8, 1, 1000), (64, 4, 256), (1024, 16, 1)])
def test_of_long_sequences_fewer_examples_are_looked_at(seq_len: int, blocks: int, rows: int) -> None:
    found = [*first_of(DrawnTable(make_problem("recall", {"seq_len": seq_len, "n_tokens": 1024}), 0, "test", 1200))]
    assert [len(block.targets) for block in found] == [rows] * blocks
    assert blocks * rows <= max(MOST_EXAMPLES + rows, MOST_PAIRS // seq_len**2)
