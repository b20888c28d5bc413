"""Attention around a place in the sequence: a centre is learned, or computed from the query."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attention.functions.content import queries_and_keys
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


def _centres(queries: int, _keys: int, **_: float) -> Shapes:
    return {"centre": (queries,), "sharpness": (queries,)}


def _among_positions(
    random: np.random.Generator, shape: tuple[int, ...], *, seq_len: int, **_: float
) -> NDArray[np.float32]:
    return random.random(shape, dtype=np.float32) * np.float32(seq_len - 1)


def _wide(_random: np.random.Generator, shape: tuple[int, ...], *, seq_len: int, **_: float) -> NDArray[np.float32]:
    return np.full(shape, 2 / seq_len, np.float32)  # σ is half the sequence: every position is in sight


def gaussian(parameters: Parameters, queries: Tensor, _keys: Tensor, *, positions: Tensor, **_: object) -> Tensor:
    """a_j = exp(-(j - μ)² / 2σ²); 1/σ is what is learned, so that no value of it divides by zero."""
    centre, sharpness = (query_rows(parameters[name].unsqueeze(-1), queries) for name in ("centre", "sharpness"))
    return (((positions - centre) * sharpness).square() / -2).exp()  # (n, S)


def _with_centre(queries: int, keys: int, *, width: int, **_: float) -> Shapes:
    return {**queries_and_keys(queries, keys, width=width), "W_p": (width, width), "v_p": (width,)}


def local(
    parameters: Parameters, queries: Tensor, keys: Tensor, *, positions: Tensor, window: int, **options: Any
) -> Tensor:
    """a_j = softmax(q·k_j over |j - p| <= D) · exp(-(j - p)² / 2σ²), σ = D/2, p = S σ(v·tanh(W q)).

    As in the source, positions count from 1 to S. The window moves with p, but which positions it holds has no
    gradient. The values sum to less than 1.
    """
    query, key = query_rows(parameters["query"], queries), key_rows(parameters["key"], keys)
    centre = len(positions) * ((query @ parameters["W_p"].T).tanh() @ parameters["v_p"]).sigmoid()
    distance = positions + 1 - centre.unsqueeze(-1)
    scores = products(query, key).masked_fill(distance.abs() > window, -math.inf)
    return normalize(scores, **options) * (-2 * (distance / window).square()).exp()


def _inside(options: Options, seq_len: int) -> dict[str, str]:
    too_wide = f"at most the number of positions, {seq_len}; choose a smaller window"
    return {"window": too_wide} if options["window"] > seq_len else {}


FUNCTIONS: dict[str, AttentionFunction] = {
    "gaussian": AttentionFunction(
        gaussian,
        _centres,
        "exp(-(j - μ)² / 2σ²)",
        "Graves 2013; Kosiorek 2017",
        "in [0, 1]",
        initial={"centre": _among_positions, "sharpness": _wide},
        ordered=True,
    ),
    "local": AttentionFunction(
        local,
        _with_centre,
        "softmax(q·k_j within D of p) · exp(-2(j - p)² / D²)",
        "Luong et al. 2015, local-p",
        "in [0, 1]",
        options={"width": WIDTH, "window": Option(2, 1, 1024), **NORMALIZED},
        limits=_inside,
        initial={"W_p": linear_uniform, "v_p": linear_uniform},
        ordered=True,
    ),
}
