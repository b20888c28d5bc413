"""Attention from a table of scores: E[query, key], a number for each feature of queries and each of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attention.functions import normalizers
from attention.functions.entry import TEMPERATURE, AttentionFunction, Parameters, Shapes
from attention.functions.features import table_scores

if TYPE_CHECKING:
    from torch import Tensor


def score_table(queries: int, keys: int, **_: float) -> Shapes:
    """Return the shape of one parameter: a score for each feature of queries and of keys."""
    return {"scores": (queries, keys)}


def embedding(parameters: Parameters, queries: Tensor, keys: Tensor, **_: object) -> Tensor:
    """a = E[q,k], unbounded: the article's function."""
    return table_scores(parameters["scores"], queries, keys)


def sigmoid(parameters: Parameters, queries: Tensor, keys: Tensor, **options: Any) -> Tensor:
    """a = σ(E[q,k]): each position for itself, in [0, 1]."""
    return normalizers.sigmoid(embedding(parameters, queries, keys), **options)


def softmax(parameters: Parameters, queries: Tensor, keys: Tensor, **options: Any) -> Tensor:
    """a_j = exp(E[q,k_j]/τ) / Σ exp(E[q,k]/τ): soft attention."""
    return normalizers.softmax(embedding(parameters, queries, keys), **options)


def sparsemax(parameters: Parameters, queries: Tensor, keys: Tensor, **options: Any) -> Tensor:
    """a = the point of the simplex nearest to E[q,k]/τ."""
    return normalizers.sparsemax(embedding(parameters, queries, keys), **options)


def entmax15(parameters: Parameters, queries: Tensor, keys: Tensor, **options: Any) -> Tensor:
    """a = 1.5-entmax(E[q,k]/τ)."""
    return normalizers.entmax15(embedding(parameters, queries, keys), **options)


def hard(parameters: Parameters, queries: Tensor, keys: Tensor, **options: Any) -> Tensor:
    """a_j = 1 at one j, in training drawn from softmax(E[q,k]), else at the largest; straight through."""
    return normalizers.hard(embedding(parameters, queries, keys), **options)


FUNCTIONS: dict[str, AttentionFunction] = {
    "embedding": AttentionFunction(embedding, score_table, "E[q,k]", "the article"),
    "sigmoid": AttentionFunction(sigmoid, score_table, "σ(E[q,k])", "the article: values from 0 to 1", "in [0, 1]"),
    "softmax": AttentionFunction(
        softmax,
        score_table,
        "softmax(E[q,k] / τ)",
        "Bahdanau et al. 2014; Xu et al. 2015",
        "shares",
        options={"temperature": TEMPERATURE},
    ),
    "sparsemax": AttentionFunction(
        sparsemax,
        score_table,
        "the point of the simplex nearest to E[q,k] / τ",
        "Martins and Astudillo 2016",
        "shares",
        options={"temperature": TEMPERATURE},
    ),
    "entmax15": AttentionFunction(
        entmax15,
        score_table,
        "1.5-entmax(E[q,k] / τ)",
        "Peters, Niculae and Martins 2019",
        "shares",
        options={"temperature": TEMPERATURE},
    ),
    "hard": AttentionFunction(
        hard,
        score_table,
        "1 at one j: drawn from softmax(E[q,k]) in training, then argmax E[q,k]",
        "Xu et al. 2015; Jang et al. 2016",
        "shares",
        options={"temperature": TEMPERATURE},
        noisy=True,
    ),
}
