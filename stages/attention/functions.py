"""The attention functions, in torch: the one registry that model, engines, tests and documentation read.

torch itself is imported only by who calls a function: names, shapes and equations cost nothing to read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class AttentionFunction:
    """How much each of `seq_len` positions counts in each of `n_contexts` contexts.

    Attributes:
        attend: from the parameters and the contexts (n,) int64 to the attention (n, seq_len).
        shapes: from (n_contexts, seq_len) to the name and shape of each parameter; all start standard normal.
        has_kernel: whether kernels.py has a compiled twin of `attend`.
        equation: what `attend` computes, for people.
        source: where it comes from.

    """

    attend: Callable[[Mapping[str, Tensor], Tensor], Tensor]
    shapes: Callable[[int, int], Shapes]
    has_kernel: bool
    equation: str
    source: str


def _score_table(n_contexts: int, seq_len: int) -> Shapes:
    return {"scores": (n_contexts, seq_len)}


def embedding(parameters: Mapping[str, Tensor], contexts: Tensor) -> Tensor:
    """a = E[c], unbounded: the article's function."""
    return parameters["scores"][contexts]


def softmax(parameters: Mapping[str, Tensor], contexts: Tensor) -> Tensor:
    """Soft attention exp(E[c,j]) / Σ exp(E[c,·]): in [0, 1], summing to 1."""
    return parameters["scores"][contexts].softmax(-1)


ATTENTION_FUNCTIONS: Mapping[str, AttentionFunction] = {
    "embedding": AttentionFunction(embedding, _score_table, True, "E[c], unbounded", "the article"),
    "softmax": AttentionFunction(softmax, _score_table, True, "softmax(E[c])", "Bahdanau et al. 2014, Xu et al. 2015"),
}
