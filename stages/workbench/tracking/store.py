"""Finding and opening the MLflow store."""

import os
import queue
import re
import shlex
import threading
import warnings
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType

import mlflow
from mlflow.entities import Experiment
from mlflow.exceptions import MlflowException
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.tracking import MlflowClient

from workbench.stage.errors import show_name
from workbench.tracking.local import (
    ANEW,
    StoreError,
    look_at,
    made_elsewhere,
    make_ready,
    out_of_date,
    refuse_unknown,
    store_lock,
)
from workbench.tracking.secrets import without_secrets
from workbench.tracking.uri import local_store, tracking_uri

TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
PROBE_SHARE = 0.75  # of MLFLOW_HTTP_REQUEST_TIMEOUT: who lets the first question wait longer is taken to be down
NO_TAGS: Mapping[str, str] = MappingProxyType({})


def open_store(experiment: str, tags: Mapping[str, str] = NO_TAGS) -> tuple[MlflowClient, str]:
    """Open the store, made if it is SQLite and does not exist, and return it with the experiment's id.

    An experiment that is new is given the tags.

    Raises:
        StoreError: what a user can mend is wrong with it.
        TimeoutError: a server, a database or a lock does not answer in time.
        Exception: whatever else MLflow, or a database's driver, says.

    """
    uri = tracking_uri()
    path = local_store(uri)
    if "@" in uri and "://" not in uri:
        raise StoreError("MLFLOW_TRACKING_URI: has no scheme", "begin it with http://, https:// or what else it is")
    if not path:
        _probe(uri, experiment)
    mlflow.set_tracking_uri(_for_mlflow(uri))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of SQLAlchemy's, about MLflow
        try:
            if path:
                _prepare(path)
            client = MlflowClient()
            found = _experiment(client, experiment, tags, path)
        except MlflowException as error:
            if version := re.search(r"found version (\w+)", str(error)):
                refuse_unknown(version[1], without_secrets(uri))
                raise out_of_date(uri) from None
            raise
    shown = without_secrets(uri)
    if found.lifecycle_stage == "deleted":
        raise StoreError(
            f"{shown}: its experiment {found.name!r} was deleted",
            f"`MLFLOW_TRACKING_URI={shlex.quote(shown)} mlflow experiments restore -x {found.experiment_id}` brings it "
            "back, or name another one in params.yaml: tracking.experiment",
        )
    if path and (there := made_elsewhere(path, found.artifact_location or "")):
        raise StoreError(
            f"{path}: was made in {there}, and what is recorded here would be written there: was it copied or moved?",
            f"bring it back there; or {ANEW}",
        )
    return client, str(found.experiment_id)


def _prepare(path: Path) -> None:
    """Make the store, if there is none, and look at it.

    MLflow's own preparation of a new SQLite file is not safe against a second process: the first one in does it. Who
    finds it made holds the lock for a moment only: opening takes seconds on a busy machine, and many start at once.
    """
    with store_lock():
        if not path.exists() or (path.is_file() and not path.stat().st_size):
            make_ready(path)
            if not path.exists():  # another MLflow than the locked one
                MlflowClient()
    look_at(path)


def _for_mlflow(uri: str) -> str:
    """Name SQLite's driver where a path is quoted: else MLflow makes the folder that the quoted path would be."""
    return uri.replace("sqlite:", "sqlite+pysqlite:", 1) if "%" in uri else uri


def _probe(uri: str, experiment: str) -> None:
    """Ask a server the first question, or connect to a database, and wait for the answer only so long.

    In a thread, because MLflow's own time limit begins anew with each address and each byte that comes, and does not
    count a name server's silence; and through MLflow, because it knows about certificates, proxies and tokens. Not so
    to a database: MLflow would knock for minutes at one that is down, and migrate a new one for longer than we wait.
    """
    seconds = PROBE_SHARE * _timeout()
    answer: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()

    def ask() -> None:
        try:
            if uri.partition(":")[0].partition("+")[0] in DATABASE_ENGINES:
                import sqlalchemy

                sqlalchemy.create_engine(uri).connect().close()
            else:
                MlflowClient(uri).get_experiment_by_name(experiment)
            answer.put(None)
        except Exception as error:
            answer.put(error)

    threading.Thread(target=ask, daemon=True).start()
    try:
        error = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds:g} s") from None
    if error:
        raise error


def _timeout() -> float:
    text = os.environ[TIMEOUT]
    with suppress(ValueError):
        if 0 < (seconds := float(text)) < threading.TIMEOUT_MAX:
            return seconds
    raise StoreError(f"{TIMEOUT}: got {show_name(text)}, allowed: a number of seconds", f"`unset {TIMEOUT}`")


def _experiment(client: MlflowClient, name: str, tags: Mapping[str, str], path: Path | None) -> Experiment:
    """Return the experiment, made if there is none, with its artifacts beside the store, not in the working folder.

    Names that differ only in case share that folder on some disks; what is in it is called by the ids of runs.
    """
    if found := client.get_experiment_by_name(name):
        return found
    try:
        artifacts = (path.absolute().parent / "mlruns" / name).as_uri() if path else None
        return client.get_experiment(client.create_experiment(name, artifacts, dict(tags)))
    except MlflowException as error:
        found = client.get_experiment_by_name(name)
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or not found:
            raise
        return found  # another process was first
