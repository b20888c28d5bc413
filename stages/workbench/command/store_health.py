"""What can be wrong with the MLflow store."""

import os
import shutil
from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from urllib.parse import unquote, urlparse

from workbench.command.finding import Finding
from workbench.project import Project
from workbench.stage.errors import UserError
from workbench.stage.params import PARAMS_FILE
from workbench.tracking.local import ANEW, StoreError
from workbench.tracking.recorder import is_left
from workbench.tracking.secrets import reason, without_secrets
from workbench.tracking.store import open_store
from workbench.tracking.uri import local_store, tracking_uri

ROOM = 1 << 26  # bytes: a run with its pictures takes a tenth


def examine_store(project: Project, root: Path) -> Iterator[Finding]:
    """Look at whether the store opens, where its artifacts are, and what runs were left."""
    with chdir(root):
        uri = tracking_uri()
        shown, path = without_secrets(uri), local_store(uri)
        if path and not path.exists():
            yield Finding("MLflow store", True, "none yet; the first run makes it")
            return
        try:
            client, experiment_id = open_store(project.load_params(root / PARAMS_FILE).tracking.experiment)
            if path:
                _may_be_written(path)
            place = client.get_experiment(experiment_id).artifact_location or ""
            some = bool(client.search_runs([experiment_id], max_results=1))
            running = client.search_runs([experiment_id], "attributes.status = 'RUNNING'")
        except StoreError as error:
            yield Finding("MLflow store", False, error.finding, error.mend)
            return
        except UserError as error:
            yield Finding("MLflow store", False, "not looked at", str(error))
            return
        except Exception as error:  # whatever keeps it from opening is what we were asked to find
            mend = (
                f"mend that; or {ANEW}" if path else "start the server, or set MLFLOW_TRACKING_URI to one that answers"
            )
            yield Finding("MLflow store", False, f"{shown}: {reason(error)}", mend)
            return
    yield Finding("MLflow store", True, f"{shown} opens")

    lost = place.startswith("file:") and some and not Path(unquote(urlparse(place).path)).exists()
    seen = f"{without_secrets(place)} {'is gone: was the project moved?' if lost else 'is there'}"
    yield Finding("artifacts", not lost, seen, f"move the folder back; or the store: {ANEW}")

    left = sum(is_left(run, project.tracked) for run in running)
    seen = f"{left} runs are RUNNING without a process" if left else "no run was left RUNNING"
    yield Finding("runs", not left, seen, f"the next run marks them KILLED: `dvc repro -f {project.tracked.begins}`")


def _may_be_written(path: Path) -> None:
    """Refuse a store that can only be looked at.

    Raises:
        StoreError: its file or folder may not be written, or its disk is full.

    """
    for place in (path, path.parent):  # SQLite writes a journal beside
        if not os.access(place, os.W_OK):
            raise StoreError(f"{place}: may be read, not written", f"`chmod u+w {place}`, or name another store")
    if (free := shutil.disk_usage(path.parent).free) < ROOM:
        raise StoreError(f"{path.parent}: has {free >> 20} MB left on its disk", "make room there")
