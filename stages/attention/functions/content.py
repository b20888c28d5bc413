"""Attention from what a query and the keys hold: q and k_j are their rows in learned tables, of width d."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attention.functions.entry import (
    NORMALIZED,
    WIDTH,
    AttentionFunction,
    Option,
    Options,
    Parameters,
    Shapes,
    linear_uniform,
)
from attention.functions.features import key_rows, products, query_rows
from attention.functions.normalizers import normalize

if TYPE_CHECKING:
    from torch import Tensor


BETA = Option(1.0, 0.001, 1000)  # that training starts from


def queries_and_keys(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    """Return the shapes of a row for each feature of queries and of keys."""
    return {"query": (queries, width), "key": (keys, width)}


def of_both(parameters: Parameters, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows (n, d) of queries and (S, d) or (n, S, d) of keys."""
    return query_rows(parameters["query"], queries), key_rows(parameters["key"], keys)


def dot(parameters: Parameters, queries: Tensor, keys: Tensor, **options: Any) -> Tensor:
    """a = softmax(q·k_j)."""
    query, key = of_both(parameters, queries, keys)
    return normalize(products(query, key), **options)


def scaled_dot(parameters: Parameters, queries: Tensor, keys: Tensor, *, width: int, **options: Any) -> Tensor:
    """a = softmax(q·k_j / √d)."""
    query, key = of_both(parameters, queries, keys)
    return normalize(products(query, key) / math.sqrt(width), **options)


def _with_bilinear(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    return {**queries_and_keys(queries, keys, width=width), "W": (width, width)}


def bilinear(parameters: Parameters, queries: Tensor, keys: Tensor, **options: Any) -> Tensor:
    """a = softmax(qᵀ W k_j)."""
    query, key = of_both(parameters, queries, keys)
    return normalize(products(query @ parameters["W"], key), **options)


def _with_additive(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    square = (width, width)
    return {**queries_and_keys(queries, keys, width=width), "W": square, "U": square, "v": (width,)}


def additive(parameters: Parameters, queries: Tensor, keys: Tensor, **options: Any) -> Tensor:
    """a = softmax(v·tanh(W q + U k_j))."""
    query, key = of_both(parameters, queries, keys)
    query, key = query @ parameters["W"].T, key @ parameters["U"].T
    return normalize((query.unsqueeze(-2) + key).tanh() @ parameters["v"], **options)  # (n, S, d) -> (n, S)


def _with_sharpness(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    return {**queries_and_keys(queries, keys, width=width), "log_beta": (queries,)}


def log_beta(_random: np.random.Generator, shape: tuple[int, ...], *, beta: float, **_: float) -> NDArray[np.float32]:
    """Return ln β for every query."""
    return np.full(shape, math.log(beta), np.float32)


def cosine(parameters: Parameters, queries: Tensor, keys: Tensor, **options: Any) -> Tensor:
    """a = softmax(β cos(q, k_j)), β = exp(b) > 0 learned; the cosine with a zero vector is 0."""
    query, key = directions(parameters, queries, keys)
    beta = query_rows(parameters["log_beta"].unsqueeze(-1), queries).exp()  # (n, 1)
    return normalize(beta * products(query, key), **options)


def directions(parameters: Parameters, queries: Tensor, keys: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows of queries and keys, each of length 1; a zero vector stays one."""
    query, key = of_both(parameters, queries, keys)
    return query / query.norm(dim=-1, keepdim=True).clamp(min=1e-8), key / key.norm(dim=-1, keepdim=True).clamp(
        min=1e-8
    )


def _with_projections(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    return {**queries_and_keys(queries, keys, width=width), "W_q": (width, width), "W_k": (width, width)}


def multihead(
    parameters: Parameters,
    queries: Tensor,
    keys: Tensor,
    *,
    width: int,
    heads: int,
    noise: Tensor | None,
    **options: Any,
) -> Tensor:
    """a = the mean over heads h of softmax((W_q q)_h · (W_k k_j)_h / √(d/heads)): each has its part of the width.

    All heads have the same noise.
    """
    each = width // heads
    query, key = of_both(parameters, queries, keys)
    query = (query @ parameters["W_q"].T).reshape(*query.shape[:-1], 1, heads, each)
    key = (key @ parameters["W_k"].T).reshape(*key.shape[:-1], heads, each)
    scores = ((query * key).sum(-1) / math.sqrt(each)).transpose(-1, -2)  # (n, heads, S)
    return normalize(scores, noise=None if noise is None else noise.unsqueeze(-2), **options).mean(-2)


def _divisible(options: Options, _seq_len: int) -> dict[str, str]:
    width, heads = options["width"], options["heads"]
    return {"heads": f"a divisor of the width, {width}; change heads or width"} if width % heads else {}


FUNCTIONS: dict[str, AttentionFunction] = {
    "dot": AttentionFunction(
        dot,
        queries_and_keys,
        "softmax(q·k_j)",
        "Luong et al. 2015",
        "shares",
        options={"width": WIDTH, **NORMALIZED},
    ),
    "scaled_dot": AttentionFunction(
        scaled_dot,
        queries_and_keys,
        "softmax(q·k_j / √d)",
        "Vaswani et al. 2017",
        "shares",
        options={"width": WIDTH, **NORMALIZED},
    ),
    "bilinear": AttentionFunction(
        bilinear,
        _with_bilinear,
        "softmax(qᵀ W k_j)",
        "Luong et al. 2015, general",
        "shares",
        options={"width": WIDTH, **NORMALIZED},
        initial={"W": linear_uniform},
    ),
    "additive": AttentionFunction(
        additive,
        _with_additive,
        "softmax(vᵀ tanh(W q + U k_j))",
        "Bahdanau et al. 2014",
        "shares",
        options={"width": WIDTH, **NORMALIZED},
        initial={"W": linear_uniform, "U": linear_uniform, "v": linear_uniform},
    ),
    "cosine": AttentionFunction(
        cosine,
        _with_sharpness,
        "softmax(β cos(q, k_j))",
        "Graves et al. 2014",
        "shares",
        options={"width": WIDTH, **NORMALIZED, "beta": BETA},
        initial={"log_beta": log_beta},
    ),
    "multihead": AttentionFunction(
        multihead,
        _with_projections,
        "mean over heads of scaled_dot, each on its part of W_q q and W_k k_j",
        "Vaswani et al. 2017",
        "shares",
        options={"width": WIDTH, **NORMALIZED, "heads": Option(2, 1, 1024)},
        limits=_divisible,
        initial={"W_q": linear_uniform, "W_k": linear_uniform},
    ),
}
