"""What a stage takes from outside: regular files, not larger than they may be, and JSON that says each thing once."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any


def regular(path: str | Path, most: int | None = None) -> Path:
    """Return the path of a regular file of at most so many bytes; to open a pipe could wait, a device have no end.

    Raises:
        OSError: there is no such file, with the reason as its `strerror`.

    """
    found = Path(path).stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "a pipe, a socket or a device in the place of a file")
    if most is not None and found.st_size > most:
        raise OSError(errno.EFBIG, f"{found.st_size:,} bytes, of which at most {most:,} are read")
    return Path(path)


def from_json(text: str) -> Any:
    """Return what a JSON text says.

    Raises:
        ValueError: it is none, or gives a name twice, of which two readers would see two values.

    """
    return json.loads(text, object_pairs_hook=_each_once)


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is given twice")
    return found
