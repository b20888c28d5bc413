"""Plot true against learned attention, the error, and how the attention grew."""

from workbench.stage.run import run_stage

from pathlib import Path

import numpy as np

from attention.measures import ATTENTION_COLUMNS, EVALUATION_COLUMNS, history_columns, of_cases, shares
from attention.params import load_params
from attention.pictures.figures import epoch_figure, mse_figure, save_animation
from attention.pictures.style import save_figure
from attention.report.figures import CASE, figures_of, in_order
from attention.report.page import ERRORS, save_report
from attention.tasks.problem import CASES
from attention.tracking.experiment import TRACKED, experiment
from attention.tracking.naming import run_name
from attention.tracking.stages import show_pictures
from attention.weights import load_weights
from workbench.stage.outputs import keep_only
from workbench.stage.tables import read_grid, read_metrics
from workbench.tracking.run import continue_run

TRAIN, EVALUATE, OUT = Path("data/train"), Path("data/evaluate"), Path("data/plot")
PICTURED_EPOCHS = 20  # of a long training, as many maps as a person would step through


def main() -> str:
    """Write data/plot/ from data/train/ and data/evaluate/; no parameter changes it."""
    params = load_params()
    weights = load_weights(TRAIN / "model.safetensors")
    lookup, columns = not weights.problem, history_columns(weights.classes)
    shape = (weights.n_contexts if lookup else CASES, weights.seq_len)
    history = read_grid(TRAIN / "history.csv", columns, None)
    errors = history[columns[1]]
    grown = read_grid(TRAIN / "attention.csv", of_cases(ATTENTION_COLUMNS, lookup), len(errors), *shape)
    final = read_grid(EVALUATE / "attention.csv", of_cases(EVALUATION_COLUMNS, lookup), *shape)
    attention, truth = grown["attention"], final["truth"]
    needed = (columns[1], "recovery.effective", "baseline.mean", "baseline.linear")
    metrics = read_metrics(EVALUATE / "metrics.json", *needed)

    figures = figures_of(weights, history, attention, final)
    without = {name: metrics[f"baseline.{name}"] for name in ("mean", "linear")}
    figures["mse"] = mse_figure(errors, without, ERRORS[columns[1]].lower())
    for name, figure in figures.items():
        save_figure(OUT / f"{name}.png", figure)
    pictured = np.unique(np.linspace(0, len(attention) - 1, PICTURED_EPOCHS).astype(int)).tolist()
    rows, row = (slice(None), "context") if lookup else (in_order(truth), CASE)
    for epoch in pictured:
        save_figure(OUT / f"epochs/{epoch}.png", epoch_figure(epoch, shares(attention[epoch, rows]), truth[rows], row))
    save_animation(OUT / "epochs.gif", [OUT / f"epochs/{epoch}.png" for epoch in pictured])
    name = run_name(weights.origin["parameters"])
    save_report(OUT / "report.html", name, weights, history, pictured, attention, final, metrics)
    keep_only(OUT / "epochs", (f"{epoch}.png" for epoch in pictured))

    with continue_run(TRACKED, params.tracking, experiment(weights), EVALUATE / "metrics.json", "plot") as run:
        show_pictures(run)
    return (
        f"plot: {weights.function}, {len(attention)} epochs -> attention.png, report.html and their companions "
        f"-> data/plot/{run.where}"
    )


if __name__ == "__main__":
    run_stage(main)
