"""What MLflow shows of each stage, read from the files that the stage wrote.

Everything is logged only where the run lacks it, so that showing a thing twice changes nothing.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from attention.measures.columns import EVALUATION_COLUMNS, HISTORY_COLUMNS, history_columns, of_cases
from attention.tasks.examples import open_examples
from attention.weights import load_weights
from workbench.stage.tables import read_metrics, read_table

if TYPE_CHECKING:  # MLflow takes seconds, and who lists runs needs no more than the names
    from workbench.tracking.run import Run

# What the measures on new data are called.
TEST_METRICS = {"mse": "test/mse", **{name: f"test/recovery.{name}" for name in HISTORY_COLUMNS[2:]}}


def show_training(run: Run, root: Path = Path()) -> None:
    """Show the training data, every epoch, the learned attention and the network."""
    out = root / "data/train"
    _show_data(run, root, "train", "training")
    _show_history(run, root)
    run.log_files(out, "history.csv", "attention.csv", "model.safetensors")
    _show_network(run, out / "model.safetensors")


def show_evaluation(run: Run, root: Path = Path()) -> None:
    """Show the test data, the metrics on them, and the attention table; and what training has shown, if it ran."""
    out = root / "data/evaluate"
    _show_data(run, root, "train", "training")
    _show_network(run, root / "data/train/model.safetensors")
    _show_data(run, root, "test", "testing")
    weights = load_weights(root / "data/train/model.safetensors")
    error = history_columns(weights.classes)[1]
    metrics = read_metrics(out / "metrics.json", error)
    if metrics[error] > 0:
        metrics[f"log10_{error}"] = math.log10(metrics[error])  # what charts can show beside errors of other magnitudes
    run.log_metrics(metrics, "test")
    run.log_table(
        read_table(out / "attention.csv", of_cases(EVALUATION_COLUMNS, not weights.problem)), "attention.json"
    )
    run.log_files(out, "metrics.json", "attention.csv", "recovery.csv", "faithfulness.csv")


def show_pictures(run: Run, root: Path = Path()) -> None:
    """Show the pictures, those of the epochs with a slider."""
    out = root / "data/plot"
    _show_history(run, root)  # where DVC took the training from its cache, nobody has shown it
    run.log_files(out, "attention.png", "map.png", "mse.png", "growth.png", "learned.png", "epochs.gif", "report.html")
    run.log_images({int(path.stem): path for path in (out / "epochs").glob("*.png")}, "attention")


def _show_data(run: Run, root: Path, split: str, context: str) -> None:
    data = root / "data/generate"
    table = open_examples(data, split)
    problem = table.problem
    sizes = {"task": problem.task, **problem.sizes}
    if problem.task != "lookup":
        sizes["keys"] = problem.keys
    sizes[f"n_{split}"] = len(table)
    run.log_data(table.path, context, {f"data.{name}": size for name, size in sizes.items()})


def _show_network(run: Run, path: Path) -> None:
    from attention.serving.model import ABOUT, REGISTERED, write_network  # as a second thought: plot never shows it

    weights = load_weights(path)
    step = int(weights.origin["parameters"]["train.epochs"]) - 1
    run.log_model(lambda folder: write_network(weights, folder), step, REGISTERED, ABOUT)


def _show_history(run: Run, root: Path) -> None:
    columns = history_columns(load_weights(root / "data/train/model.safetensors").classes)
    history = read_table(root / "data/train/history.csv", columns)
    for row in zip(*history.values(), strict=True):
        epoch, *values = row
        run.log_metrics(dict(zip(columns[1:], map(float, values), strict=True)), "train", int(epoch))
