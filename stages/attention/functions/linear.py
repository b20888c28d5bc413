"""Attention without exponentials of scores: shares of positive products, so that sums can stand for all the keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from attention.functions.content import of_both, queries_and_keys
from attention.functions.entry import WIDTH, AttentionFunction, Parameters
from attention.functions.features import products

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 1e-30  # to each product, so that where all are too small to tell they share equally


def linear(parameters: Parameters, queries: Tensor, keys: Tensor, **_: object) -> Tensor:
    """a_j = φ(q)·φ(k_j) / Σ φ(q)·φ(k), φ(x) = elu(x) + 1, which is x + 1 above 0 and exp(x) below."""
    query, key = (vectors.relu() + vectors.clamp(max=0).exp() for vectors in of_both(parameters, queries, keys))
    return _shares(products(query, key) + LEAST)


def taylor(parameters: Parameters, queries: Tensor, keys: Tensor, *, width: int, **_: object) -> Tensor:
    """a_j = (1 + s_j + s_j²/2) / Σ, s_j = q·k_j / √d: the exponential's Taylor series as far as it stays positive."""
    scores = products(*of_both(parameters, queries, keys)) / math.sqrt(width)
    return _shares(1 + scores + scores.square() / 2)


def _shares(sizes: Tensor) -> Tensor:
    return sizes / sizes.sum(-1, keepdim=True)


FUNCTIONS: dict[str, AttentionFunction] = {
    "linear": AttentionFunction(
        linear,
        queries_and_keys,
        "φ(q)·φ(k_j) / Σ φ(q)·φ(k), φ = elu + 1",
        "Katharopoulos et al. 2020",
        "shares",
        options={"width": WIDTH},
    ),
    "taylor": AttentionFunction(
        taylor,
        queries_and_keys,
        "(1 + s_j + s_j²/2) / Σ, s_j = q·k_j / √d",
        "Arora et al. 2024, Based",
        "shares",
        options={"width": WIDTH},
    ),
}
