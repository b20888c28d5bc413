"""One MLflow run: begun by a stage, found again by its experiment key, written to as long as its store answers."""

import json
import os
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from mlflow.entities import Dataset, DatasetInput, InputTag, LoggedModelOutput, Metric
from mlflow.entities import Run as MlflowRun
from mlflow.exceptions import MlflowException

from workbench.stage.outputs import md5
from workbench.stage.params import TrackingParams, parse_value
from workbench.stage.process import this_process
from workbench.tracking.pages import NOTE
from workbench.tracking.recorder import FEW, PROCESS, REQUEST_METRICS, Recorder, is_left, soft
from workbench.tracking.registry import register_model
from workbench.tracking.tracked import Experiment, Tracked

# Tags: what determines the result, the digest of its evaluation, and who has shown all it has.
KEY, EVALUATION, STAGES = "key", "evaluation", "stages"
FLUSH_SECONDS, FLUSH_METRICS = 5.0, 500


class Ends(Protocol):
    """A run that is marked as it ends."""

    def finish(self) -> None:
        """Mark it as finished."""

    def abort(self, error: BaseException) -> None:
        """Mark it as killed or failed, and say by what."""


class Run(Recorder):
    """What a stage shows of an experiment; each method shows only what the run lacks."""

    def __init__(self, tracked: Tracked, tracking: TrackingParams, experiment: Experiment, *stages: str) -> None:
        super().__init__(tracked, tracking, tracking.experiment)
        self._showing = stages
        self._of = experiment
        self._params: dict[str, Any] = {}  # all that the run has
        self._experiment: str | None = None  # DVC's, that the run was made in
        self._stages: list[str] = []  # that have shown all they have, in this run
        self._finished = False
        self._logged: set[tuple[str, int]] = set()  # metrics by name and step
        self._metrics: list[Metric] = []  # not sent yet
        self._flushed = time.monotonic()

    @soft
    def start(self) -> None:
        """Create a run of this experiment."""
        self._experiment = os.environ.get("DVC_EXP_NAME")
        self.create(self._tracked.run_name(self._of.params, self._experiment), {self._tracked.tag(KEY): self._of.key})
        self._client.set_tag(self._id, NOTE, self._tracked.run_about(self._id))
        self.log_params(self._of.params)

    @soft
    def find(self, evaluation: str) -> None:
        """Take up the run of this experiment whose evaluation is this one or not made yet.

        Of several, one whose first stage is shown whole comes first, then one of the DVC experiment that we are in,
        then the newest. A new run is made where there is none: DVC took that stage from its cache, or the store is new.
        """
        of_evaluation = self._tracked.tag(EVALUATION)
        evaluated = f" and tags.`{of_evaluation}` = '{evaluation}'"
        same = {run.info.run_id: run for run in (*self._newest(evaluated), *self._newest())}.values()
        fit = [
            run
            for run in same
            if run.data.tags.get(of_evaluation, evaluation) == evaluation
            and (
                self._tracked.begins in self._stages_of(run)
                or of_evaluation in run.data.tags  # made by a later stage, as DVC had the first one in its cache
                or (run.info.status == "RUNNING" and is_left(run, self._tracked))
            )
        ]
        ours = os.environ.get("DVC_EXP_NAME")
        fit.sort(
            key=lambda run: (
                self._tracked.begins not in self._stages_of(run),
                run.data.tags.get("dvc.exp_name") != ours,
                -(run.info.start_time or 0),
            )
        )
        if fit:
            self._take_up(fit[0])
        else:
            self.start()
        if not fit or of_evaluation not in fit[0].data.tags:
            self._client.set_tag(self._id, of_evaluation, evaluation)

    @soft
    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters by their dotted keys, and call the run what they say."""
        self._params.update(params)
        name = self._tracked.run_name(self._params, self._experiment)
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
    def log_data(self, path: Path, context: str, params: Mapping[str, Any]) -> None:
        """Log a file of data as an MLflow dataset with its digest, and what is known of it as parameters."""
        digest, name = md5(path), path.stem
        if not self._first(digest):
            return
        self.log_params(params)
        source = json.dumps({"uri": path.as_posix()})
        about = json.dumps({key.rpartition(".")[2]: value for key, value in params.items()})
        dataset = Dataset(name, digest, "local", source, profile=about)
        inputs = [DatasetInput(dataset, [InputTag("mlflow.data.context", context)])]
        try:
            self._client.log_inputs(self._id, inputs)
        except MlflowException as error:
            if "unique" not in str(error).lower():
                raise
            self._client.log_inputs(self._id, inputs)  # another run wrote the same data set in between; now it is there

    @soft
    def log_images(self, paths: Mapping[int, Path], key: str) -> None:
        """Log a picture of each step; MLflow shows the steps with a slider."""
        from PIL import Image

        for step, path in sorted(paths.items()):
            if self._first(f"images/{key}/{step}"):
                with Image.open(path) as image:
                    self._client.log_image(self._id, image.convert("RGB"), key=key, step=step, synchronous=True)

    @soft
    def log_model(self, write: Callable[[Path], None], step: int, registered: str, about: str) -> None:
        """Log what `write` puts into a new folder as an MLflow model of that step, and as the newest registered one."""
        if not self._first("model"):
            return
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder) / "model")
            model = self._client.create_logged_model(self._experiment_id, "model", source_run_id=self._id)
            self._client.log_model_artifacts(model.model_id, f"{folder}/model")
        self._client.finalize_logged_model(model.model_id, "READY")
        self._client.log_outputs(self._id, [LoggedModelOutput(model.model_id, step)])
        register_model(self._client, registered, about, model.model_id, self._id, self._name)

    @soft
    def finish(self) -> None:
        """Mark the run as finished, and what this stage shows as whole."""
        if self._finished and not self._metrics and set(self._showing) <= set(self._stages):
            return  # all was there: the run stays as it is, its end time too
        self._flush()
        self._stages = list(dict.fromkeys([*self._stages, *self._showing]))
        self._client.set_tag(self._id, self._tracked.tag(STAGES), ",".join(self._stages))
        self.mark_finished()

    @soft
    def abort(self, error: BaseException) -> None:
        """Mark the run as killed or failed, and say by what."""
        if not self._id:
            return
        self._flush()
        self.mark_aborted(self._showing[0], error)

    def _newest(self, and_so: str = "") -> list[MlflowRun]:
        """Return the newest runs of this experiment, as few as a store of thousands answers at once."""
        known, order = f"tags.`{self._tracked.tag(KEY)}` = '{self._of.key}'", ["attributes.start_time DESC"]
        return list(self._client.search_runs([self._experiment_id], known + and_so, max_results=FEW, order_by=order))

    def _take_up(self, run: MlflowRun) -> None:
        self._id, self._name, self._stages = run.info.run_id, str(run.info.run_name), self._stages_of(run)
        logged = {key: parse_value(text) for key, text in run.data.params.items()}
        self._params = {**self._of.params, **logged}
        self._experiment = run.data.tags.get("dvc.exp_name")
        self._finished = run.info.status == "FINISHED"
        if run.info.status == "RUNNING":
            self._client.set_tag(self._id, self._tracked.tag(PROCESS), this_process())
        for name in run.data.metrics:
            if name.startswith(f"{self._tracked.begins}/"):  # all others have one value
                self._logged |= {(name, metric.step) for metric in self._client.get_metric_history(self._id, name)}
            else:
                self._logged.add((name, 0))
        self._shown |= {entry.dataset.digest for entry in run.inputs.dataset_inputs} if run.inputs else set()
        if run.outputs and run.outputs.model_outputs:
            self._shown.add("model")
        for file in self._artifacts():
            # An image of a step is named so by MLflow.
            match = re.match(r"images/(.+)[+%]step[+%](\d+)[+%]", file)
            self._shown.add("images/{}/{}".format(*match.groups()) if match else file)

    def _artifacts(self) -> Iterator[str]:
        """Yield the files of the run: those of its own, and of the folders in it."""
        for entry in self._client.list_artifacts(self._id):
            if entry.is_dir:
                yield from (file.path for file in self._client.list_artifacts(self._id, entry.path) if not file.is_dir)
            else:
                yield entry.path

    def _stages_of(self, run: MlflowRun) -> list[str]:
        return list(filter(None, run.data.tags.get(self._tracked.tag(STAGES), "").split(",")))

    def _flush(self) -> None:
        for first in range(0, len(self._metrics), REQUEST_METRICS):
            self._client.log_batch(self._id, metrics=self._metrics[first : first + REQUEST_METRICS])
        self._metrics, self._flushed = [], time.monotonic()


@contextmanager
def start_run(tracked: Tracked, tracking: TrackingParams, experiment: Experiment) -> Iterator[Run]:
    """Record an experiment in a run of its own; the run ends as the block does."""
    run = Run(tracked, tracking, experiment, tracked.begins)
    run.mark_dead_runs()
    with ending(run):
        run.start()
        yield run


@contextmanager
def continue_run(
    tracked: Tracked, tracking: TrackingParams, experiment: Experiment, metrics: Path, *stages: str
) -> Iterator[Run]:
    """Record what comes after the first stage: in the run of the experiment, or in a new one if evaluated otherwise.

    Args:
        tracked: what MLflow is told of the project.
        tracking: the section of params.yaml.
        experiment: what determines the result.
        metrics: the file whose digest names the evaluation.
        stages: whose results the block shows, whole.

    """
    run = Run(tracked, tracking, experiment, *stages)
    with ending(run):
        run.find(md5(metrics))
        run.mark_dead_runs()
        yield run


@contextmanager
def ending(run: Ends) -> Iterator[None]:
    """Mark a run as finished where the block ends well, else as killed or failed."""
    try:
        yield
    except BaseException as error:
        run.abort(error)
        raise
    run.finish()
