"""What MLflow shows of each stage, read from the files that the stage wrote.

Everything is logged only where the run lacks it, so that showing a thing twice changes nothing.
"""

import math
from pathlib import Path

from attention.tasks.examples import ExampleTable, read_truth
from workbench.tables import EVALUATION_COLUMNS, HISTORY_COLUMNS, read_metrics, read_table
from workbench.tracking.run import Run
from attention.weights import load_weights


def show_training(run: Run, root: Path = Path()) -> None:
    """Show the training data, every epoch, the learned attention and the network."""
    out = root / "data/train"
    _show_data(run, root, "train", "training")
    _show_history(run, out)
    run.log_files(out, "history.csv", "attention.csv", "model.safetensors")
    run.log_network(load_weights(out / "model.safetensors"))


def show_evaluation(run: Run, root: Path = Path()) -> None:
    """Show the test data, the metrics on them, and the attention table; and what training has shown, if it ran."""
    out = root / "data/evaluate"
    _show_data(run, root, "train", "training")
    run.log_network(load_weights(root / "data/train/model.safetensors"))
    _show_data(run, root, "test", "testing")
    metrics = read_metrics(out / "metrics.json", "mse")
    if metrics["mse"] > 0:
        metrics["log10_mse"] = math.log10(metrics["mse"])  # what charts can show beside errors of other magnitudes
    run.log_metrics(metrics, "test")
    run.log_table(read_table(out / "attention.csv", EVALUATION_COLUMNS), "attention.json")
    run.log_files(out, "metrics.json", "attention.csv", "recovery.csv")


def show_pictures(run: Run, root: Path = Path()) -> None:
    """Show the pictures, those of the epochs with a slider."""
    out = root / "data/plot"
    _show_history(run, root / "data/train")  # where DVC took the training from its cache, nobody has shown it
    run.log_files(out, "attention.png", "map.png", "mse.png", "growth.png", "epochs.gif")
    run.log_images({int(path.stem): path for path in (out / "epochs").glob("*.png")}, "attention")


def _show_data(run: Run, root: Path, split: str, context: str) -> None:
    data = root / "data/generate"
    run.log_data(ExampleTable(data / f"{split}.parquet", read_truth(data / "truth.csv")), context)


def _show_history(run: Run, out: Path) -> None:
    history = read_table(out / "history.csv", HISTORY_COLUMNS)
    for row in zip(*history.values(), strict=True):
        epoch, *values = row
        run.log_metrics(dict(zip(HISTORY_COLUMNS[1:], map(float, values), strict=True)), "train", int(epoch))
