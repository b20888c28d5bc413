"""Evaluate the trained network: its error on new data, and how well its attention matches the truth."""

from workbench.stage.run import run_stage

from pathlib import Path

import numpy as np

from attention.measures import baseline_mses, network_mse, recovery, shares
from attention.params import load_params
from attention.tasks.examples import open_examples, read_truth
from attention.training import attention_of
from attention.views.stages import show_evaluation
from attention.views.tracked import TRACKED, experiment
from attention.weights import load_weights
from workbench.stage.errors import DataError
from workbench.tables import Metrics, number_rows, write_json, write_table
from workbench.tracking.run import continue_run

DATA, OUT = Path("data/generate"), Path("data/evaluate")
MODEL = Path("data/train/model.safetensors")


def main() -> str:
    """Write data/evaluate/ from data/generate/ and data/train/model.safetensors; no parameter changes it."""
    params = load_params()
    truth = read_truth(DATA / "truth.csv")
    train, test = open_examples(DATA, "train"), open_examples(DATA, "test")
    if train.problem != test.problem:
        raise DataError(
            f"{train.path}: got {train.problem.seq_len} positions; allowed: {test.problem.seq_len}, as {test.path} "
            "has; `dvc repro -f generate` writes both again"
        )
    weights = load_weights(MODEL, n_contexts=len(truth), seq_len=test.problem.seq_len)
    attention = attention_of(weights)

    measures = recovery(attention, weights.output, truth)
    errors = {"network": network_mse(attention, weights, test), **baseline_mses(train, test)}
    metrics: Metrics = {
        "mse": errors["network"],
        "recovery": {**measures.means()},
        "baseline": {name: error for name, error in errors.items() if name != "network"},
    }
    table = {
        **number_rows(
            ("context", "position", "truth"), (np.arange(test.problem.seq_len) == truth[:, None]).astype(int)
        ),
        "attention": attention.ravel(),
        "normalized": shares(attention).ravel(),
        "effective": shares(attention, weights.output).ravel(),
    }
    write_json(OUT / "metrics.json", metrics)
    write_table(OUT / "errors.csv", {"predictor": list(errors), "mse": list(errors.values())})
    write_table(OUT / "attention.csv", table)
    write_table(OUT / "recovery.csv", {"context": np.arange(len(truth)), "position": truth, **measures._asdict()})

    with continue_run(TRACKED, params.tracking, experiment(weights), OUT / "metrics.json", "evaluate") as run:
        show_evaluation(run)
    return (
        f"evaluate: {weights.function} on {len(test):,} test sequences -> MSE {metrics['mse']:.3g}, "
        f"effective recovery {measures.effective.mean():.4f} "
        f"-> data/evaluate/{run.where}"
    )


if __name__ == "__main__":
    run_stage(main)
