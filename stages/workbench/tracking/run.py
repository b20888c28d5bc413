"""One MLflow run: started by train, found again by its experiment key, written to as long as its store answers."""

import json
import os
import re
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric
from mlflow.entities import Run as MlflowRun

from attention.tasks.examples import ExampleTable, md5
from attention.views.naming import parse_value, run_name
from attention.params.schema import TrackingParams
from workbench.tracking.recorder import PROCESS, REQUEST_METRICS, Recorder, is_dead, soft, this_process
from workbench.tracking.store import NOTE
from attention.weights import Weights

# Tags: what determines the training, the digest of its evaluation, and who has shown all it has.
KEY, EVALUATION, STAGES = (f"attention.{name}" for name in ("key", "evaluation", "stages"))
FLUSH_SECONDS, FLUSH_METRICS = 5.0, 500


class Run(Recorder):
    """What a stage shows of a training and what follows; each method shows only what the run lacks."""

    def __init__(self, tracking: TrackingParams, weights: Weights, *stages: str) -> None:
        super().__init__(tracking, tracking.experiment)
        self._showing = stages
        self._weights = weights
        self._params: dict[str, Any] = {}  # all that the run has
        self._experiment: str | None = None  # DVC's, that the run was made in
        self._stages: list[str] = []  # that have shown all they have, in this run
        self._finished = False
        self._has_error = False
        self._logged: set[tuple[str, int]] = set()  # metrics by name and step
        self._metrics: list[Metric] = []  # not sent yet
        self._flushed = time.monotonic()

    @soft
    def start(self) -> None:
        """Create a run of this experiment."""
        params, self._experiment = self._weights.origin["parameters"], os.environ.get("DVC_EXP_NAME")
        self.create(run_name(params, self._experiment), {KEY: self._weights.key})
        self._client.set_tag(self._id, NOTE, _about(self._id))
        self.log_params(params)

    @soft
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

    @soft
    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters by their dotted keys, and call the run what they say."""
        self._params.update(params)
        name = run_name(self._params, self._experiment)
        if name != self._name:
            self._client.update_run(self._id, name=name)
            self._name = name
        super().log_params(params)

    @soft
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

    @soft
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

    @soft
    def log_images(self, paths: Mapping[int, Path], key: str) -> None:
        """Log a picture of each step; MLflow shows the steps with a slider."""
        from PIL import Image

        for step, path in sorted(paths.items()):
            if self._first(f"images/{key}/{step}"):
                with Image.open(path) as image:
                    self._client.log_image(self._id, image.convert("RGB"), key=key, step=step, synchronous=True)

    @soft
    def log_network(self, weights: Weights) -> None:
        """Log the network as an MLflow model that belongs to the last epoch."""
        from attention.serving.model import register_network, write_network

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

    @soft
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

    @soft
    def abort(self, error: BaseException) -> None:
        """Mark the run as killed or failed, and say by what."""
        if not self._id:
            return
        self._flush()
        self.mark_aborted(self._showing[0], error)

    def _take_up(self, run: MlflowRun) -> None:
        self._id, self._name, self._stages = run.info.run_id, str(run.info.run_name), _stages(run)
        logged = {key: parse_value(text) for key, text in run.data.params.items()}
        self._params = {**self._weights.origin["parameters"], **logged}
        self._experiment = run.data.tags.get("dvc.exp_name")
        self._finished = run.info.status == "FINISHED"
        self._has_error = "error" in run.data.tags  # of an earlier attempt at a later stage
        if run.info.status == "RUNNING":
            self._client.set_tag(self._id, PROCESS, this_process())
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


def _stages(run: MlflowRun) -> list[str]:
    return list(filter(None, run.data.tags.get(STAGES, "").split(",")))
