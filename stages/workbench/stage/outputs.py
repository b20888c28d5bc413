"""Whole files or none: outputs are written beside their place, then renamed into it."""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.stage.errors import OutputError


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Give a path in the same folder to write to; on success it becomes `path`, on failure it is removed.

    Who reads `path` sees the earlier file or the new one, never a half, even after kill -9; what such an end leaves
    beside `path` goes when `path` is next written.

    Raises:
        OutputError: the disk is full, or the folder cannot be written.

    """
    final = Path(path)
    beside = final.with_name(f".{final.name}.{os.getpid()}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_overs(final)
        yield beside
        beside.replace(final)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({os.strerror(error.errno) if error.errno else error}); "
            "what was there is as it was; make room, or the folder writable, and start the stage again"
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def keep_only(folder: Path, names: Iterable[str]) -> None:
    """Remove the files of an output folder that are no part of the output: an earlier run may have had more."""
    for path in {*folder.iterdir()} - {folder / name for name in names}:
        path.unlink()


def _remove_left_overs(final: Path) -> None:
    """Remove what killed processes left of their attempts to write the file."""
    left = re.compile(re.escape(f".{final.name}.") + r"(\d+)")
    for path in final.parent.iterdir():
        if (match := left.fullmatch(path.name)) and is_dead(int(match[1]), path):
            path.unlink(missing_ok=True)


def is_dead(process: int, path: Path) -> bool:
    """Whether the process that wrote the file is gone: none has its number, or one that is younger than the file."""
    import psutil  # only where something was left

    try:
        return process == os.getpid() or psutil.Process(process).create_time() > path.stat().st_mtime
    except (psutil.Error, OSError, OverflowError):
        return True
