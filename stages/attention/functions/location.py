"""Attention around a place in the sequence: a centre is learned, or computed from the context."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attention.functions.content import queries_and_keys
from attention.functions.entry import AttentionFunction, Parameters, Shapes, linear_uniform

if TYPE_CHECKING:
    from torch import Tensor


def _centres(n_contexts: int, _seq_len: int, **_: float) -> Shapes:
    return {"centre": (n_contexts,), "sharpness": (n_contexts,)}


def _among_positions(
    random: np.random.Generator, shape: tuple[int, ...], *, seq_len: int, **_: float
) -> NDArray[np.float32]:
    return random.random(shape, dtype=np.float32) * np.float32(seq_len - 1)


def _wide(_random: np.random.Generator, shape: tuple[int, ...], *, seq_len: int, **_: float) -> NDArray[np.float32]:
    return np.full(shape, 2 / seq_len, np.float32)  # σ is half the sequence: every position is in sight


def gaussian(parameters: Parameters, contexts: Tensor, *, positions: Tensor, **_: object) -> Tensor:
    """a_j = exp(-(j - μ_c)² / 2σ_c²); 1/σ_c is what is learned, so that no value of it divides by zero."""
    distance = positions - parameters["centre"][contexts].unsqueeze(-1)
    return ((distance * parameters["sharpness"][contexts].unsqueeze(-1)).square() / -2).exp()


def _with_centre(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    return {**queries_and_keys(n_contexts, seq_len, width=width), "W_p": (width, width), "v_p": (width,)}


def local(parameters: Parameters, contexts: Tensor, *, positions: Tensor, window: int, **_: object) -> Tensor:
    """a_j = softmax(q_c·k_j over |j - p_c| <= D) · exp(-(j - p_c)² / 2σ²), σ = D/2, p_c = S σ(v·tanh(W q_c)).

    As in the source, positions count from 1 to S. The window moves with p_c, but which positions it holds has no
    gradient. The values sum to less than 1.
    """
    query = parameters["query"][contexts]
    centre = len(positions) * ((query @ parameters["W_p"].T).tanh() @ parameters["v_p"]).sigmoid()
    distance = positions + 1 - centre.unsqueeze(-1)
    scores = (query @ parameters["key"].T).masked_fill(distance.abs() > window, -math.inf)
    return scores.softmax(-1) * (-2 * (distance / window).square()).exp()


FUNCTIONS: dict[str, AttentionFunction] = {
    "gaussian": AttentionFunction(
        gaussian,
        _centres,
        "exp(-(j - μ_c)² / 2σ_c²)",
        "Graves 2013; Kosiorek 2017",
        "in [0, 1]",
        initial={"centre": _among_positions, "sharpness": _wide},
        has_kernel=True,
    ),
    "local": AttentionFunction(
        local,
        _with_centre,
        "softmax(q_c·k_j within D of p_c) · exp(-2(j - p_c)² / D²)",
        "Luong et al. 2015, local-p",
        "in [0, 1]",
        options={"width": 8, "window": 2},
        initial={"W_p": linear_uniform, "v_p": linear_uniform},
    ),
}
