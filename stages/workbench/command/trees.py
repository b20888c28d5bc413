"""The files of two states side by side, as git knows them: which differ, and how."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from workbench.command.snapshot import State, require_commit
from workbench.stage.errors import RestoreError
from workbench.tracking.patches import NOT_CODE, Ask, bring, changes, own_repository

KINDS = {"A": "new", "D": "gone"}


@dataclass(frozen=True)
class Changed:
    """A file that differs: new, gone or changed, and how many lines came and went; none of a binary file."""

    path: str
    kind: str
    added: int | None
    removed: int | None


class Trees:
    """Two trees of files in one repository of our own."""

    def __init__(self, ask: Ask, a: str, b: str) -> None:
        self._ask, self._trees = ask, (a, b)
        self._diff = partial(ask, "diff", "--no-renames", "--relative", a, b)

    def read(self, path: str) -> tuple[bytes, bytes]:
        """Return a file as each tree has it; empty where it is not there."""
        return self._read(self._trees[0], path), self._read(self._trees[1], path)

    def changed(self) -> list[Changed]:
        """Return the files that differ; parameters, results and DVC's own files are none of these."""
        kinds = self._fields("--name-status")
        kind_of = dict(zip(kinds[1::2], kinds[::2], strict=True))
        found = []
        for added, removed, path in (entry.split("\t", 2) for entry in self._fields("--numstat")):
            lines = (int(added), int(removed)) if added != "-" else (None, None)
            found.append(Changed(path, KINDS.get(kind_of[path], "changed"), *lines))
        return found

    def patch(self, paths: Iterable[str]) -> str:
        """Return how some files differ, for people: what is binary is only named."""
        chosen = [f":(literal){path}" for path in paths]
        return self._diff("--", *chosen).decode(errors="replace") if chosen else ""

    def _fields(self, how: str) -> list[str]:
        return [os.fsdecode(entry) for entry in self._diff(how, "-z", "--", ".", *NOT_CODE).split(b"\0") if entry]

    def _read(self, tree: str, path: str) -> bytes:
        try:
            return self._ask("cat-file", "blob", f"{tree}:./{path}")
        except RestoreError:
            return b""


@contextmanager
def side_by_side(root: Path, a: State, b: State) -> Iterator[Trees]:
    """Give the trees of two states: their commits, and what is changed on top.

    Raises:
        RestoreError: a commit is not in the repository, or a patch changes what is not code.

    """
    for state in (a, b):
        require_commit(state, root)
        if state.source:
            changes(root, state.commit, state.patch)
    with own_repository(root) as ask:
        yield Trees(ask, _tree(ask, root, a), _tree(ask, root, b))


def _tree(ask: Ask, root: Path, state: State) -> str:
    bring(ask, root, state.commit, state.patch)
    return ask("write-tree").decode().strip()
