"""One MLflow run: started by train, found again by its experiment key, written to as long as its store answers."""

import functools
import getpass
import importlib.metadata
import json
import os
import platform
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec

import psutil
from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric, Param
from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient

from attention.copies import code_patch, git
from attention.dataset import ExampleTable, md5
from attention.errors import RestoreError, TrackingError
from attention.naming import parse_value, run_name
from attention.params import PARAMS_FILE, TrackingParams
from attention.tracking.store import NOTE, open_store, without_secrets
from attention.weights import Weights

# Tags: what determines the training, the digest of its evaluation, who has shown all it has, and the writing process.
KEY, EVALUATION, STAGES, PROCESS = (f"attention.{name}" for name in ("key", "evaluation", "stages", "process"))
PARAMS_TEXT, CODE_PATCH = "state/params.yaml", "state/code.patch"  # artifacts
FLUSH_SECONDS, FLUSH_METRICS = 5.0, 500
REQUEST_METRICS = 1000  # as many as MLflow takes at once

P = ParamSpec("P")


def _soft(method: Callable[Concatenate["Run", P], None]) -> Callable[Concatenate["Run", P], None]:
    """Make a method of Run do nothing once the store is lost, and lose the store when the method fails."""

    @functools.wraps(method)
    def attempt(run: "Run", /, *args: P.args, **kwargs: P.kwargs) -> None:
        if run.lost:
            return
        try:
            method(run, *args, **kwargs)
        except Exception as error:  # whatever a tracker does, the result must not pay for it
            run.lose(error)

    return attempt


class Run:
    """What a stage shows of its results; each method shows only what the run lacks."""

    _client: MlflowClient
    _experiment_id: str
    _name: str

    def __init__(self, tracking: TrackingParams, weights: Weights, *stages: str) -> None:
        self.lost = False
        self._id = ""  # none yet
        self._may_refuse = tracking.required
        self._showing = stages
        self._weights = weights
        self._params: dict[str, Any] = {}  # all that the run has
        self._experiment: str | None = None  # DVC's, that the run was made in
        self._stages: list[str] = []  # that have shown all they have, in this run
        self._finished = False
        self._has_error = False
        self._logged: set[tuple[str, int]] = set()  # metrics by name and step
        self._shown: set[str] = set()  # data sets by digest, artifacts by path, networks
        self._metrics: list[Metric] = []  # not sent yet
        self._flushed = time.monotonic()
        self._connect(tracking.experiment)
        self._may_refuse = False  # from here on there are results to lose

    @property
    def where(self) -> str:
        """The end of a summary line: where the run is to be seen."""
        return "" if self.lost else f", run '{self._name}' in MLflow"

    @property
    def name(self) -> str:
        """What MLflow calls the run."""
        return self._name

    @_soft
    def start(self) -> None:
        """Create a run of this experiment."""
        params, experiment = self._weights.origin["parameters"], os.environ.get("DVC_EXP_NAME")
        name, tags = run_name(params, experiment), _tags(self._weights)
        run = self._client.create_run(self._experiment_id, tags=tags, run_name=name)
        self._id, self._name, self._experiment = run.info.run_id, name, experiment
        self._client.set_tag(self._id, NOTE, _about(self._id))
        self.log_params(params)
        if "mlflow.source.git.commit" in run.data.tags:
            self._log_state()

    @_soft
    def find(self, evaluation: str) -> None:
        """Take up the run whose training gave these weights and whose evaluation is this one or not made yet.

        Of several, one whose training is shown whole comes first, then one of the DVC experiment that we are in, then
        the newest. A new run is made where there is none: DVC took the training from its cache, or the store is new.
        """
        same = self._client.search_runs(
            [self._experiment_id], f"tags.`{KEY}` = '{self._weights.key}'", order_by=["attributes.start_time DESC"]
        )
        fit = [
            run
            for run in same
            if run.data.tags.get(EVALUATION, evaluation) == evaluation
            and (
                "train" in _stages(run)
                or EVALUATION in run.data.tags  # evaluate made it, for a training that DVC had in its cache
                or (run.info.status == "RUNNING" and is_dead(run))
            )
        ]
        ours = os.environ.get("DVC_EXP_NAME")
        fit.sort(key=lambda run: ("train" not in _stages(run), run.data.tags.get("dvc.exp_name") != ours))
        if fit:
            self._take_up(fit[0])
        else:
            self.start()
        if not fit or EVALUATION not in fit[0].data.tags:
            self._client.set_tag(self._id, EVALUATION, evaluation)

    @_soft
    def mark_dead_runs(self) -> None:
        """Mark as killed the runs whose process ended, by kill -9 say, without a chance to do so."""
        left = self._client.search_runs([self._experiment_id], "attributes.status = 'RUNNING'")
        for run in filter(is_dead, left):
            if run.info.run_id == self._id:
                continue  # taken up: it will be finished
            self._client.set_tag(run.info.run_id, "error", "the process is gone")
            self._client.set_terminated(run.info.run_id, "KILLED")

    @_soft
    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters by their dotted keys, and call the run what they say."""
        self._params.update(params)
        name = run_name(self._params, self._experiment)
        if name != self._name:
            self._client.update_run(self._id, name=name)
            self._name = name
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in params.items()}
        self._client.log_batch(self._id, params=[Param(key, text) for key, text in texts.items()])

    @_soft
    def log_metrics(self, metrics: Mapping[str, float], group: str, step: int = 0) -> None:
        """Log metrics as group/name, in batches."""
        now = int(time.time() * 1000)
        new = {f"{group}/{name}": value for name, value in metrics.items()}
        self._metrics += [
            Metric(name, value, now, step) for name, value in new.items() if (name, step) not in self._logged
        ]
        self._logged |= {(name, step) for name in new}
        if len(self._metrics) >= FLUSH_METRICS or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self._flush()

    @_soft
    def log_data(self, table: ExampleTable, context: str) -> None:
        """Log a table as an MLflow dataset with its digest, and its sizes as the parameters that they come from."""
        digest, name = md5(table.path), table.path.stem
        if not self._first(digest):
            return
        sizes = {"n_contexts": len(table.truth), "seq_len": table.seq_len, "true_attention": table.truth.tolist()}
        sizes[f"n_{name}"] = len(table)
        self.log_params({f"data.{key}": value for key, value in sizes.items()})
        source = json.dumps({"uri": f"data/generate/{table.path.name}"})
        dataset = Dataset(name, digest, "local", source, profile=json.dumps(sizes))
        self._client.log_inputs(self._id, [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])])

    @_soft
    def log_files(self, folder: Path, *names: str) -> None:
        """Log files of a stage as artifacts, in a folder named like the stage's own."""
        for name in names:
            if self._first(f"{folder.name}/{name}"):
                self._client.log_artifact(self._id, str(folder / name), folder.name)

    @_soft
    def log_table(self, columns: Mapping[str, Any], name: str) -> None:
        """Log columns as a table that MLflow shows beside the same table of other runs."""
        if self._first(name):
            self._client.log_table(self._id, {key: list(values) for key, values in columns.items()}, name)

    @_soft
    def log_images(self, paths: Mapping[int, Path], key: str) -> None:
        """Log a picture of each step; MLflow shows the steps with a slider."""
        from PIL import Image

        for step, path in sorted(paths.items()):
            if self._first(f"images/{key}/{step}"):
                with Image.open(path) as image:
                    self._client.log_image(self._id, image.convert("RGB"), key=key, step=step, synchronous=True)

    @_soft
    def log_network(self, weights: Weights) -> None:
        """Log the network as an MLflow model that belongs to the last epoch."""
        from attention.tracking.network import register_network, write_network

        if not self._first("network"):
            return
        step = int(weights.origin["parameters"]["train.epochs"]) - 1
        with tempfile.TemporaryDirectory() as folder:
            write_network(weights, Path(folder) / "model")
            model = self._client.create_logged_model(self._experiment_id, "model", source_run_id=self._id)
            self._client.log_model_artifacts(model.model_id, f"{folder}/model")
        self._client.finalize_logged_model(model.model_id, "READY")
        self._client.log_outputs(self._id, [LoggedModelOutput(model.model_id, step)])
        register_network(self._client, model.model_id, self._id, self._name)

    @_soft
    def finish(self) -> None:
        """Mark the run as finished, and what this stage shows as whole."""
        if self._finished and not self._metrics and set(self._showing) <= set(self._stages):
            return  # all was there: the run stays as it is, its end time too
        self._flush()
        self._stages = list(dict.fromkeys([*self._stages, *self._showing]))
        self._client.set_tag(self._id, STAGES, ",".join(self._stages))
        if self._has_error:
            self._client.delete_tag(self._id, "error")
        self._client.set_terminated(self._id, "FINISHED")

    @_soft
    def abort(self, error: BaseException) -> None:
        """Mark the run as killed or failed, and say by what."""
        if not self._id:
            return
        self._flush()
        killed = isinstance(error, KeyboardInterrupt)
        reason = "interrupted" if killed else without_secrets(f"{type(error).__name__}: {error}")
        self._client.set_tag(self._id, "error", f"{self._showing[0]}: {reason}")
        self._client.set_terminated(self._id, "KILLED" if killed else "FAILED")

    def lose(self, error: Exception) -> None:
        """Warn once, and show nothing from here on; where tracking is required, refuse to go on."""
        if self.lost:
            return
        self.lost = True
        reason = without_secrets(f"{type(error).__name__}: {error}".partition("\n")[0])[:200]
        if self._may_refuse:
            raise TrackingError(
                f"params.yaml: tracking.required: got true, but MLflow cannot be reached ({reason}); "
                "start its server, set MLFLOW_TRACKING_URI to one that answers, or set tracking.required to false"
            ) from None
        print(f"warning: MLflow cannot be reached, results are not affected ({reason})", file=sys.stderr)

    @_soft
    def _connect(self, experiment: str) -> None:
        self._client, self._experiment_id = open_store(experiment)

    def _log_state(self) -> None:
        """Keep what the commit does not say of the state that this run is made in."""
        with tempfile.TemporaryDirectory() as folder:
            patch = Path(folder, Path(CODE_PATCH).name)
            patch.write_bytes(code_patch(Path()))
            for path in (Path(PARAMS_FILE), patch):
                self._client.log_artifact(self._id, str(path), Path(CODE_PATCH).parent.name)

    def _take_up(self, run: MlflowRun) -> None:
        self._id, self._name, self._stages = run.info.run_id, str(run.info.run_name), _stages(run)
        logged = {key: parse_value(text) for key, text in run.data.params.items()}
        self._params = {**self._weights.origin["parameters"], **logged}
        self._experiment = run.data.tags.get("dvc.exp_name")
        self._finished = run.info.status == "FINISHED"
        self._has_error = "error" in run.data.tags  # of an earlier attempt at a later stage
        if run.info.status == "RUNNING":
            self._client.set_tag(self._id, PROCESS, _process())
        for name in run.data.metrics:
            if name.startswith("train/"):  # all others have one value
                self._logged |= {(name, metric.step) for metric in self._client.get_metric_history(self._id, name)}
            else:
                self._logged.add((name, 0))
        self._shown |= {entry.dataset.digest for entry in run.inputs.dataset_inputs} if run.inputs else set()
        if run.outputs and run.outputs.model_outputs:
            self._shown.add("network")
        for folder in (None, "train", "evaluate", "plot"):
            self._shown |= {file.path for file in self._client.list_artifacts(self._id, folder) if not file.is_dir}
        for file in self._client.list_artifacts(self._id, "images"):
            if match := re.match(r"images/(.+)[+%]step[+%](\d+)[+%]", file.path):  # named so by MLflow
                self._shown.add("images/{}/{}".format(*match.groups()))

    def _first(self, thing: str) -> bool:
        """Whether the run lacks the thing; from now on it does not."""
        lacks = thing not in self._shown
        self._shown.add(thing)
        return lacks

    def _flush(self) -> None:
        for first in range(0, len(self._metrics), REQUEST_METRICS):
            self._client.log_batch(self._id, metrics=self._metrics[first : first + REQUEST_METRICS])
        self._metrics, self._flushed = [], time.monotonic()


@contextmanager
def start_run(tracking: TrackingParams, weights: Weights) -> Iterator[Run]:
    """Record a training in a run of its own; the run ends as the block does."""
    run = Run(tracking, weights, "train")
    run.mark_dead_runs()
    with _ending(run):
        run.start()
        yield run


@contextmanager
def continue_run(tracking: TrackingParams, weights: Weights, metrics: Path, *stages: str) -> Iterator[Run]:
    """Record what comes after training: in the run of that training, or in a new one if that was evaluated otherwise.

    Args:
        tracking: the experiment.
        weights: the network, whose key names the training.
        metrics: the file whose digest names the evaluation.
        stages: whose results the block shows, whole.

    """
    run = Run(tracking, weights, *stages)
    with _ending(run):
        run.find(md5(metrics))
        run.mark_dead_runs()
        yield run


@contextmanager
def _ending(run: Run) -> Iterator[None]:
    try:
        yield
    except BaseException as error:
        run.abort(error)
        raise
    run.finish()


def _about(run_id: str) -> str:
    """Return what a person reads first on the run's page: where the figure is, and how to have it all again."""
    figure = f"get-artifact?path=plot/attention.png&run_uuid={run_id}"
    return (
        f"[True and learned attention]({figure}), drawn by the stage `plot`; *Model metrics* has the curves, and the "
        f"attention after every epoch with a slider. The same files again: `attention restore {run_id} DIR`.\n"
    )


def _tags(weights: Weights) -> dict[str, str]:
    tags = {
        KEY: weights.key,
        PROCESS: _process(),
        "mlflow.user": getpass.getuser(),
        "mlflow.source.name": f"stages/{Path(sys.argv[0]).name}",
        "mlflow.source.type": "LOCAL",
        "python": platform.python_version(),
    }
    tags |= {package: importlib.metadata.version(package) for package in ("torch", "numba", "numpy", "mlflow", "dvc")}
    variables = {"dvc.exp_name": "DVC_EXP_NAME", "dvc.baseline_rev": "DVC_EXP_BASELINE_REV", "dvc.stage": "DVC_STAGE"}
    tags |= {tag: os.environ[variable] for tag, variable in variables.items() if variable in os.environ}
    with suppress(RestoreError, OSError):  # no git, or no commit: an exported copy trains all the same
        tags["mlflow.source.git.commit"] = git(Path(), "rev-parse", "HEAD")
        tags["git.dirty"] = json.dumps(bool(code_patch(Path())))
    return tags


def _process() -> str:
    me = psutil.Process()
    return f"{platform.node()} {me.pid} {me.create_time()}"


def _stages(run: MlflowRun) -> list[str]:
    return list(filter(None, run.data.tags.get(STAGES, "").split(",")))


def is_dead(run: MlflowRun) -> bool:
    """Return whether the process that wrote the run lived on this machine and lives no more."""
    host, pid, started = (run.data.tags.get(PROCESS, "") + "   ").split(" ")[:3]
    if host != platform.node() or not pid.isdigit():
        return False
    try:
        alive = psutil.Process(int(pid)).create_time()
        return abs(float(alive) - float(started)) > 1  # else the number has been given to another process
    except psutil.NoSuchProcess:
        return True
