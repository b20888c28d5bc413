"""What MLflow shows: of each stage, read from the files that it wrote; and of the project, how its runs are called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from workbench.stage.tables import read_metrics
from workbench.tracking.tracked import Tracked

if TYPE_CHECKING:
    from collections.abc import Mapping

    from workbench.tracking.run import Run

TEXT, COUNT, MEASURE = Path("text/rain.txt"), Path("data/count"), Path("data/measure")


def show_count(run: Run) -> None:
    """Show the text and the counts."""
    run.log_data(TEXT, "training", {})
    run.log_files(COUNT, "words.csv", "origin.json")


def show_measures(run: Run, top: int, seed: int) -> None:
    """Show the measures, and what they depend on."""
    run.log_params({"measure.top": top, "seed": seed})
    run.log_metrics(read_metrics(MEASURE / "metrics.json"), "measure")
    run.log_files(MEASURE, "metrics.json")


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
