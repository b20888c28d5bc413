"""What is measured of a network: its errors, and how well its attention matches the truth."""

from attention.measures.cases import recovery_by_kind
from attention.measures.columns import (
    ATTENTION_COLUMNS,
    EVALUATION_COLUMNS,
    HISTORY_COLUMNS,
    history_columns,
    of_cases,
)
from attention.measures.prediction import baseline_errors, network_errors
from attention.measures.recovery import Recovery, effect, recovery, shares

__all__ = [
    "ATTENTION_COLUMNS",
    "EVALUATION_COLUMNS",
    "HISTORY_COLUMNS",
    "Recovery",
    "baseline_errors",
    "effect",
    "history_columns",
    "network_errors",
    "of_cases",
    "recovery",
    "recovery_by_kind",
    "shares",
]
