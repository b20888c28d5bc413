"""Outputs are written whole: to a temporary file beside their place, which is then renamed."""

import hashlib
import os
import re
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from workbench.stage.errors import OutputError
from workbench.stage.process import birth, has_ended

PATIENCE = 20 if os.name == "nt" else 0  # tenths of a second: Windows replaces no file that somebody reads


@contextmanager
def writing(path: str | Path) -> Iterator[Path]:
    """Give a path in the same folder to write to; on success it becomes `path`, on failure it is removed.

    Who reads `path` sees the earlier file or the new one, never a half, even after kill -9; what such an end leaves
    beside `path` goes when `path` is next written. What a power cut halves is told by its digest, in dvc.lock or, of
    what is cached, in the file itself; to wait for the disk here would cost 20 ms a file.

    Raises:
        OutputError: the disk is full, or the folder cannot be written.

    """
    final = Path(path)
    beside = final.with_name(f".{final.name}.{os.getpid()}-{birth()}")
    try:
        final.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_overs(final)
        yield beside
        _replace(beside, final)
    except OSError as error:
        raise OutputError(
            f"{path}: cannot be written ({os.strerror(error.errno) if error.errno else error}); "
            "what was there is as it was; make room, or the folder writable, and start the stage again"
        ) from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)


def md5(path: str | Path) -> str:
    """Return the digest of a file, the same that DVC keeps in dvc.lock."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def digest_of_code(*rooms: Path) -> str:
    """Return a digest of modules and packages: of what they say, not of where they lie."""
    files = [file for room in rooms for file in ([room] if room.is_file() else sorted(room.rglob("*.py")))]
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def keep_only(folder: Path, names: Iterable[str]) -> None:
    """Remove the files of an output folder that are no part of the output: an earlier run may have had more."""
    for path in {*folder.iterdir()} - {folder / name for name in names}:
        path.unlink()


def _replace(beside: Path, final: Path) -> None:
    for _ in range(PATIENCE):
        try:
            beside.replace(final)
        except PermissionError:
            time.sleep(0.1)
        else:
            return
    beside.replace(final)


def _remove_left_overs(final: Path) -> None:
    """Remove what killed processes left of their attempts to write the file."""
    left = re.compile(re.escape(f".{final.name}.") + r"(\d+)-(.+)", re.ASCII)
    for path in final.parent.iterdir():
        if (match := left.fullmatch(path.name)) and has_ended(int(match[1]), match[2]):
            path.unlink(missing_ok=True)
