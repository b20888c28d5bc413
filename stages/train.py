"""Train the attention network and record every epoch."""

from workbench.stage.run import run_stage

from pathlib import Path

from attention.measures import ATTENTION_COLUMNS, effect, history_columns, of_cases, recovery
from attention.params import load_params
from attention.tasks.cases import read_cases
from attention.tasks.examples import open_examples
from attention.tracking.experiment import TRACKED, experiment
from attention.tracking.stages import show_training
from attention.training import determining, train
from attention.weights import initial_weights, save_weights
from workbench.progress import live_signal, progress
from workbench.stage.outputs import md5
from workbench.stage.tables import write_grid, write_table
from workbench.tracking.run import start_run

DATA, OUT = Path("data/generate"), Path("data/train")


def main() -> str:
    """Write data/train/ from data/generate/, seed, model.* and train.*."""
    params = load_params()
    table = open_examples(DATA, "train")
    problem = table.problem
    cases = read_cases(DATA / "truth.csv", problem)
    origin = {
        "parameters": determining(params, params.seed, problem),
        "data": {name: md5(DATA / name) for name in ("train.parquet", "truth.csv")},
    }
    initial = initial_weights(params.model.attention, problem, params.seed, origin, params.model.options)

    columns = history_columns(problem.classes)
    error = columns[1].replace("mse", "MSE")
    steps_per_epoch = -(-len(table) // params.train.batch_size)
    rows, attention = [], []
    epochs = params.train.epochs
    with (
        start_run(TRACKED, params.tracking, experiment(initial)) as run,
        progress(epochs, steps_per_epoch) as bar,
        live_signal() as signal,
    ):
        for epoch in train(initial, table, params.train, params.seed, bar.steps, cases):
            measures = recovery(epoch.attention, epoch.weights.output, cases.truth, effect(cases)).means()
            rows.append((epoch.epoch, epoch.loss, *measures.values()))
            attention.append(epoch.attention)
            bar.epoch(epoch.epoch, error, epoch.loss)
            signal(epoch.epoch)
            run.log_metrics(dict(zip(columns[1:], rows[-1][1:], strict=True)), "train", epoch.epoch)

        save_weights(OUT / "model.safetensors", epoch.weights)
        write_table(OUT / "history.csv", dict(zip(columns, zip(*rows, strict=True), strict=True)))
        write_grid(OUT / "attention.csv", of_cases(ATTENTION_COLUMNS, problem.task == "lookup"), attention)
        show_training(run)
    return (
        f"train: {len(table):,} sequences of {problem.task} -> {params.model.attention}, {epochs} epochs, "
        f"{error} {epoch.loss:.3g} -> data/train/{run.where}"
    )


if __name__ == "__main__":
    run_stage(main)
