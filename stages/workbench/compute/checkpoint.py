"""Finished members of a study that has not ended: a study that is killed goes on where it was.

Each process appends a line a member to a file of its own, so that kill -9 costs what was not yet a whole line. The
folder is named by the code that computes, for another code may give other numbers. A study that ends removes its files.
"""

import hashlib
import importlib.metadata
import json
import os
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from workbench.cache import cache_folder
from attention.study.trainings import Member, Outcome, member_key
from workbench.stage.outputs import is_dead

# What an outcome is computed with.
MODULES = (
    "compiled_engine",
    "compiled_loop",
    "dataset",
    "engines",
    "functions",
    "kernel_arithmetic",
    "kernels",
    "lanes",
    "members",
    "model",
    "prediction",
    "recovery",
    "registry",
    "streams",
    "torch_engine",
    "training",
    "weights",
)
PACKAGES = ("numba", "numpy", "torch")


@cache
def code_digest() -> str:
    """Return a digest of the code that computes an outcome, as it was when first asked for in this process."""
    here = Path(__file__).parent
    sources = [(here / f"{module}.py").read_bytes() for module in MODULES]
    versions = [importlib.metadata.version(package).partition("+")[0].encode() for package in PACKAGES]
    return hashlib.sha256(b"\0".join([*sources, *versions])).hexdigest()[:16]


class Journal:
    """What is known of members, by their keys. A folder that cannot be written costs the time it would have saved."""

    def __init__(self) -> None:
        self._folder = cache_folder() / "study" / code_digest()
        self._mine = secrets.token_hex(4)  # in the names of this study's files, whichever process writes them
        self._read: list[Path] = []

    def known(self, members: Sequence[Member]) -> Iterator[tuple[int, Outcome]]:
        """Yield number and outcome of members that another study finished before it was killed, or that still runs."""
        read = self._everything()
        for number, member in enumerate(members) if read else ():
            if outcome := read.get(member_key(member)):
                yield number, outcome

    def append(self, outcomes: Iterable[tuple[str, Outcome]]) -> None:
        """Keep members that are finished."""
        text = "".join(json.dumps([key, *outcome]) + "\n" for key, outcome in outcomes)
        with suppress(OSError):
            os.write(_opened(self._folder / f"{os.getpid()}-{self._mine}.jsonl"), text.encode())  # in one piece

    def remove(self) -> None:
        """Forget what this study wrote, and what it read from studies that are gone."""
        own = self._folder.glob(f"*-{self._mine}.jsonl")
        gone = (path for path in self._read if path.exists() and is_dead(int(path.name.partition("-")[0]), path))
        for path in {*own, *gone}:
            with suppress(OSError):
                path.unlink()

    def _everything(self) -> dict[str, Outcome]:
        known: dict[str, Outcome] = {}
        for path in sorted(self._folder.glob("[0-9]*-*.jsonl")):
            with suppress(OSError):
                lines = path.read_text(errors="replace").splitlines()
                self._read.append(path)
                known |= dict(filter(None, map(_parse, lines)))
        return known


@cache
def _opened(path: Path) -> int:
    """Open a file once a process: each call to the system lets another thread in, and waits until that one is out."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return os.open(path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o644)


def _parse(line: str) -> tuple[str, Outcome] | None:
    """Return what a line says; None where kill -9 or a full disk cut it."""
    try:
        key, history, mse = json.loads(line)
    except (ValueError, TypeError):
        return None
    return key, Outcome(history, mse)
