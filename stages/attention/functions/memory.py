"""Attention that finds a place by its content and then moves from there, as a Turing machine's head does."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attention.functions.content import BETA, directions, log_beta, queries_and_keys
from attention.functions.entry import WIDTH, AttentionFunction, Parameters, Shapes
from attention.functions.features import products, query_rows

if TYPE_CHECKING:
    from torch import Tensor

LEAST = 1e-30  # to each weight, which a power must not take to 0


def _with_head(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    head = {"log_beta": (queries,), "shift": (queries, 3), "every_shift": (3,), "log_gamma": (queries,)}
    return {**queries_and_keys(queries, keys, width=width), **head}


def _zeros(_random: np.random.Generator, shape: tuple[int, ...], **_: object) -> NDArray[np.float32]:
    return np.zeros(shape, np.float32)


def ntm(parameters: Parameters, queries: Tensor, keys: Tensor, **_: object) -> Tensor:
    """a_j = w̃_j^γ / Σ w̃^γ, w̃_j = s₋₁ w_{j+1} + s₀ w_j + s₁ w_{j-1}, w = softmax(β cos(q, k)): the ends are neighbours.

    β = exp(b), γ = 1 + exp(g) and s = softmax(z + z₀) are of the query, but for z₀, which all share: what most queries
    need is what the others start from. Shifts begin equal: begun at random, some queries keep a wrong one.
    """
    import torch

    beta, gamma = (query_rows(parameters[name].unsqueeze(-1), queries).exp() for name in ("log_beta", "log_gamma"))
    shift = (query_rows(parameters["shift"], queries) + parameters["every_shift"]).softmax(-1)
    found = (beta * products(*directions(parameters, queries, keys))).softmax(-1)  # (n, S)
    back, stay, on = (shift[..., k : k + 1] for k in range(3))  # (n, 1)
    around = torch.cat([found[..., -1:], found, found[..., :1]], -1)  # (n, S + 2)
    moved = back * around[..., 2:] + stay * found + on * around[..., :-2]
    return ((1 + gamma) * (moved + LEAST).log()).softmax(-1)


FUNCTIONS: dict[str, AttentionFunction] = {
    "ntm": AttentionFunction(
        ntm,
        _with_head,
        "softmax(β cos(q, k_j)), moved by -1, 0 or 1, to the power γ, normalized",
        "Graves et al. 2014",
        "shares",
        options={"width": WIDTH, "beta": BETA},
        initial={"log_beta": log_beta, "shift": _zeros, "every_shift": _zeros, "log_gamma": _zeros},
        ordered=True,
    ),
}
