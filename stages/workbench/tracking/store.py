"""Finding and opening the MLflow store."""

import importlib.metadata
import os
import queue
import re
import sqlite3
import threading
import warnings
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from urllib.parse import unquote

import mlflow
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.store.db.db_types import DATABASE_ENGINES
from mlflow.tracking import MlflowClient

from workbench.tracking.uri import local_store, tracking_uri

PROBE_SHARE = 0.75  # of MLFLOW_HTTP_REQUEST_TIMEOUT: who lets the first question wait longer is taken to be down
SECRET_VARIABLES = ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN")
NOTE = "mlflow.note.content"  # a tag: what a page shows as the description
READY = Path(__file__).with_name("ready_store.sql")
ABOUT = """Trainings of the attention network, a run each, made by `dvc repro`, `dvc exp run` and `attention publish`.

- A run is called by its function, what differs from the article's parameters, and its seed; in brackets stands what DVC
  calls the experiment.
- `train/…` is measured after every epoch, `test/…` on new data at the end; `normalized` and `effective` are the shares
  of |a| and |a·w| on the true position.
- Select runs and press *Compare*; or search: ``params.`model.attention` = 'softmax' and metrics.`test/mse` < 0.001``.
"""


def without_secrets(text: str) -> str:
    """Return the text without the passwords that a URI in it or the environment may hold."""
    user, _, password = _user(tracking_uri()).partition(":")
    known = [
        f"{user}:{password}",
        password,
        unquote(password),
        *(os.environ.get(name, "") for name in SECRET_VARIABLES),
    ]
    for secret in known:
        if len(secret) > 3:  # less would take words apart, and what stands in a URI goes anyway
            text = text.replace(secret, "***")
    text = re.sub(r"(\w://)[^/\s]+@", r"\1***@", text)
    return re.sub(r"((?:password|token|secret)=)[^&\s]+", r"\1***", text, flags=re.IGNORECASE)


def open_store(experiment: str) -> tuple[MlflowClient, str]:
    """Open the store, made if it is SQLite and does not exist, and return it with the experiment's id.

    Raises:
        TimeoutError: a server or a database does not answer in time.
        Exception: whatever else MLflow, or a database's driver, says.

    """
    uri = tracking_uri()
    path = local_store(uri)
    if not path:
        _probe(uri, experiment)
    # MLflow's own preparation of a new SQLite file is not safe against a second process: the first one in does it.
    with store_lock(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of SQLAlchemy's, about MLflow
        if path and not path.exists():
            _prepare(path)
        mlflow.set_tracking_uri(uri)
        client = MlflowClient(uri)
        # MLflow would put artifacts below the working folder
        return client, _experiment_id(
            client, experiment, (path.parent / "mlruns" / experiment).as_uri() if path else None
        )


def store_lock() -> AbstractContextManager[object]:
    """Return a lock on the store, for what MLflow does not do well in two processes at once on SQLite."""
    path = local_store(tracking_uri())
    return FileLock(f"{path}.lock") if path else nullcontext()


def dump_store(path: Path) -> str:
    """Return the SQL that makes an empty store like the one at `path`, headed by MLflow's version."""
    with sqlite3.connect(path) as connection:
        return f"-- {mlflow.__version__}\n" + "\n".join(connection.iterdump()) + "\n"


def _prepare(path: Path) -> None:
    """Make an empty store of this MLflow's schema in milliseconds; MLflow would run its migrations for seconds."""
    version, _, sql = READY.read_text().partition("\n")
    if version != f"-- {importlib.metadata.version('mlflow')}":
        return  # another MLflow than the locked one: it migrates by itself
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    connection = sqlite3.connect(beside)
    connection.executescript(sql)
    connection.close()
    beside.replace(path)


def _user(uri: str) -> str:
    """Return the user:password of a URI, whatever characters it has; empty where there is none."""
    _, _, rest = uri.partition("://")
    return "" if rest.startswith("/") else rest.rpartition("@")[0]


def _probe(uri: str, experiment: str) -> None:
    """Ask a server the first question, or connect to a database, and wait for the answer only so long.

    In a thread, because MLflow's own time limit begins anew with each address and each byte that comes, and does not
    count a name server's silence; and through MLflow, because it knows about certificates, proxies and tokens. Not so
    to a database: MLflow would knock for minutes at one that is down, and migrate a new one for longer than we wait.
    """
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
    seconds = PROBE_SHARE * float(os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"])
    try:
        error = answer.get(timeout=seconds)
    except queue.Empty:
        raise TimeoutError(f"no answer in {seconds:g} s") from None
    if error:
        raise error


def _experiment_id(client: MlflowClient, name: str, artifacts: str | None) -> str:
    try:
        found = client.get_experiment_by_name(name)
        return str(found.experiment_id) if found else str(client.create_experiment(name, artifacts, {NOTE: ABOUT}))
    except MlflowException as error:
        found = client.get_experiment_by_name(name)
        if error.error_code != "RESOURCE_ALREADY_EXISTS" or not found:
            raise
        return str(found.experiment_id)  # another process was first
