"""What MLflow shows of each stage, read from the files that the stage wrote."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from workbench.stage.tables import read_metrics

if TYPE_CHECKING:
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
