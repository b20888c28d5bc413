"""MLflow as a view of the files: whatever is shown there can be rebuilt from data/.

One run an experiment. `train` starts it; `evaluate` and `plot` find it again by the experiment key in the model's
metadata. A result never depends on MLflow: when it cannot be reached, one warning says so and the stage goes on.
"""

import functools
import getpass
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

# Set before mlflow is imported; whoever sets them in the environment keeps their own value.
for _name, _value in {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # MLflow's own defaults wait four minutes for a server that is down
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "4",
    "MLFLOW_CONFIGURE_LOGGING": "false",  # else a screenful of migrations on a new store
}.items():
    os.environ.setdefault(_name, _value)

import mlflow  # noqa: E402
import numpy as np  # noqa: E402
from filelock import FileLock  # noqa: E402
from mlflow.entities import (  # noqa: E402
    Dataset,
    DatasetInput,
    InputTag,
    LoggedModelOutput,
    Metric,
    Param,
)
from mlflow.exceptions import MlflowException  # noqa: E402
from mlflow.tracking import MlflowClient  # noqa: E402

from attention.dataset import ExampleTable, md5  # noqa: E402
from attention.params import TrackingParams  # noqa: E402
from attention.tables import Metrics  # noqa: E402
from attention.weights import Weights  # noqa: E402

KEY, STAGES, EVALUATION = "attention.key", "attention.stages", "attention.evaluation"  # tags
FLUSH_SECONDS, FLUSH_METRICS = 5.0, 500

P = ParamSpec("P")


def tracking_uri() -> str:
    """Return where runs are recorded: MLFLOW_TRACKING_URI, or SQLite at the repository root.

    In a temporary or queued experiment DVC_ROOT still names the real repository, while the working folder is a copy
    that is deleted afterwards; a relative SQLite path is therefore taken from that root too.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///mlflow.db"
    scheme, _, path = uri.partition(":///")
    return f"sqlite:///{(_root() / path).as_posix()}" if scheme == "sqlite" else uri


def _soft(method: Callable[Concatenate["Run", P], None]) -> Callable[Concatenate["Run", P], None]:
    """Make a method of Run do nothing once the store is lost, and lose the store when the method fails."""

    @functools.wraps(method)
    def attempt(run: "Run", /, *args: P.args, **kwargs: P.kwargs) -> None:
        if not run.lost:
            try:
                method(run, *args, **kwargs)
            except Exception as error:
                run.lose(error)

    return attempt


class Run:
    """One MLflow run, written to as long as its store answers."""

    _client: MlflowClient
    _experiment_id: str
    _id: str
    _name: str

    def __init__(self, tracking: TrackingParams, weights: Weights, stage: str) -> None:
        self.lost = False
        self._stage = stage
        self._stages: list[str] = []  # finished before, in the same run
        self._known: dict[str, float] = {}  # metrics logged before
        self._weights = weights
        self._metrics: list[Metric] = []
        self._flushed = time.monotonic()
        self._connect(tracking.experiment)

    @property
    def where(self) -> str:
        """The end of a summary line: where the run is to be seen."""
        return "" if self.lost else f", run {self._name} in MLflow"

    @_soft
    def start(self) -> None:
        """Create a run of this experiment."""
        run = self._client.create_run(self._experiment_id, tags=_tags(self._weights), run_name=_run_name(self._weights))
        self._id, self._name = run.info.run_id, run.info.run_name
        self.log_params(self._weights.origin["parameters"])

    @_soft
    def find(self, evaluation: str) -> None:
        """Take up the newest run whose training gave these weights and whose evaluation is this one or not made yet."""
        trained = self._client.search_runs(
            [self._experiment_id],
            f"tags.`{KEY}` = '{self._weights.key}' AND tags.`{STAGES}` LIKE 'train%'",
            order_by=["attributes.start_time DESC"],
        )
        runs = [run for run in trained if run.data.tags.get(EVALUATION, evaluation) == evaluation]
        # of equal trainings, the one of the DVC experiment that we are in comes first
        runs.sort(key=lambda run: run.data.tags.get("dvc.exp_name") != os.environ.get("DVC_EXP_NAME"))
        if not runs:  # DVC restored the training from its cache, or the store is another one
            self.start()
        else:
            self._id, self._name = runs[0].info.run_id, runs[0].info.run_name
            self._known, self._stages = runs[0].data.metrics, runs[0].data.tags[STAGES].split(",")
        self._client.set_tag(self._id, EVALUATION, evaluation)

    @_soft
    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters by their dotted keys."""
        self._client.log_batch(
            self._id, params=[Param(key, json.dumps(value).strip('"')) for key, value in params.items()]
        )

    @_soft
    def log_metrics(self, metrics: Metrics, group: str, step: int = 0) -> None:
        """Log metrics as group/name, in batches; a value that the run has already is not logged twice."""
        now = int(time.time() * 1000)
        self._metrics += [
            Metric(f"{group}/{name}", value, now, step)
            for name, value in _flat(metrics).items()
            if self._known.get(f"{group}/{name}") != value
        ]
        if len(self._metrics) >= FLUSH_METRICS or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    @_soft
    def log_data(self, table: ExampleTable, context: str) -> None:
        """Log a table as an MLflow dataset with its digest, and its sizes as the parameters that they come from."""
        sizes = {"n_contexts": len(table.truth), "seq_len": table.seq_len, "true_attention": table.truth.tolist()}
        sizes[f"n_{table.path.stem}"] = len(table)
        self.log_params({f"data.{name}": value for name, value in sizes.items()})
        dataset = Dataset(
            name=table.path.stem,
            digest=md5(table.path),
            source_type="local",
            source=json.dumps({"uri": table.path.as_posix()}),
            profile=json.dumps(sizes),
        )
        self._client.log_inputs(self._id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    @_soft
    def log_files(self, *paths: Path) -> None:
        """Log files as artifacts, in a folder named after their stage."""
        for path in paths:
            self._client.log_artifact(self._id, str(path), path.parent.name)

    @_soft
    def log_table(self, columns: Mapping[str, Any], name: str) -> None:
        """Log columns as a table that MLflow shows beside the same table of other runs."""
        import pandas as pd

        self._client.log_table(self._id, pd.DataFrame(dict(columns)), f"{name}.json")

    @_soft
    def log_image(self, path: Path, key: str, step: int) -> None:
        """Log a picture of one step; MLflow shows the steps with a slider."""
        from PIL import Image

        with Image.open(path) as image:
            self._client.log_image(self._id, image.convert("RGB"), key=key, step=step, synchronous=True)

    @_soft
    def log_model(self, weights: Weights, step: int) -> None:
        """Log the network as a pt2 graph: `mlflow.pytorch.load_model` opens it, and no pickle is involved."""
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _save_model(weights, Path(folder) / "model")
            model = self._client.create_logged_model(self._experiment_id, "model", source_run_id=self._id)
            self._client.log_model_artifacts(model.model_id, str(Path(folder) / "model"))
        self._client.finalize_logged_model(model.model_id, "READY")
        self._client.log_outputs(self._id, [LoggedModelOutput(model.model_id, step)])

    @_soft
    def finish(self) -> None:
        """Mark this stage as done and the run as finished."""
        self._flush()
        self._client.set_tag(self._id, STAGES, ",".join(dict.fromkeys([*self._stages, self._stage])))
        self._client.set_terminated(self._id, "FINISHED")

    @_soft
    def abort(self, error: BaseException) -> None:
        """Mark the run as killed or failed, and say by what."""
        self._flush()
        killed = isinstance(error, KeyboardInterrupt)
        self._client.set_tag(self._id, "error", f"{self._stage}: {'interrupted' if killed else error}")
        self._client.set_terminated(self._id, "KILLED" if killed else "FAILED")

    def lose(self, error: Exception) -> None:
        """Warn once, and track nothing from here on."""
        if self.lost:
            return
        self.lost = True
        reason = str(error).partition("\n")[0][:200]
        print(
            f"warning: MLflow cannot be reached, results are not affected: {type(error).__name__}: {reason}",
            file=sys.stderr,
        )

    def _flush(self) -> None:
        for first in range(0, len(self._metrics), 1000):  # as many as MLflow takes in a request
            self._client.log_batch(self._id, metrics=self._metrics[first : first + 1000])
        self._metrics, self._flushed = [], time.monotonic()

    @_soft
    def _connect(self, name: str) -> None:
        uri = tracking_uri()
        path = Path(uri.removeprefix("sqlite:///"))
        local = uri.startswith("sqlite:///")
        # MLflow's migration of a new SQLite file is not safe against a second process: the first one in does it.
        with FileLock(f"{path}.lock") if local else nullcontext():
            mlflow.set_tracking_uri(uri)
            self._client = MlflowClient(uri)
            self._experiment_id = _experiment_id(
                self._client, name, (path.parent / "mlruns" / name).as_uri() if local else None
            )


@contextmanager
def start_run(tracking: TrackingParams, weights: Weights) -> Iterator[Run]:
    """Record a training in a run of its own; the run ends as the block does."""
    run = Run(tracking, weights, "train")
    run.start()
    with _ending(run):
        yield run


@contextmanager
def continue_run(tracking: TrackingParams, weights: Weights, stage: str, metrics: Path) -> Iterator[Run]:
    """Record what comes after training: in the run of that training, or in a new one if that was evaluated otherwise.

    Args:
        tracking: the experiment.
        weights: the network, whose key names the training.
        stage: who records.
        metrics: the file whose digest names the evaluation.

    """
    run = Run(tracking, weights, stage)
    run.find(md5(metrics))
    with _ending(run):
        yield run


@contextmanager
def _ending(run: Run) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        run.abort(error)
        raise
    run.finish()


def _flat(metrics: Metrics, prefix: str = "") -> dict[str, float]:
    flat: dict[str, float] = {}
    for name, value in metrics.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def _root() -> Path:
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def _experiment_id(client: MlflowClient, name: str, artifacts: str | None) -> str:
    try:
        found = client.get_experiment_by_name(name)
        return str(found.experiment_id) if found else str(client.create_experiment(name, artifacts))
    except MlflowException as error:
        found = client.get_experiment_by_name(name)
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or not found:
            raise
        return str(found.experiment_id)  # another process was first


def _run_name(weights: Weights) -> str:
    return os.environ.get("DVC_EXP_NAME") or f"{weights.function} seed {weights.origin['parameters']['seed']}"


def _tags(weights: Weights) -> dict[str, str]:
    tags = {
        KEY: weights.key,
        "mlflow.user": getpass.getuser(),
        "mlflow.source.name": "stages/train.py",
        "mlflow.source.type": "LOCAL",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "mlflow": mlflow.__version__,
    }
    for tag, variable in {
        "dvc.exp_name": "DVC_EXP_NAME",
        "dvc.baseline_rev": "DVC_EXP_BASELINE_REV",
        "dvc.stage": "DVC_STAGE",
    }.items():
        if variable in os.environ:
            tags[tag] = os.environ[variable]
    if commit := _git("rev-parse", "HEAD"):
        code = ("stages", "dvc.yaml", "requirements.lock")  # parameters and results have records of their own
        tags |= {
            "mlflow.source.git.commit": commit,
            "git.dirty": str(bool(_git("status", "--porcelain", "--", *code))).lower(),
        }
    return tags


def _git(*arguments: str) -> str:
    try:
        return subprocess.run(["git", *arguments], capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""  # no git, or no repository: an exported copy trains all the same


def _save_model(weights: Weights, folder: Path) -> None:
    import mlflow.pytorch
    import torch
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    from attention.model import AttentionNetwork

    inputs = torch.zeros(2, weights.seq_len)  # two rows: torch.export would freeze a batch of one
    contexts = torch.zeros(2, dtype=torch.int64)
    signature = ModelSignature(
        Schema(
            [
                TensorSpec(np.dtype(np.float32), (-1, weights.seq_len), "inputs"),
                TensorSpec(np.dtype(np.int64), (-1,), "contexts"),
            ]
        ),
        Schema([TensorSpec(np.dtype(np.float32), (-1,))]),
    )
    mlflow.pytorch.save_model(
        AttentionNetwork.from_weights(weights),
        str(folder),
        input_example=(inputs, contexts),
        signature=signature,
        pip_requirements=[f"torch=={torch.__version__.partition('+')[0]}"],
    )
