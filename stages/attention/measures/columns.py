"""The columns of the result tables."""

HISTORY_COLUMNS = ("epoch", "mse", "normalized", "effective", "accuracy")
ATTENTION_COLUMNS = ("epoch", "context", "position", "attention")
EVALUATION_COLUMNS = ("context", "position", "truth", "attention", "normalized", "effective")
