"""What MLflow is told of the project."""

from collections.abc import Mapping
from typing import Any

from workbench.tracking.tracked import Tracked


def run_name(params: Mapping[str, Any], experiment: str | None = None) -> str:
    """Return "min_length 3, lowercase True", and in brackets what DVC calls the experiment, where it is one."""
    name = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in params.items())
    return f"{name} ({experiment})" if experiment else name


TRACKED = Tracked(
    name="words",
    about="Counts of words, a run each.",
    packages=("dvc", "mlflow", "pandas"),
    run_name=run_name,
    run_about=lambda run_id: f"The same files again: `words restore {run_id} DIR`.",
    begins="count",
    columns=("metrics.`measure/share`", "params.`count.min_length`"),
)
