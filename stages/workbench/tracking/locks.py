"""Locks between processes: who waits for one is told, and waits only so long."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

SILENT, LONGEST = 3.0, 30.0  # seconds


@contextmanager
def holding(path: Path, silent: float = SILENT, longest: float = LONGEST) -> Iterator[None]:
    """Hold the lock of a file for a block; the file is the user's alone.

    Raises:
        TimeoutError: another process holds it for longer than we wait.

    """
    lock = FileLock(path, mode=0o600)
    try:
        lock.acquire(timeout=silent)
    except Timeout:
        print(f"{path}: held by another process; waiting for up to {longest:g} s", file=sys.stderr)
        try:
            lock.acquire(timeout=longest - silent)
        except Timeout:
            raise TimeoutError(
                f"{path}: held by another process for {longest:g} s; end that process (`fuser {path}` names it)"
            ) from None
    try:
        yield
    finally:
        lock.release()
