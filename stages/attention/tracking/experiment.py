"""What MLflow is told of this laboratory and its experiments."""

from attention.tracking.naming import run_name
from attention.weights import Weights
from workbench.tracking.tracked import Experiment, Tracked

ABOUT = """Trainings of the attention network, a run each, made by `dvc repro`, `dvc exp run` and `attention publish`.

- A run is called by its function, what differs from the article's parameters, and its seed; in brackets stands what DVC
  calls the experiment.
- `train/…` is measured after every epoch, `test/…` on new data at the end; `normalized` and `effective` are the shares
  of |a| and |a·w| on the true position.
- Select runs and press *Compare*; or search: ``params.`model.attention` = 'softmax' and metrics.`test/mse` < 0.001``.
"""
# What the list of runs shows first: the error and the recovery, and what was most often varied.
COLUMNS = (
    *("metrics.`test/mse`", "metrics.`test/recovery.effective`"),
    *("params.`model.attention`", "params.`train.learning_rate`", "params.`train.epochs`", "params.`seed`"),
)


def experiment(weights: Weights) -> Experiment:
    """Return the experiment that a network comes from."""
    return Experiment(weights.key, weights.origin["parameters"])


def _run_about(run_id: str) -> str:
    """Return what a person reads first on the run's page: where the figure is, and how to have it all again."""
    figure = f"get-artifact?path=plot/attention.png&run_uuid={run_id}"
    return (
        f"[True and learned attention]({figure}), drawn by the stage `plot`; *Model metrics* has the curves, and the "
        "attention after every epoch with a slider; *Artifacts* has all of it on one page, `plot/report.html`. The "
        f"same files again: `attention restore {run_id} DIR`.\n"
    )


TRACKED = Tracked(
    "attention", ABOUT, ("torch", "llvmlite", "numpy", "mlflow", "dvc"), run_name, _run_about, "train", COLUMNS
)
