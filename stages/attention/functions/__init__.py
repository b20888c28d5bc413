"""The attention functions, in torch: the one registry that model, engines, tests and documentation read.

To add one: write a function here and give it an entry in ATTENTION_FUNCTIONS; registry.py says what an entry holds.
Contexts c and positions j: query c and key j are rows of learned tables, q_c and k_j, of width d.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from attention.functions.entry import AttentionFunction, Parameters, Shapes, linear_uniform

if TYPE_CHECKING:
    from torch import Tensor


def _score_table(n_contexts: int, seq_len: int, **_: float) -> Shapes:
    return {"scores": (n_contexts, seq_len)}


def embedding(parameters: Parameters, contexts: Tensor, **_: object) -> Tensor:
    """a = E[c], unbounded: the article's function."""
    return parameters["scores"][contexts]


def sigmoid(parameters: Parameters, contexts: Tensor, **_: object) -> Tensor:
    """a = σ(E[c]): each position for itself, in [0, 1]."""
    return parameters["scores"][contexts].sigmoid()


def softmax(parameters: Parameters, contexts: Tensor, *, temperature: float, **_: object) -> Tensor:
    """a_j = exp(E[c,j]/τ) / Σ exp(E[c,·]/τ): soft attention."""
    return (parameters["scores"][contexts] / temperature).softmax(-1)


def sparsemax(parameters: Parameters, contexts: Tensor, *, temperature: float, **_: object) -> Tensor:
    """argmin_a ‖a - E[c]/τ‖² over the simplex: a_j = max(s_j - t, 0), with t such that they sum to 1.

    The r largest scores are in the support as long as r times the r-th exceeds their sum less 1. A position outside of
    it gets no gradient.
    """
    scores = _below_zero(parameters["scores"][contexts] / temperature)
    ordered, rank = _ranked(scores)
    inside = _largest(scores, ordered, rank * ordered > ordered.cumsum(-1) - 1)
    threshold = ((scores * inside).sum(-1, keepdim=True) - 1) / inside.sum(-1, keepdim=True)
    return (scores - threshold).relu()


def entmax15(parameters: Parameters, contexts: Tensor, *, temperature: float, **_: object) -> Tensor:
    """argmax_a a·E[c]/τ + 4/3 Σ (a_j - a_j^1.5) over the simplex: a_j = max(s_j/2 - t, 0)², t such that Σ a = 1.

    On a support of r scores with mean m and Σ (s/2 - m)² = v, t = m - √((1 - v)/r); the r largest are in it as long as
    their own t is below the r-th. A position outside of it gets no gradient.
    """
    halves = _below_zero(parameters["scores"][contexts] / temperature / 2)
    ordered, rank = _ranked(halves)
    mean = ordered.cumsum(-1) / rank
    spread = (ordered * ordered).cumsum(-1) - rank * mean * mean
    inside = _largest(halves, ordered, mean - ((1 - spread) / rank).relu().sqrt() < ordered)
    count = inside.sum(-1, keepdim=True)
    mean = (halves * inside).sum(-1, keepdim=True) / count
    spread = ((halves - mean).square() * inside).sum(-1, keepdim=True)
    threshold = mean - ((1 - spread) / count).sqrt()
    return (halves - threshold).relu().square()


def _below_zero(scores: Tensor) -> Tensor:
    """Shift scores so that the largest is 0, and cut them at -1, where neither sparse function has a support."""
    return (scores - scores.amax(-1, keepdim=True).detach()).clamp(min=-1)


def _ranked(scores: Tensor) -> tuple[Tensor, Tensor]:
    ordered = scores.detach().sort(-1, descending=True).values
    return ordered, ordered.new_ones(ordered.shape).cumsum(-1)  # 1, 2, 3 …


def _largest(scores: Tensor, ordered: Tensor, holds: Tensor) -> Tensor:
    """Mark the scores that are at least as large as the smallest of `ordered` for which a condition holds."""
    return scores.detach() >= ordered.gather(-1, holds.sum(-1, keepdim=True) - 1)


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


def hard(
    parameters: Parameters, contexts: Tensor, *, temperature: float, noise: Tensor | None = None, **_: object
) -> Tensor:
    """a_j = 1 at the largest E[c,j] + noise_j, else 0 (of equal ones the first); straight through, as if a softmax.

    With Gumbel noise, in training, position j is drawn with probability softmax(E[c])_j; the gradient is that of
    softmax((E[c] + noise)/τ). Without noise it is the most probable position.
    """
    scores = parameters["scores"][contexts]
    soft = ((scores if noise is None else scores + noise) / temperature).softmax(-1)
    chosen = soft.new_zeros(soft.shape).scatter(-1, soft.argmax(-1, keepdim=True), 1.0)
    return chosen + (soft - soft.detach())  # exactly 0 or 1, with the gradient of soft


def _queries_and_keys(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    return {"query": (n_contexts, width), "key": (seq_len, width)}


def dot(parameters: Parameters, contexts: Tensor, **_: object) -> Tensor:
    """a = softmax(q_c·k_j)."""
    return (parameters["query"][contexts] @ parameters["key"].T).softmax(-1)


def scaled_dot(parameters: Parameters, contexts: Tensor, *, width: int, **_: object) -> Tensor:
    """a = softmax(q_c·k_j / √d)."""
    return (parameters["query"][contexts] @ parameters["key"].T / math.sqrt(width)).softmax(-1)


def _with_bilinear(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    return {**_queries_and_keys(n_contexts, seq_len, width=width), "W": (width, width)}


def bilinear(parameters: Parameters, contexts: Tensor, **_: object) -> Tensor:
    """a = softmax(q_cᵀ W k_j)."""
    return (parameters["query"][contexts] @ parameters["W"] @ parameters["key"].T).softmax(-1)


def _with_additive(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    square = (width, width)
    return {**_queries_and_keys(n_contexts, seq_len, width=width), "W": square, "U": square, "v": (width,)}


def additive(parameters: Parameters, contexts: Tensor, **_: object) -> Tensor:
    """a = softmax(v·tanh(W q_c + U k_j))."""
    query = parameters["query"][contexts] @ parameters["W"].T  # (n, d)
    key = parameters["key"] @ parameters["U"].T  # (seq_len, d)
    return ((query.unsqueeze(-2) + key).tanh() @ parameters["v"]).softmax(-1)  # (n, seq_len, d) -> (n, seq_len)


def _with_sharpness(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    return {**_queries_and_keys(n_contexts, seq_len, width=width), "log_beta": (n_contexts,)}


def _log_beta(_random: np.random.Generator, shape: tuple[int, ...], *, beta: float, **_: float) -> NDArray[np.float32]:
    return np.full(shape, math.log(beta), np.float32)


def cosine(parameters: Parameters, contexts: Tensor, **_: object) -> Tensor:
    """a = softmax(β_c cos(q_c, k_j)), β_c = exp(b_c) > 0 learned; the cosine with a zero vector is 0."""
    query, key = _direction(parameters["query"][contexts]), _direction(parameters["key"])
    return (parameters["log_beta"][contexts].exp().unsqueeze(-1) * (query @ key.T)).softmax(-1)


def _direction(vectors: Tensor) -> Tensor:
    length: Tensor = vectors.norm(dim=-1, keepdim=True)
    return vectors / length.clamp(min=1e-8)


def _with_centre(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    return {**_queries_and_keys(n_contexts, seq_len, width=width), "W_p": (width, width), "v_p": (width,)}


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


def _with_projections(n_contexts: int, seq_len: int, *, width: int, **_: float) -> Shapes:
    return {**_queries_and_keys(n_contexts, seq_len, width=width), "W_q": (width, width), "W_k": (width, width)}


def multihead(parameters: Parameters, contexts: Tensor, *, width: int, heads: int, **_: object) -> Tensor:
    """a = the mean over heads h of softmax((W_q q_c)_h · (W_k k_j)_h / √(d/heads)): each has its part of the width."""
    each = width // heads
    query = (parameters["query"][contexts] @ parameters["W_q"].T).reshape(*contexts.shape, 1, heads, each)
    key = (parameters["key"] @ parameters["W_k"].T).reshape(-1, heads, each)  # (seq_len, heads, each)
    return ((query * key).sum(-1) / math.sqrt(each)).softmax(-2).mean(-1)  # (n, seq_len, heads) -> (n, seq_len)


# In the equations: E, q, k and other letters are learned; τ temperature, d width, D window, j position, c context.
ATTENTION_FUNCTIONS: dict[str, AttentionFunction] = {
    "embedding": AttentionFunction(embedding, _score_table, "E[c]", "the article", has_kernel=True),
    "sigmoid": AttentionFunction(
        sigmoid, _score_table, "σ(E[c])", "the article: values from 0 to 1", "in [0, 1]", has_kernel=True
    ),
    "softmax": AttentionFunction(
        softmax,
        _score_table,
        "softmax(E[c] / τ)",
        "Bahdanau et al. 2014; Xu et al. 2015",
        "shares",
        options={"temperature": 1.0},
        has_kernel=True,
    ),
    "sparsemax": AttentionFunction(
        sparsemax,
        _score_table,
        "the point of the simplex nearest to E[c] / τ",
        "Martins and Astudillo 2016",
        "shares",
        options={"temperature": 1.0},
        has_kernel=True,
    ),
    "entmax15": AttentionFunction(
        entmax15,
        _score_table,
        "1.5-entmax(E[c] / τ)",
        "Peters, Niculae and Martins 2019",
        "shares",
        options={"temperature": 1.0},
        has_kernel=True,
    ),
    "gaussian": AttentionFunction(
        gaussian,
        _centres,
        "exp(-(j - μ_c)² / 2σ_c²)",
        "Graves 2013; Kosiorek 2017",
        "in [0, 1]",
        initial={"centre": _among_positions, "sharpness": _wide},
        has_kernel=True,
    ),
    "hard": AttentionFunction(
        hard,
        _score_table,
        "1 at one j: drawn from softmax(E[c]) in training, then argmax E[c]",
        "Xu et al. 2015; Jang et al. 2016",
        "shares",
        options={"temperature": 1.0},
        noisy=True,
    ),
    "dot": AttentionFunction(
        dot, _queries_and_keys, "softmax(q_c·k_j)", "Luong et al. 2015", "shares", options={"width": 8}, has_kernel=True
    ),
    "scaled_dot": AttentionFunction(
        scaled_dot,
        _queries_and_keys,
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
    "local": AttentionFunction(
        local,
        _with_centre,
        "softmax(q_c·k_j within D of p_c) · exp(-2(j - p_c)² / D²)",
        "Luong et al. 2015, local-p",
        "in [0, 1]",
        options={"width": 8, "window": 2},
        initial={"W_p": linear_uniform, "v_p": linear_uniform},
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
