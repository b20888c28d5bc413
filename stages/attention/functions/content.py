"""Attention from what a query and the keys hold: q and k_j are their rows in learned tables, of width d."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attention.functions.entry import AttentionFunction, Parameters, Shapes, linear_uniform
from attention.functions.features import key_rows, products, query_rows

if TYPE_CHECKING:
    from torch import Tensor


def queries_and_keys(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    """Return the shapes of a row for each feature of queries and of keys."""
    return {"query": (queries, width), "key": (keys, width)}


def _of_both(parameters: Parameters, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    return query_rows(parameters["query"], queries), key_rows(parameters["key"], keys)


def dot(parameters: Parameters, queries: Tensor, keys: Tensor, **_: object) -> Tensor:
    """a = softmax(q·k_j)."""
    query, key = _of_both(parameters, queries, keys)
    return products(query, key).softmax(-1)


def scaled_dot(parameters: Parameters, queries: Tensor, keys: Tensor, *, width: int, **_: object) -> Tensor:
    """a = softmax(q·k_j / √d)."""
    query, key = _of_both(parameters, queries, keys)
    return (products(query, key) / math.sqrt(width)).softmax(-1)


def _with_bilinear(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    return {**queries_and_keys(queries, keys, width=width), "W": (width, width)}


def bilinear(parameters: Parameters, queries: Tensor, keys: Tensor, **_: object) -> Tensor:
    """a = softmax(qᵀ W k_j)."""
    query, key = _of_both(parameters, queries, keys)
    return products(query @ parameters["W"], key).softmax(-1)


def _with_additive(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    square = (width, width)
    return {**queries_and_keys(queries, keys, width=width), "W": square, "U": square, "v": (width,)}


def additive(parameters: Parameters, queries: Tensor, keys: Tensor, **_: object) -> Tensor:
    """a = softmax(v·tanh(W q + U k_j))."""
    query, key = _of_both(parameters, queries, keys)
    query, key = query @ parameters["W"].T, key @ parameters["U"].T
    return ((query.unsqueeze(-2) + key).tanh() @ parameters["v"]).softmax(-1)  # (n, S, d) -> (n, S)


def _with_sharpness(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    return {**queries_and_keys(queries, keys, width=width), "log_beta": (queries,)}


def _log_beta(_random: np.random.Generator, shape: tuple[int, ...], *, beta: float, **_: float) -> NDArray[np.float32]:
    return np.full(shape, math.log(beta), np.float32)


def cosine(parameters: Parameters, queries: Tensor, keys: Tensor, **_: object) -> Tensor:
    """a = softmax(β cos(q, k_j)), β = exp(b) > 0 learned; the cosine with a zero vector is 0."""
    query, key = map(_direction, _of_both(parameters, queries, keys))
    beta = query_rows(parameters["log_beta"].unsqueeze(-1), queries).exp()  # (n, 1)
    return (beta * products(query, key)).softmax(-1)


def _direction(vectors: Tensor) -> Tensor:
    length: Tensor = vectors.norm(dim=-1, keepdim=True)
    return vectors / length.clamp(min=1e-8)


def _with_projections(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    return {**queries_and_keys(queries, keys, width=width), "W_q": (width, width), "W_k": (width, width)}


def multihead(parameters: Parameters, queries: Tensor, keys: Tensor, *, width: int, heads: int, **_: object) -> Tensor:
    """a = the mean over heads h of softmax((W_q q)_h · (W_k k_j)_h / √(d/heads)): each has its part of the width."""
    each = width // heads
    query, key = _of_both(parameters, queries, keys)
    query = (query @ parameters["W_q"].T).reshape(*query.shape[:-1], 1, heads, each)
    key = (key @ parameters["W_k"].T).reshape(*key.shape[:-1], heads, each)
    return ((query * key).sum(-1) / math.sqrt(each)).softmax(-2).mean(-1)  # (n, S, heads) -> (n, S)


FUNCTIONS: dict[str, AttentionFunction] = {
    "dot": AttentionFunction(
        dot, queries_and_keys, "softmax(q·k_j)", "Luong et al. 2015", "shares", options={"width": 8}
    ),
    "scaled_dot": AttentionFunction(
        scaled_dot,
        queries_and_keys,
        "softmax(q·k_j / √d)",
        "Vaswani et al. 2017",
        "shares",
        options={"width": 8},
    ),
    "bilinear": AttentionFunction(
        bilinear,
        _with_bilinear,
        "softmax(qᵀ W k_j)",
        "Luong et al. 2015, general",
        "shares",
        options={"width": 8},
        initial={"W": linear_uniform},
    ),
    "additive": AttentionFunction(
        additive,
        _with_additive,
        "softmax(vᵀ tanh(W q + U k_j))",
        "Bahdanau et al. 2014",
        "shares",
        options={"width": 8},
        initial={"W": linear_uniform, "U": linear_uniform, "v": linear_uniform},
    ),
    "cosine": AttentionFunction(
        cosine,
        _with_sharpness,
        "softmax(β cos(q, k_j))",
        "Graves et al. 2014",
        "shares",
        options={"width": 8, "beta": 1.0},
        initial={"log_beta": _log_beta},
    ),
    "multihead": AttentionFunction(
        multihead,
        _with_projections,
        "mean over heads of scaled_dot, each on its part of W_q q and W_k k_j",
        "Vaswani et al. 2017",
        "shares",
        options={"width": 8, "heads": 2},
        initial={"W_q": linear_uniform, "W_k": linear_uniform},
    ),
}
