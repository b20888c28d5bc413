"""A folder for what took long to make and can be made again: compiled kernels, traced graphs."""

import atexit
import functools
import os
import shutil
import tempfile
from pathlib import Path


@functools.cache
def cache_folder() -> Path:
    """Return the user's cache folder for this project, or, where nothing can be written, one for this process alone."""
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "attention-laboratory"
    try:
        home.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=home):
            return home
    except OSError:
        alone = tempfile.mkdtemp(prefix="attention-")  # readable by this user only: what it holds is executed
        atexit.register(shutil.rmtree, alone, ignore_errors=True)
        return Path(alone)
