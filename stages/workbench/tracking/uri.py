"""Where runs are recorded."""

import os
import re
from pathlib import Path
from urllib.parse import unquote

SQLITE = re.compile(r"sqlite(\+\w+)?:///([^?]*)(.*)")  # a driver, the path, options


def project_root() -> Path:
    """Return the repository: in a temporary or queued experiment the working folder is a copy, soon deleted."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def tracking_uri() -> str:
    """Return where runs are recorded: MLFLOW_TRACKING_URI, or SQLite at the repository root.

    A relative SQLite path is taken from that root too, in whichever copy the stage runs.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or _sqlite_uri(project_root() / "mlflow.db")
    return _sqlite_uri(path) + SQLITE.sub(r"\3", uri) if (path := local_store(uri)) else uri


def local_store(uri: str) -> Path | None:
    """Return the file of an SQLite store, as SQLAlchemy reads a URI: `%20` is a space, and options follow a `?`."""
    parts = SQLITE.fullmatch(uri)
    return project_root() / unquote(parts[2]) if parts else None


def _sqlite_uri(path: Path) -> str:
    return "sqlite:///" + path.as_posix().replace("%", "%25").replace("?", "%3F")
