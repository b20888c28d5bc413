"""What makes attention of scores (…, S): along the last axis, of each row by itself. NaN among the scores gives NaN.

This is one half of an attention function; the other makes the scores of a query and its keys.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Values = Literal["any", "in [0, 1]", "shares"]
LEAST_UNIFORM = 2.0**-25  # of 24 random bits the least is 0, which has no logarithm


def softmax(scores: Tensor, *, temperature: float = 1.0, **_: object) -> Tensor:
    """a_j = exp(s_j/τ) / Σ exp(s/τ)."""
    return (scores / temperature).softmax(-1)


def sigmoid(scores: Tensor, *, temperature: float = 1.0, **_: object) -> Tensor:
    """a_j = 1 / (1 + exp(-s_j/τ)): each position for itself, in [0, 1]."""
    return (scores / temperature).sigmoid()


def sparsemax(scores: Tensor, *, temperature: float = 1.0, **_: object) -> Tensor:
    """argmin_a ‖a - s/τ‖² over the simplex: a_j = max(s_j/τ - t, 0), with t such that they sum to 1.

    The larger t, the smaller the sum Σ_i max(s_i/τ - t, 0), and the right t makes it 1. So where it is below 1 at
    t = s_j/τ, the right t is below s_j/τ, and a_j > 0: j is in the support. To try every s_j takes S² numbers, but
    neither sorting nor searching. A position outside of the support gets no gradient.
    """
    scores = _below_zero(scores / temperature)
    inside = _above(scores).sum(-1) < 1
    threshold = ((scores * inside).sum(-1, keepdim=True) - 1) / inside.sum(-1, keepdim=True)
    return (scores - threshold).relu()


def entmax15(scores: Tensor, *, temperature: float = 1.0, **_: object) -> Tensor:
    """argmax_a a·s/τ + 4/3 Σ (a_j - a_j^1.5) over the simplex: a_j = max(s_j/2τ - t, 0)², t such that Σ a = 1.

    The support is found as that of sparsemax. On r scores with mean m and Σ (s/2τ - m)² = v, t = m - √((1 - v)/r). A
    position outside of it gets no gradient.
    """
    halves = _below_zero(scores / temperature / 2)
    inside = _above(halves).square().sum(-1) < 1
    count = inside.sum(-1, keepdim=True)
    mean = (halves * inside).sum(-1, keepdim=True) / count
    spread = ((halves - mean).square() * inside).sum(-1, keepdim=True)
    threshold = mean - ((1 - spread) / count).sqrt()
    return (halves - threshold).relu().square()


def hard(scores: Tensor, *, temperature: float = 1.0, noise: Tensor | None = None, **_: object) -> Tensor:
    """a_j = 1 at the largest s_j + g_j, else 0 (of equal ones the first); straight through, as if a softmax.

    With `noise` uniform in [0, 1), g = -log(-log(noise)) is Gumbel noise: position j is drawn with probability
    softmax(s)_j. Without, it is the most probable one. The gradient is that of softmax((s + g)/τ).
    """
    if noise is not None:
        scores = scores - (-noise.clamp(min=LEAST_UNIFORM).log()).log()
    soft = (scores / temperature).softmax(-1)
    chosen = soft.new_zeros(soft.shape).scatter(-1, scores.argmax(-1, keepdim=True), 1.0)
    return chosen + (soft - soft.detach())  # exactly 0 or 1, with the gradient of soft


def _below_zero(scores: Tensor) -> Tensor:
    """Shift scores so that the largest is 0, and cut them at -1, where neither sparse function has a support."""
    return (scores - scores.amax(-1, keepdim=True).detach()).clamp(min=-1)


def _above(scores: Tensor) -> Tensor:
    """By how much each score (last axis) exceeds each (last but one), at least 0: (…, S, S)."""
    scores = scores.detach()
    return (scores.unsqueeze(-2) - scores.unsqueeze(-1)).relu()


@dataclass(frozen=True)
class Normalizer:
    """From scores to attention.

    Attributes:
        function: from scores (…, S) to attention of the same shape; by name it gets `temperature`, and `noise`.
        equation: what it computes, for people.
        source: where it comes from.
        values: what is known of the attention: that it lies in [0, 1], or that it sums to 1 besides.
        noisy: whether training gives it noise (…, S), uniform in [0, 1).

    """

    function: Callable[..., Tensor]
    equation: str
    source: str
    values: Values = "shares"
    noisy: bool = False


NORMALIZERS: dict[str, Normalizer] = {
    "softmax": Normalizer(softmax, "exp(s_j / τ) / Σ exp(s / τ)", "Bridle 1990"),
    "sparsemax": Normalizer(sparsemax, "the point of the simplex nearest to s / τ", "Martins and Astudillo 2016"),
    "entmax15": Normalizer(entmax15, "1.5-entmax(s / τ)", "Peters, Niculae and Martins 2019"),
    "sigmoid": Normalizer(sigmoid, "σ(s_j / τ)", "Ramapuram et al. 2024", "in [0, 1]"),
    "hard": Normalizer(
        hard, "1 at one j: drawn from softmax(s) in training, then argmax s", "Jang et al. 2016", noisy=True
    ),
}


def normalize(scores: Tensor, *, normalizer: str, **options: object) -> Tensor:
    """Return the attention that the normalizer of this name makes of scores."""
    return NORMALIZERS[normalizer].function(scores, **options)
