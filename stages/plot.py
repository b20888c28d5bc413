"""Plot true against learned attention, the error, and how the attention grew."""

from workbench.stage.run import run_stage

from pathlib import Path

import numpy as np

from attention.measures import ATTENTION_COLUMNS, EVALUATION_COLUMNS, history_columns, of_cases, shares
from attention.params import load_params
from attention.pictures.figures import (
    attention_figure,
    attention_maps,
    epoch_figure,
    growth_figure,
    mse_figure,
    save_animation,
)
from attention.pictures.style import save_figure
from attention.report.page import save_report
from attention.tasks.problem import CASES
from attention.views.naming import run_name
from attention.views.stages import show_pictures
from attention.views.tracked import TRACKED, experiment
from attention.weights import load_weights
from workbench.stage.outputs import keep_only
from workbench.tables import read_grid, read_metrics
from workbench.tracking.run import continue_run

TRAIN, EVALUATE, OUT = Path("data/train"), Path("data/evaluate"), Path("data/plot")
PICTURED_CASES = 16  # of a task whose attention is another one for each example
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
    shown = slice(None if lookup else PICTURED_CASES)
    attention = grown["attention"][:, shown]
    final = {name: matrix[shown] for name, matrix in final.items()}
    truth, normalized, effective = (final[name] for name in ("truth", "normalized", "effective"))
    needed = (columns[1], "recovery.effective", "baseline.mean", "baseline.linear")
    metrics = read_metrics(EVALUATE / "metrics.json", *needed)

    save_figure(OUT / "attention.png", attention_figure(truth, normalized, effective))
    save_figure(OUT / "map.png", attention_maps(truth, normalized, effective))
    save_figure(OUT / "mse.png", mse_figure(errors, {name: metrics[f"baseline.{name}"] for name in ("mean", "linear")}))
    save_figure(OUT / "growth.png", growth_figure(attention, truth))
    pictured = np.unique(np.linspace(0, len(attention) - 1, PICTURED_EPOCHS).astype(int)).tolist()
    for epoch in pictured:
        save_figure(OUT / f"epochs/{epoch}.png", epoch_figure(epoch, shares(attention[epoch]), truth))
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
