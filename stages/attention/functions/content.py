"""Attention from what a query and the keys hold: q_c and k_j are rows of learned tables, of width d."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attention.functions.entry import AttentionFunction, Parameters, Shapes, linear_uniform

if TYPE_CHECKING:
    from torch import Tensor


def queries_and_keys(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    """Return the shapes of a query a context and a key a position."""
    return {"query": (n_contexts, width), "key": (seq_len, width)}


def dot(parameters: Parameters, contexts: Tensor, **_: object) -> Tensor:
    """a = softmax(q_c·k_j)."""
    return (parameters["query"][contexts] @ parameters["key"].T).softmax(-1)


def scaled_dot(parameters: Parameters, contexts: Tensor, *, width: int, **_: object) -> Tensor:
    """a = softmax(q_c·k_j / √d)."""
    return (parameters["query"][contexts] @ parameters["key"].T / math.sqrt(width)).softmax(-1)


def _with_bilinear(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    return {**queries_and_keys(n_contexts, seq_len, width=width), "W": (width, width)}


def bilinear(parameters: Parameters, contexts: Tensor, **_: object) -> Tensor:
    """a = softmax(q_cᵀ W k_j)."""
    return (parameters["query"][contexts] @ parameters["W"] @ parameters["key"].T).softmax(-1)


def _with_additive(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    square = (width, width)
    return {**queries_and_keys(n_contexts, seq_len, width=width), "W": square, "U": square, "v": (width,)}


def additive(parameters: Parameters, contexts: Tensor, **_: object) -> Tensor:
    """a = softmax(v·tanh(W q_c + U k_j))."""
    query = parameters["query"][contexts] @ parameters["W"].T  # (n, d)
    key = parameters["key"] @ parameters["U"].T  # (seq_len, d)
    return ((query.unsqueeze(-2) + key).tanh() @ parameters["v"]).softmax(-1)  # (n, seq_len, d) -> (n, seq_len)


def _with_sharpness(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    return {**queries_and_keys(n_contexts, seq_len, width=width), "log_beta": (n_contexts,)}


def _log_beta(_random: np.random.Generator, shape: tuple[int, ...], *, beta: float, **_: float) -> NDArray[np.float32]:
    return np.full(shape, math.log(beta), np.float32)


def cosine(parameters: Parameters, contexts: Tensor, **_: object) -> Tensor:
    """a = softmax(β_c cos(q_c, k_j)), β_c = exp(b_c) > 0 learned; the cosine with a zero vector is 0."""
    query, key = _direction(parameters["query"][contexts]), _direction(parameters["key"])
    return (parameters["log_beta"][contexts].exp().unsqueeze(-1) * (query @ key.T)).softmax(-1)


def _direction(vectors: Tensor) -> Tensor:
    length: Tensor = vectors.norm(dim=-1, keepdim=True)
    return vectors / length.clamp(min=1e-8)


def _with_projections(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    return {**queries_and_keys(n_contexts, seq_len, width=width), "W_q": (width, width), "W_k": (width, width)}


def multihead(parameters: Parameters, contexts: Tensor, *, width: int, heads: int, **_: object) -> Tensor:
    """a = the mean over heads h of softmax((W_q q_c)_h · (W_k k_j)_h / √(d/heads)): each has its part of the width."""
    each = width // heads
    query = (parameters["query"][contexts] @ parameters["W_q"].T).reshape(*contexts.shape, 1, heads, each)
    key = (parameters["key"] @ parameters["W_k"].T).reshape(-1, heads, each)  # (seq_len, heads, each)
    return ((query * key).sum(-1) / math.sqrt(each)).softmax(-2).mean(-1)  # (n, seq_len, heads) -> (n, seq_len)


FUNCTIONS: dict[str, AttentionFunction] = {
    "dot": AttentionFunction(
        dot, queries_and_keys, "softmax(q_c·k_j)", "Luong et al. 2015", "shares", options={"width": 8}, has_kernel=True
    ),
    "scaled_dot": AttentionFunction(
        scaled_dot,
        queries_and_keys,
        "softmax(q_c·k_j / √d)",
        "Vaswani et al. 2017",
        "shares",
        options={"width": 8},
        has_kernel=True,
    ),
    "bilinear": AttentionFunction(
        bilinear,
        _with_bilinear,
        "softmax(q_cᵀ W k_j)",
        "Luong et al. 2015, general",
        "shares",
        options={"width": 8},
        initial={"W": linear_uniform},
        has_kernel=True,
    ),
    "additive": AttentionFunction(
        additive,
        _with_additive,
        "softmax(vᵀ tanh(W q_c + U k_j))",
        "Bahdanau et al. 2014",
        "shares",
        options={"width": 8},
        initial={"W": linear_uniform, "U": linear_uniform, "v": linear_uniform},
        has_kernel=True,
    ),
    "cosine": AttentionFunction(
        cosine,
        _with_sharpness,
        "softmax(β_c cos(q_c, k_j))",
        "Graves et al. 2014",
        "shares",
        options={"width": 8, "beta": 1.0},
        initial={"log_beta": _log_beta},
    ),
    "multihead": AttentionFunction(
        multihead,
        _with_projections,
        "mean over heads of scaled_dot, each on its part of W_q q_c and W_k k_j",
        "Vaswani et al. 2017",
        "shares",
        options={"width": 8, "heads": 2},
        initial={"W_q": linear_uniform, "W_k": linear_uniform},
    ),
}
