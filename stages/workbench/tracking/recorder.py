"""What every MLflow run of ours has: a store that may be lost at any moment without costing a result."""

import functools
import getpass
import importlib.metadata
import json
import os
import platform
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from mlflow.entities import Param
from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient

from workbench.stage.errors import RestoreError, TrackingError
from workbench.stage.params import PARAMS_FILE, TrackingParams
from workbench.stage.process import is_dead, this_process
from workbench.tracking.git import git
from workbench.tracking.pages import COLOUR, colour_after
from workbench.tracking.patches import code_patch
from workbench.tracking.secrets import reason, without_secrets
from workbench.tracking.store import open_store
from workbench.tracking.tracked import Tracked

PROCESS = "process"  # a tag: who writes the run
PARAMS_TEXT, CODE_PATCH = "state/params.yaml", "state/code.patch"  # artifacts
FEW = 20  # runs asked for at once: MLflow takes milliseconds for each
MOST_TEXT = 2000  # characters of an error in a tag
REQUEST_METRICS = 1000  # as many as MLflow takes at once

P = ParamSpec("P")
R = TypeVar("R", bound="Recorder")


def soft(method: Callable[Concatenate[R, P], None]) -> Callable[Concatenate[R, P], None]:
    """Make a method of a Recorder do nothing once the store is lost, and lose the store when the method fails."""

    @functools.wraps(method)
    def attempt(run: R, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if run.lost:
            return
        try:
            method(run, *args, **kwargs)
        except Exception as error:  # whatever a tracker does, the result must not pay for it
            run.lose(error)

    return attempt


class Recorder:
    """A run of one experiment; each method shows only what the run lacks."""

    _client: MlflowClient
    _experiment_id: str
    _name: str

    def __init__(self, tracked: Tracked, tracking: TrackingParams, experiment: str) -> None:
        self.lost = False
        self._tracked = tracked
        self._id = ""  # none yet
        self._colour: str | None = None  # of the run that was made last
        self._may_refuse = tracking.required
        self._shown: set[str] = set()  # data sets by digest, artifacts by path, networks
        self._connect(experiment)
        self._may_refuse = False  # from here on there are results to lose

    @property
    def where(self) -> str:
        """The end of a summary line: where the run is to be seen."""
        return "" if self.lost else f", run '{self._name}' in MLflow"

    def published(self) -> str:
        """Return what MLflow calls the run, after all of it was shown.

        Raises:
            TrackingError: the store was lost on the way.

        """
        if self.lost:
            raise TrackingError(f"MLflow was lost on the way; `{self._tracked.name} publish` again completes the run")
        return self._name

    def create(self, name: str, tags: Mapping[str, str]) -> None:
        """Create the run, with what made it: parameters, commit, and the changes on top of that."""
        made_by, patch = common_tags(self._tracked), None
        with suppress(RestoreError, OSError):  # no git, or no commit: an exported copy trains all the same
            commit, patch = git(Path(), "rev-parse", "HEAD"), code_patch(Path())
            made_by |= {"mlflow.source.git.commit": commit, "git.dirty": json.dumps(bool(patch))}
        shown = {COLOUR: self.next_colour()}
        run = self._client.create_run(self._experiment_id, tags={**tags, **made_by, **shown}, run_name=name)
        self._id, self._name = run.info.run_id, str(run.info.run_name)
        if patch is not None:
            self._log_state(patch)

    def next_colour(self) -> str:
        """Return the colour of a new run: another one than that of the run before."""
        if not self._colour:
            newest = self._client.search_runs([self._experiment_id], max_results=1)
            self._colour = newest[0].data.tags.get(COLOUR) if newest else None
        self._colour = colour_after(self._colour)
        return self._colour

    @soft
    def mark_dead_runs(self) -> None:
        """Mark as killed the runs whose process ended, by kill -9 say, without a chance to do so."""
        process, running = self._tracked.tag(PROCESS), "attributes.status = 'RUNNING'"
        if re.fullmatch(r"[\w.-]+", platform.node(), re.ASCII):
            running += f" and tags.`{process}` LIKE '{platform.node()} %'"
        oldest = ["attributes.start_time ASC"]
        left = self._client.search_runs([self._experiment_id], running, max_results=FEW, order_by=oldest)
        for run in left:
            if run.info.run_id == self._id or not is_left(run, self._tracked):
                continue  # one that was taken up will be finished
            self._client.set_tag(run.info.run_id, "error", "the process is gone")
            self._client.set_terminated(run.info.run_id, "KILLED")

    @soft
    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters by their dotted keys."""
        texts = {key: value if isinstance(value, str) else json.dumps(value) for key, value in params.items()}
        self._client.log_batch(self._id, params=[Param(key, text) for key, text in texts.items()])

    @soft
    def log_files(self, folder: Path, *names: str) -> None:
        """Log files of a stage as artifacts, in a folder named like the stage's own."""
        for name in names:
            if self._first(f"{folder.name}/{name}"):
                self._client.log_artifact(self._id, str(folder / name), folder.name)

    @soft
    def log_table(self, columns: Mapping[str, Any], name: str) -> None:
        """Log columns as a table that MLflow shows beside the same table of other runs."""
        if self._first(name):
            self._client.log_table(self._id, {key: list(values) for key, values in columns.items()}, name)

    @soft
    def mark_finished(self) -> None:
        """Mark the run as finished; an error of an earlier attempt, or of who took us for dead, is none of its end."""
        if "error" in self._client.get_run(self._id).data.tags:
            self._client.delete_tag(self._id, "error")
        self._client.set_terminated(self._id, "FINISHED")

    @soft
    def mark_aborted(self, stage: str, error: BaseException) -> None:
        """Mark the run as killed or failed, and say by what."""
        if not self._id:
            return
        killed = isinstance(error, KeyboardInterrupt)
        told = "interrupted" if killed else without_secrets(f"{type(error).__name__}: {error}")[:MOST_TEXT]
        self._client.set_tag(self._id, "error", f"{stage}: {told}")
        self._client.set_terminated(self._id, "KILLED" if killed else "FAILED")

    def lose(self, error: Exception) -> None:
        """Warn once, and show nothing from here on; where tracking is required, refuse to go on."""
        if self.lost:
            return
        self.lost = True
        if self._may_refuse:
            raise TrackingError(
                f"params.yaml: tracking.required: got true, but MLflow cannot be reached ({reason(error)}); "
                "start its server, set MLFLOW_TRACKING_URI to one that answers, or set tracking.required to false"
            ) from None
        later = f"`{self._tracked.name} publish` shows them later"
        print(
            f"warning: MLflow cannot be reached, results are not affected ({reason(error)}); {later}", file=sys.stderr
        )

    @soft
    def _connect(self, experiment: str) -> None:
        self._client, self._experiment_id = open_store(experiment, self._tracked.experiment_tags)

    def _log_state(self, patch: bytes) -> None:
        """Keep what the commit does not say of the state that this run is made in."""
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, Path(CODE_PATCH).name)
            file.write_bytes(patch)
            for path in (Path(PARAMS_FILE), file):
                self._client.log_artifact(self._id, str(path), Path(CODE_PATCH).parent.name)

    def _first(self, thing: str) -> bool:
        """Whether the run lacks the thing; from now on it does not."""
        lacks = thing not in self._shown
        self._shown.add(thing)
        return lacks


def common_tags(tracked: Tracked) -> dict[str, str]:
    """Return who makes the run, where, with which packages."""
    tags = {
        tracked.tag(PROCESS): this_process(),
        "mlflow.user": _user(),
        "mlflow.source.name": f"stages/{Path(sys.argv[0]).name}",
        "mlflow.source.type": "LOCAL",
        "python": platform.python_version(),
    }
    tags |= {package: importlib.metadata.version(package) for package in tracked.packages}
    variables = {"dvc.exp_name": "DVC_EXP_NAME", "dvc.baseline_rev": "DVC_EXP_BASELINE_REV", "dvc.stage": "DVC_STAGE"}
    return tags | {tag: os.environ[variable] for tag, variable in variables.items() if variable in os.environ}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container may run under a number that nobody has
        return str(os.getuid())


def is_left(run: MlflowRun, tracked: Tracked) -> bool:
    """Return whether the process that wrote the run lived on this machine and lives no more."""
    return is_dead(run.data.tags.get(tracked.tag(PROCESS), ""))
