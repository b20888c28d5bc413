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
        equation: what `attend` computes, for people.
        source: where it comes from.

    """

    attend: Callable[[Mapping[str, Tensor], Tensor], Tensor]
    shapes: Callable[[int, int], Shapes]
    equation: str
    source: str


def _score_table(n_contexts: int, seq_len: int) -> Shapes:
    return {"scores": (n_contexts, seq_len)}


def embedding(parameters: Mapping[str, Tensor], contexts: Tensor) -> Tensor:
    """a = E[c], unbounded: the article's function."""
    return parameters["scores"][contexts]


ATTENTION_FUNCTIONS: Mapping[str, AttentionFunction] = {
    "embedding": AttentionFunction(embedding, _score_table, "E[c], unbounded", "the article"),
}
