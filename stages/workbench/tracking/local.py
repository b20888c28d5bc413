"""An SQLite store: made, locked and looked at without MLflow, which knocks at one that fails for 100 seconds."""

import importlib.metadata
import importlib.util
import shlex
import sqlite3
from contextlib import AbstractContextManager, closing, nullcontext
from pathlib import Path
from urllib.parse import unquote, urlparse

from workbench.stage.errors import TrackingError
from workbench.tracking.locks import holding
from workbench.tracking.secrets import without_secrets
from workbench.tracking.uri import local_store, tracking_uri

READY = Path(__file__).with_name("ready_store.sql")
LOCKED = 5.0  # seconds that another process may hold the database while we look
ANEW = "move it away, and the command `publish --all` makes a new store from the files"


class StoreError(TrackingError):
    """The store cannot be used: what is wrong with it, and what mends that."""

    def __init__(self, finding: str, mend: str) -> None:
        super().__init__(f"{finding}; {mend}")
        self.finding, self.mend = finding, mend


def store_lock() -> AbstractContextManager[None]:
    """Return a lock on the store, for what MLflow does not do well in two processes at once on SQLite."""
    path = local_store(tracking_uri())
    return holding(path.with_name(f"{path.name}.lock")) if path else nullcontext()


def make_ready(path: Path) -> None:
    """Make an empty store of this MLflow's schema in milliseconds; MLflow would run its migrations for seconds."""
    version, _, sql = READY.read_text(encoding="utf-8").partition("\n")
    if version != f"-- {importlib.metadata.version('mlflow')}":
        return  # another MLflow than the locked one: it migrates by itself
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    with closing(sqlite3.connect(beside)) as connection:
        connection.executescript(sql)
        # MLflow's own experiment: it writes the path into its SQL, where a folder may have quotes of both kinds
        default = ("Default", (path.absolute().parent / "mlruns/0").as_uri())
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (0, ?, ?, 'active')",
            default,
        )
        connection.commit()
    beside.replace(path)


def dump_store(path: Path) -> str:
    """Return the SQL that makes an empty store like the one at `path`, headed by MLflow's version."""
    with closing(sqlite3.connect(path)) as connection:
        return f"-- {importlib.metadata.version('mlflow')}\n" + "\n".join(connection.iterdump()) + "\n"


def look_at(path: Path) -> None:
    """Look at whether this MLflow can use the store.

    Raises:
        StoreError: it cannot.

    """
    if path.is_dir():
        raise StoreError(f"{path}: is a folder, no database", "name a file in MLFLOW_TRACKING_URI, or move it away")
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=LOCKED)) as store:
            tables = {name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            has = "alembic_version" in tables
            versions = store.execute("SELECT version_num FROM alembic_version").fetchall() if has else []
    except sqlite3.Error as error:
        raise StoreError(*_of_sqlite(path, str(error))) from None
    if tables and "experiments" not in tables:
        raise StoreError(f"{path}: is a database of something else than MLflow", "name another in MLFLOW_TRACKING_URI")
    for (version,) in versions:
        refuse_unknown(str(version), str(path))


def refuse_unknown(version: str, place: str) -> None:
    """Refuse a database whose schema this MLflow does not know: it can neither read nor upgrade it.

    Raises:
        StoreError: the schema is of a newer MLflow.

    """
    ours = importlib.metadata.version("mlflow")
    if version not in _known_versions():
        raise StoreError(
            f"{place}: is of a newer MLflow than {ours} (schema {version})", f"install that one; or {ANEW}"
        )


def out_of_date(uri: str) -> StoreError:
    """Return what to tell of a database of an older MLflow."""
    shown = without_secrets(uri)
    return StoreError(f"{shown}: is of an older MLflow", f"`mlflow db upgrade {shlex.quote(shown)}` brings it up")


def made_elsewhere(path: Path, artifacts: str) -> str:
    """Return the folder that a store was made in, where that is not the one it is in; empty where it is.

    Artifacts stand below the store's folder. One that was copied or moved still names the other place, and what is
    recorded here would be written there.
    """
    folder = Path(unquote(urlparse(artifacts).path))
    if not artifacts.startswith("file:") or folder.parent.name != "mlruns":
        return ""  # somebody's own choice
    there, here = folder.parents[1], path.absolute().parent
    same = there == here or (there.exists() and there.samefile(here))
    return "" if same else str(there)


def _of_sqlite(path: Path, said: str) -> tuple[str, str]:
    if "locked" in said:
        return f"{path}: is locked by another process", f"wait for that process, or end it (`fuser {path}` names it)"
    if "unable to open" in said:
        return f"{path}: cannot be read", f"`chmod u+rw {shlex.quote(str(path))}`, or name another file"
    if "not a database" in said or "malformed" in said:
        return f"{path}: is no SQLite database, or damaged", ANEW
    return f"{path}: {said}", f"mend that; or {ANEW}"


def _known_versions() -> set[str]:
    """Return the schemas of this MLflow and those before it, from the names of its migrations."""
    found = importlib.util.find_spec("mlflow")
    folder = Path(str(found and found.origin)).parent / "store/db_migrations/versions"
    return {file.name.partition("_")[0] for file in folder.glob("*.py")}
