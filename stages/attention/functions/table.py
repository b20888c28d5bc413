"""Attention from a table of scores: a row E[c] for each context, learned as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from attention.functions.entry import AttentionFunction, Parameters, Shapes

if TYPE_CHECKING:
    from torch import Tensor


def score_table(n_contexts: int, seq_len: int, **_: float) -> Shapes:
    """Return the shape of one parameter: a score for each context and position."""
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


def _below_zero(scores: Tensor) -> Tensor:
    """Shift scores so that the largest is 0, and cut them at -1, where neither sparse function has a support."""
    return (scores - scores.amax(-1, keepdim=True).detach()).clamp(min=-1)


def _ranked(scores: Tensor) -> tuple[Tensor, Tensor]:
    ordered = scores.detach().sort(-1, descending=True).values
    return ordered, ordered.new_ones(ordered.shape).cumsum(-1)  # 1, 2, 3 …


def _largest(scores: Tensor, ordered: Tensor, holds: Tensor) -> Tensor:
    """Mark the scores that are at least as large as the smallest of `ordered` for which a condition holds."""
    return scores.detach() >= ordered.gather(-1, holds.sum(-1, keepdim=True) - 1)


FUNCTIONS: dict[str, AttentionFunction] = {
    "embedding": AttentionFunction(embedding, score_table, "E[c]", "the article", has_kernel=True),
    "sigmoid": AttentionFunction(
        sigmoid, score_table, "σ(E[c])", "the article: values from 0 to 1", "in [0, 1]", has_kernel=True
    ),
    "softmax": AttentionFunction(
        softmax,
        score_table,
        "softmax(E[c] / τ)",
        "Bahdanau et al. 2014; Xu et al. 2015",
        "shares",
        options={"temperature": 1.0},
        has_kernel=True,
    ),
    "sparsemax": AttentionFunction(
        sparsemax,
        score_table,
        "the point of the simplex nearest to E[c] / τ",
        "Martins and Astudillo 2016",
        "shares",
        options={"temperature": 1.0},
        has_kernel=True,
    ),
    "entmax15": AttentionFunction(
        entmax15,
        score_table,
        "1.5-entmax(E[c] / τ)",
        "Peters, Niculae and Martins 2019",
        "shares",
        options={"temperature": 1.0},
        has_kernel=True,
    ),
    "hard": AttentionFunction(
        hard,
        score_table,
        "1 at one j: drawn from softmax(E[c]) in training, then argmax E[c]",
        "Xu et al. 2015; Jang et al. 2016",
        "shares",
        options={"temperature": 1.0},
        noisy=True,
    ),
}
