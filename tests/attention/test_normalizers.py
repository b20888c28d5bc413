"""Scores and what makes attention of them: each normalizer, and every pair of the two halves."""

import math
from collections.abc import Callable
from typing import Any

import entmax
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from torch import Tensor

from attention.functions import ATTENTION_FUNCTIONS, normalizers
from attention.functions.entry import resolve_options
from attention.functions.normalizers import NORMALIZERS
from attention.network import AttentionNetwork

POSITIONS, WIDTH = 7, 6
PAIRED = [name for name, function in ATTENTION_FUNCTIONS.items() if "normalizer" in function.options]

Parameters = dict[str, Tensor]

ORACLES: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda s: s.exp() / s.exp().sum(-1, keepdim=True),
    "sparsemax": lambda s: entmax.sparsemax(s, dim=-1),
    "entmax15": lambda s: entmax.entmax_bisect(s, alpha=1.5, n_iter=60),
    "sigmoid": lambda s: (1 + (s / 2).tanh()) / 2,
    "hard": lambda s: F.one_hot(s.argmax(-1), s.shape[-1]).double(),
}

# Scores (queries, positions) of rows of queries and keys, as their sources write them.
SCORES: dict[str, Callable[[Parameters, Tensor, Tensor], Tensor]] = {
    "dot": lambda _, q, k: torch.einsum("nd,sd->ns", q, k),
    "scaled_dot": lambda _, q, k: torch.einsum("nd,sd->ns", q, k) / math.sqrt(WIDTH),
    "bilinear": lambda p, q, k: torch.einsum("nd,de,se->ns", q, p["W"], k),
    "additive": lambda p, q, k: F.linear(
        (F.linear(q, p["W"])[:, None] + F.linear(k, p["U"])[None]).tanh(), p["v"][None]
    )[..., 0],
    "cosine": lambda p, q, k: p["log_beta"].exp()[:, None] * F.cosine_similarity(q[:, None], k[None], dim=-1),
}


def parameters(name: str, **options: Any) -> Parameters:
    random = np.random.default_rng(17)
    shapes = ATTENTION_FUNCTIONS[name].shapes(5, POSITIONS, width=WIDTH, **options)
    return {key: torch.from_numpy(random.standard_normal(shape)) for key, shape in shapes.items()}


def attend(name: str, p: Parameters, noise: Tensor | None = None, **given: Any) -> Tensor:
    function = ATTENTION_FUNCTIONS[name]
    options = resolve_options(function, {"width": WIDTH, **given}, POSITIONS)
    numbers = torch.arange(POSITIONS)
    return function.attend(p, torch.arange(5), numbers, positions=numbers.double(), noise=noise, **options)


def test_every_normalizer_and_every_score_has_an_oracle() -> None:
    assert ORACLES.keys() == NORMALIZERS.keys()
    assert {*SCORES, "multihead", "local"} <= set(PAIRED)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_a_pair_is_the_normalizer_of_the_score(name: str, normalizer: str, temperature: float) -> None:
    p = parameters(name)
    scores = SCORES[name](p, p["query"], p["key"])
    found = attend(name, p, normalizer=normalizer, temperature=temperature)
    torch.testing.assert_close(found, ORACLES[normalizer](scores / temperature), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_the_heads_each_have_the_normalizer(normalizer: str) -> None:
    p = parameters("multihead")
    q, k = (torch.split(F.linear(p[name], p[W]), WIDTH // 3, dim=-1) for name, W in (("query", "W_q"), ("key", "W_k")))
    heads = [ORACLES[normalizer](a @ b.T / math.sqrt(WIDTH // 3)) for a, b in zip(q, k, strict=True)]
    found = attend("multihead", p, heads=3, normalizer=normalizer)
    torch.testing.assert_close(found, torch.stack(heads).mean(0), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_the_window_is_normalized_by_itself(normalizer: str) -> None:
    p = parameters("local")
    found = attend("local", p, window=2, normalizer=normalizer)
    for row, q in zip(found, p["query"], strict=True):
        centre = POSITIONS / (1 + math.exp(-float(p["v_p"] @ torch.tanh(p["W_p"] @ q))))
        places = torch.arange(1, POSITIONS + 1).double()
        inside = (places - centre).abs() <= 2
        expected = torch.zeros(POSITIONS).double()
        expected[inside] = ORACLES[normalizer](p["key"][inside] @ q) * (-((places[inside] - centre) ** 2) / 2).exp()
        torch.testing.assert_close(row, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("normalizer", NORMALIZERS)
@pytest.mark.parametrize("name", PAIRED)
def test_a_pair_gives_what_is_said_of_its_values(name: str, normalizer: str) -> None:
    function = ATTENTION_FUNCTIONS[name]
    options = resolve_options(function, {"normalizer": normalizer}, POSITIONS)
    network = AttentionNetwork(name, 5, POSITIONS, seed=3, **options)
    attention = network.eval().get_attention(torch.arange(5))
    assert ((attention >= 0) & (attention <= 1)).all()
    shares = torch.allclose(attention.sum(-1), torch.ones(5))
    assert function.values_with(options) == ("shares" if shares else "in [0, 1]")


@pytest.mark.parametrize("name", [name for name in PAIRED if name != "local"])
@pytest.mark.parametrize("normalizer", ["softmax", "sparsemax", "entmax15", "sigmoid"])
def test_the_gradient_of_a_pair_is_that_of_finite_differences(name: str, normalizer: str) -> None:
    given = {key: tensor.requires_grad_() for key, tensor in parameters(name).items()}

    def compute(*tensors: Tensor) -> Tensor:
        return attend(name, dict(zip(given, tensors, strict=True)), normalizer=normalizer)

    assert torch.autograd.gradcheck(compute, tuple(given.values()), eps=1e-7, atol=1e-6)


@pytest.mark.parametrize("name", PAIRED)
def test_only_the_hard_normalizer_is_given_noise_in_training(name: str) -> None:
    for normalizer in NORMALIZERS:
        network = AttentionNetwork(name, 5, POSITIONS, seed=3, normalizer=normalizer)
        once, again = (network.get_attention(torch.arange(5).repeat(11)) for _ in range(2))
        assert torch.equal(once, again) == (normalizer != "hard")


def test_numbers_computed_by_hand() -> None:
    scores = torch.tensor([math.log(2), 0.0, -9.0], dtype=torch.float64)
    assert normalizers.softmax(torch.tensor([math.log(3), 0.0])).tolist() == pytest.approx([3 / 4, 1 / 4])
    assert normalizers.sigmoid(scores).tolist() == pytest.approx([2 / 3, 1 / 2, 1 / (1 + math.exp(9))])
    assert normalizers.sparsemax(torch.tensor([1, 0.5, -1])).tolist() == pytest.approx([3 / 4, 1 / 4, 0])
    assert normalizers.sparsemax(torch.tensor([1, 0.5, -1]), temperature=0.5).tolist() == [1, 0, 0]
    assert normalizers.entmax15(torch.tensor([0.4, 0, -9])).tolist() == pytest.approx([0.64, 0.36, 0])
    assert normalizers.hard(scores).tolist() == [1, 0, 0]


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_rows_are_normalized_each_by_itself_in_any_number_of_dimensions(normalizer: str) -> None:
    scores = torch.from_numpy(np.random.default_rng(3).standard_normal((2, 3, 5)))
    together = NORMALIZERS[normalizer].function(scores)
    for i, j in np.ndindex(2, 3):
        torch.testing.assert_close(together[i, j], NORMALIZERS[normalizer].function(scores[i, j]))


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_a_score_that_is_no_number_spoils_its_row_alone(normalizer: str) -> None:
    found = NORMALIZERS[normalizer].function(torch.tensor([[1, math.nan, 0], [1, 0, 2]]))
    assert found[0].isnan().any()
    assert found[1].isfinite().all()


@pytest.mark.parametrize(("name", "exact"), [("sparsemax", entmax.sparsemax), ("entmax15", entmax.entmax15)])
def test_a_support_is_found_on_long_rows_and_at_ties(name: str, exact: Callable[..., Tensor]) -> None:
    random = np.random.default_rng(0)
    for row in (
        *(random.standard_normal(1021) * size for size in (1e-3, 1.0, 30.0)),
        np.zeros(11),
        np.array([1.0, 1.0, -1.0]),
        np.array([0.0, -1.0, -2.0]),  # the second is where the support ends
        np.array([0.0, -0.07803529500961304, -0.5390176177024841]),
    ):
        scores = torch.from_numpy(row)
        torch.testing.assert_close(NORMALIZERS[name].function(scores), exact(scores, dim=-1), rtol=0, atol=1e-12)
