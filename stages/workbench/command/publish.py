"""`publish`: create or complete the MLflow run of results that are there."""

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from workbench.command.asking import asking
from workbench.command.clone import lay_out, share_cache
from workbench.command.dvc import dvc
from workbench.command.snapshot import State, experiments
from workbench.progress import doing
from workbench.project import Project
from workbench.stage.errors import TrackingError, UserError, printable
from workbench.stage.params import PARAMS_FILE
from workbench.tracking.git import git
from workbench.tracking.store import open_store
from workbench.tracking.uri import tracking_uri


def publish(project: Project, root: Path, *, everything: bool) -> int:
    """Show the results in MLflow, as far as they are not there yet; of every DVC experiment, too, if asked for."""
    with doing("publish") as say:
        say("showing what is in data/")
        name = publish_results(project, root)
    print(printable(f"data/: run {name}"))
    told = {}
    if everything:
        with doing("publish") as say:
            told = publish_experiments(project, root, say)
    for name, what in told.items():
        print(printable(f"{name}: {what}"))
    return 1 if any(what.startswith("not") for what in told.values()) else 0


def publish_results(project: Project, root: Path) -> str:
    """Create or complete the MLflow run of the results in `root`, and return its name.

    Raises:
        TrackingError: MLflow did not answer, or stopped answering.
        UserError: the results are not whole.

    """
    with chdir(root):
        experiment = project.load_params(root / PARAMS_FILE).tracking.experiment
        if dvc(root, "status", "--quiet").returncode:
            raise TrackingError(
                f"{root}: its results are not those of its code and parameters (`dvc status` tells how); "
                "run `dvc repro`, or `dvc checkout` for the committed ones, then publish"
            )
        with asking(project):
            open_store(experiment, project.tracked.experiment_tags)
        return project.publish()


def publish_experiments(project: Project, root: Path, say: Callable[[str], None]) -> dict[str, str]:
    """Publish every DVC experiment from DVC's cache; return for each what became of it."""
    told = {}
    with chdir(root):
        uri = tracking_uri()
    for name, commit in experiments(root).items():
        say(f"showing {printable(name)}")
        state = State(name, commit, b"", None, {})
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "copy"
            copy = lay_out(state, root, folder)
            share_cache(root, copy)
            if dvc(copy, "checkout", "--quiet").returncode:
                told[name] = (
                    f"not published: its outputs are not in DVC's cache; `{project.name} restore {name} DIR` makes them"
                )
                continue
            baseline = git(root, "rev-parse", f"{commit}^")
            with _environment(MLFLOW_TRACKING_URI=uri, DVC_EXP_NAME=name, DVC_EXP_BASELINE_REV=baseline):
                try:
                    told[name] = f"run {publish_results(project, copy)}"
                except UserError as error:
                    told[name] = f"not published: {error}"
    return told


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
