"""What is measured of a network: its errors, and how well its attention matches the truth."""

from attention.measures.columns import ATTENTION_COLUMNS, EVALUATION_COLUMNS, HISTORY_COLUMNS
from attention.measures.prediction import baseline_mses, network_mse
from attention.measures.recovery import Recovery, recovery, shares

__all__ = [
    "ATTENTION_COLUMNS",
    "EVALUATION_COLUMNS",
    "HISTORY_COLUMNS",
    "Recovery",
    "baseline_mses",
    "network_mse",
    "recovery",
    "shares",
]
