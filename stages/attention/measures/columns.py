"""The columns of the result tables."""

HISTORY_COLUMNS = ("epoch", "mse", "normalized", "effective", "accuracy")
ATTENTION_COLUMNS = ("epoch", "context", "position", "attention")
EVALUATION_COLUMNS = ("context", "position", "truth", "attention", "normalized", "effective")


def history_columns(classes: int | None) -> tuple[str, ...]:
    """Return the columns of history.csv: of classes the error is their cross-entropy."""
    return ("epoch", "loss" if classes else "mse", *HISTORY_COLUMNS[2:])


def of_cases(columns: tuple[str, ...], lookup: bool) -> tuple[str, ...]:
    """Return the columns of a table of attention: of lookup the cases are its contexts."""
    return columns if lookup else tuple("case" if name == "context" else name for name in columns)
