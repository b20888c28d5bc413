"""Whole files or none: outputs are written beside their place, then renamed into it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Give a path in the same folder to write to; on success it becomes `path`, on failure it is removed.

    Who reads `path` sees the earlier file or the new one, never a half, even after kill -9.
    """
    final = Path(path)
    final.parent.mkdir(parents=True, exist_ok=True)
    beside = final.with_name(f".{final.name}.{os.getpid()}")
    try:
        yield beside
        beside.replace(final)
    finally:
        beside.unlink(missing_ok=True)
