"""Train the attention network and record every epoch."""

from workbench.stage.run import run_stage

from pathlib import Path

from attention.measures import ATTENTION_COLUMNS, HISTORY_COLUMNS, recovery
from attention.params import load_params
from attention.tasks.examples import open_examples, read_truth
from attention.training import determining, train
from attention.views.stages import show_training
from attention.views.tracked import TRACKED, experiment
from attention.weights import draw_weights, save_weights
from workbench.progress import live_signal, progress
from workbench.stage.outputs import md5
from workbench.tables import write_grid, write_table
from workbench.tracking.run import start_run

DATA, OUT = Path("data/generate"), Path("data/train")


def main() -> str:
    """Write data/train/ from data/generate/, seed, model.* and train.*."""
    params = load_params()
    truth = read_truth(DATA / "truth.csv")
    table = open_examples(DATA, "train")
    origin = {
        "parameters": determining(params, params.seed, len(truth), table.problem.seq_len),
        "data": {name: md5(DATA / name) for name in ("train.parquet", "truth.csv")},
    }
    function, options = params.model.attention, params.model.options
    initial = draw_weights(function, len(truth), table.problem.seq_len, params.seed, origin, options)

    steps_per_epoch = -(-len(table) // params.train.batch_size)
    rows, attention = [], []
    epochs = params.train.epochs
    with (
        start_run(TRACKED, params.tracking, experiment(initial)) as run,
        progress(epochs, steps_per_epoch) as bar,
        live_signal() as signal,
    ):
        for epoch in train(initial, table, params.train, params.seed, bar.steps):
            measures = recovery(epoch.attention, epoch.weights.output, truth).means()
            rows.append((epoch.epoch, epoch.mse, *measures.values()))
            attention.append(epoch.attention)
            bar.epoch(epoch.epoch, epoch.mse)
            signal(epoch.epoch)
            run.log_metrics({"mse": epoch.mse, **measures}, "train", epoch.epoch)

        save_weights(OUT / "model.safetensors", epoch.weights)
        write_table(OUT / "history.csv", dict(zip(HISTORY_COLUMNS, zip(*rows, strict=True), strict=True)))
        write_grid(OUT / "attention.csv", ATTENTION_COLUMNS, attention)
        show_training(run)
    return (
        f"train: {len(table):,} sequences -> {function}, {epochs} epochs, MSE {epoch.mse:.3g} -> data/train/{run.where}"
    )


if __name__ == "__main__":
    run_stage(main)
