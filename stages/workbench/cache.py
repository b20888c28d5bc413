"""What took long to make and can be made again, kept whole or not at all: compiled programs, traced graphs.

What is read here is executed, or goes into every logged model. So it is used only where nobody else can have written
it; and a digest before the bytes tells what a power cut or a full disk left of them from what was kept.
"""

import functools
import hashlib
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path

from workbench.stage.errors import OutputError
from workbench.stage.outputs import writing

OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH
PLAINLY = os.O_RDONLY  # through no link, and without waiting for who would write into a pipe
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):  # as far as the system has them
    PLAINLY |= getattr(os, _flag, 0)
DIGEST = hashlib.sha256().digest_size


def kept(name: str, folder: Path | None) -> bytes | None:
    """Return what was kept under a name; None where nothing was, or it is not whole, or not surely ours."""
    with suppress(OSError):
        data = (read_ours(folder / name) if folder else None) or b""
        if data[:DIGEST] == hashlib.sha256(data[DIGEST:]).digest():
            return data[DIGEST:]
    return None


def keep(name: str, folder: Path | None, data: bytes) -> None:
    """Keep bytes under a name; a folder that cannot be written costs the time that they would have saved."""
    if folder is None:
        return
    with suppress(OutputError), writing(folder / name) as beside:
        beside.touch(0o600, exist_ok=False)
        beside.write_bytes(hashlib.sha256(data).digest() + data)


def read_ours(path: Path) -> bytes | None:
    """Return what a file holds that no one else can have written, else None."""
    with open(os.open(path, PLAINLY), "rb") as file:  # noqa: PTH123
        found = os.fstat(file.fileno())
        return file.read() if stat.S_ISREG(found.st_mode) and _ours(found) else None


@functools.cache
def cache_folder() -> Path | None:
    """Return the user's cache folder for this project; None where there is none that only they can write."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    with suppress(RuntimeError):  # nobody knows a home
        return own_folder(Path(base if os.path.isabs(base) else Path.home() / ".cache") / "workbench")  # noqa: PTH117
    return None


@functools.cache
def own_folder(path: Path) -> Path | None:
    """Return a folder, made if need be, that only this user can write; None, with a line of why, where it is not so."""
    with suppress(OSError):
        for missing in reversed([parent for parent in path.parents if not parent.exists()]):
            missing.mkdir(0o700)  # whatever the umask
        base = path.parent.resolve()
        folder = base / path.name
        with suppress(FileExistsError):
            folder.mkdir(0o700)
        around, found = base.stat(), folder.lstat()
        if not _ours(around) and not (around.st_mode & stat.S_ISVTX and around.st_uid == 0):  # as /tmp is
            folder = base
        elif stat.S_ISDIR(found.st_mode) and _ours(found):
            return folder
        print(
            f"{folder}: not used, for others than you can write there, and what it keeps is executed; each stage takes "
            "seconds longer until it is yours alone (chown, chmod go-w), or XDG_CACHE_HOME names another folder",
            file=sys.stderr,
        )
    return None


def _ours(found: os.stat_result) -> bool:
    """Whether a file is this user's, and no one else's to write; where there are no such rights, a home is private."""
    return os.name == "nt" or (found.st_uid == os.getuid() and not found.st_mode & OTHERS_WRITE)
