"""Where runs are recorded."""

import os
from pathlib import Path

SQLITE = "sqlite:///"


def project_root() -> Path:
    """Return the repository: in a temporary or queued experiment the working folder is a copy, soon deleted."""
    return Path(os.environ.get("DVC_ROOT") or Path.cwd())


def tracking_uri() -> str:
    """Return where runs are recorded: MLFLOW_TRACKING_URI, or SQLite at the repository root.

    A relative SQLite path is taken from that root too, in whichever copy the stage runs.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI") or f"{SQLITE}mlflow.db"
    scheme, _, path = uri.partition(":///")
    return f"{SQLITE}{(project_root() / path).as_posix()}" if scheme == "sqlite" else uri


def local_store(uri: str) -> Path | None:
    """Return the file of an SQLite store."""
    return Path(uri.removeprefix(SQLITE)) if uri.startswith(SQLITE) else None
