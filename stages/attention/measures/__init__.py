"""What is measured of a network: its errors, and how well its attention matches the truth."""

from attention.measures.columns import (
    ATTENTION_COLUMNS,
    EVALUATION_COLUMNS,
    HISTORY_COLUMNS,
    history_columns,
    of_cases,
)
from attention.measures.evaluation import evaluation
from attention.measures.recovery import Recovery, effect, recovery, shares

__all__ = [
    "ATTENTION_COLUMNS",
    "EVALUATION_COLUMNS",
    "HISTORY_COLUMNS",
    "Recovery",
    "effect",
    "evaluation",
    "history_columns",
    "of_cases",
    "recovery",
    "shares",
]
