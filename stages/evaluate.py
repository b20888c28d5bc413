"""Evaluate the trained network: its error on new data, and how well its attention matches the truth."""

from workbench.stage.run import run_stage

from functools import partial
from pathlib import Path

import numpy as np

from attention.inference.attention import attention_of
from attention.measures import EVALUATION_COLUMNS, effect, evaluation, of_cases, shares
from attention.params import load_params
from attention.tasks.cases import read_cases
from attention.tasks.examples import open_examples
from attention.tracking.experiment import TRACKED, experiment
from attention.tracking.stages import show_evaluation
from attention.weights import load_weights
from workbench.stage.errors import DataError
from workbench.stage.tables import number_rows, write_json, write_table
from workbench.tracking.run import continue_run

DATA, OUT = Path("data/generate"), Path("data/evaluate")
MODEL = Path("data/train/model.safetensors")


def main() -> str:
    """Write data/evaluate/ from data/generate/ and data/train/model.safetensors; no parameter changes it."""
    params = load_params()
    train, test = open_examples(DATA, "train"), open_examples(DATA, "test")
    problem = test.problem
    if train.problem != problem:
        raise DataError(
            f"{train.path}: got {train.problem.task} with {train.problem.seq_len} positions; allowed: what {test.path} "
            f"has, {problem.task} with {problem.seq_len}; `dvc repro -f generate` writes both again"
        )
    lookup, cases = problem.task == "lookup", read_cases(DATA / "truth.csv", problem)
    weights = load_weights(MODEL, problem)
    attend = partial(attention_of, weights)

    metrics, errors, recovery, faithfulness = evaluation(attend, weights, train, test, cases)
    attention = attend(cases)
    grid = number_rows(
        of_cases(EVALUATION_COLUMNS, lookup)[:3], (np.arange(problem.seq_len) == cases.truth[:, None]).astype(int)
    )
    table = {
        **grid,
        "attention": attention.ravel(),
        "normalized": shares(attention).ravel(),
        "effective": shares(attention, weights.output * effect(cases)).ravel(),
    }
    write_json(OUT / "metrics.json", metrics)
    write_table(
        OUT / "errors.csv",
        {"predictor": list(errors), **{one: [each[one] for each in errors.values()] for one in errors["network"]}},
    )
    write_table(OUT / "attention.csv", table)
    write_table(OUT / "recovery.csv", recovery)
    write_table(OUT / "faithfulness.csv", faithfulness)

    with continue_run(TRACKED, params.tracking, experiment(weights), OUT / "metrics.json", "evaluate") as run:
        show_evaluation(run)
    said = ", ".join(f"{name.replace('mse', 'MSE')} {error:.3g}" for name, error in errors["network"].items())
    return (
        f"evaluate: {weights.function} on {len(test):,} test sequences of {problem.task} -> {said}, "
        f"effective recovery {metrics['recovery']['effective']:.4f} -> data/evaluate/{run.where}"
    )


if __name__ == "__main__":
    run_stage(main)
