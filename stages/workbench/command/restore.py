"""`restore`: put the code, parameters and outputs of a run into a folder."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workbench.command.clone import attempt, lay_out, reproduce, share_cache
from workbench.command.comparison import compare
from workbench.command.consent import consent
from workbench.command.find import find_state
from workbench.command.report import conclude
from workbench.progress import doing
from workbench.project import Project
from workbench.stage.errors import RestoreError


def restore(project: Project, root: Path, run: str, folder: Path, *, yes: bool) -> int:
    """Make `folder` the state that produced a run, with its outputs from the cache, a remote, or by running."""
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        there = "a link" if folder.is_symlink() else "not empty" if folder.is_dir() else "a file"
        raise RestoreError(f"{folder}: is {there}; allowed: a new or empty folder; nothing was changed")
    state = consent(find_state(project, root, run), root, yes=yes)
    with whole_or_as_it_was(folder), doing("restore") as say:
        say("copying the project")
        copy = lay_out(state, root, folder.resolve())
        say("taking outputs from the cache")
        # Where the remote cannot be reached, say, what it has is made again.
        if not share_cache(root, copy) or attempt(copy, say, "--pull"):
            reproduce(copy, say)
        say("comparing the outputs")
        found = compare(project, state, root, copy, say)
    for one in found:
        if one.verdict != "same":
            print(f"{one.path}: expected {one.expected}, got {one.got}: {one.verdict}")
    return conclude(project, f"{folder}: {state.name} restored;", found)


@contextmanager
def whole_or_as_it_was(folder: Path) -> Iterator[None]:
    """Leave of a folder that is new or empty nothing behind where the block does not end well."""
    there = folder.exists()
    try:
        yield
    except BaseException:
        for path in folder.iterdir() if folder.exists() else ():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        if folder.exists() and not there:
            folder.rmdir()
        raise
