"""Finished pieces of work that has not ended: what is killed goes on where it was.

Each process appends a line a piece to a file of its own, so that kill -9 costs what was not yet a whole line. The
folder is named by the code that computes, for another code may give other numbers. Work that ends removes its files.
"""

import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Generic

from workbench.cache import cache_folder, own_folder, read_ours
from workbench.compute.work import R, T, Work
from workbench.stage.process import birth, has_ended


class Checkpoint(Generic[T, R]):
    """What is known of pieces, by their keys. A folder that cannot be written costs the time it would have saved."""

    def __init__(self, work: Work[T, R], name: str) -> None:
        self._work = work
        place = cache_folder()
        self._folder = place and own_folder(place / name / work.code())
        self._mine = secrets.token_hex(4)  # in the names of this work's files, whichever process writes them
        self._read: list[Path] = []

    def known(self, pieces: Sequence[T]) -> Iterator[tuple[int, R]]:
        """Yield number and result of pieces finished by work that was killed, or that still runs."""
        read = self._everything()
        for number, piece in enumerate(pieces) if read else ():
            if result := read.get(self._work.key(piece)):
                yield number, result

    def append(self, results: Iterable[tuple[T, R]]) -> None:
        """Keep pieces that are finished."""
        lines = (json.dumps([self._work.key(piece), *self._work.to_json(result)]) + "\n" for piece, result in results)
        with suppress(OSError):
            if self._folder:
                file = self._folder / f"{os.getpid()}-{birth()}-{self._mine}.jsonl"
                os.write(_opened(file), "".join(lines).encode())  # in one piece

    def remove(self) -> None:
        """Forget what this work wrote, and what it read from work that is gone."""
        own = self._folder.glob(f"*-{self._mine}.jsonl") if self._folder else ()
        for path in {*own, *filter(_is_left, self._read)}:
            with suppress(OSError):
                os.truncate(path, 0)  # Windows removes no file that a worker still has open
                path.unlink()

    def _everything(self) -> dict[str, R]:
        known: dict[str, R] = {}
        for path in sorted(self._folder.glob("*.jsonl")) if self._folder else ():
            with suppress(OSError):
                text = (read_ours(path) or b"").decode(errors="replace")
                self._read.append(path)
                known |= dict(filter(None, map(self._parse, text.splitlines())))
        return known

    def _parse(self, line: str) -> tuple[str, R] | None:
        """Return what a line says; None where kill -9, a full disk or a power cut left something else."""
        try:
            key, *result = json.loads(line)
            return (key, self._work.from_json(result)) if isinstance(key, str) else None
        except (ValueError, TypeError, RecursionError, OverflowError):
            return None


def _is_left(path: Path) -> bool:
    """Whether the process that wrote a file is gone."""
    number, _, born = path.stem.rpartition("-")[0].partition("-")
    return not number.isdecimal() or has_ended(int(number), born)


@cache
def _opened(path: Path) -> int:
    """Open a file once a process: each call to the system lets another thread in, and waits until that one is out."""
    return os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
