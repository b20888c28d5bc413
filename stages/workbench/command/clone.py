"""A clone of the project in a given state, and its pipeline run there."""

import io
import os
import re
import sys
import tempfile
from collections.abc import Callable
from configparser import Error as ConfigError
from configparser import RawConfigParser
from pathlib import Path

from workbench.command.dvc import dvc, last_line
from workbench.command.snapshot import State, dvc_cache, require_commit
from workbench.stage.errors import RestoreError, printable
from workbench.tracking.git import git
from workbench.tracking.patches import apply, changes

RUNNING = re.compile(r"Running stage '(.{1,80})':")  # what DVC prints as a stage begins


def lay_out(state: State, root: Path, folder: Path) -> Path:
    """Make `folder` a clone of the repository in the given state, without outputs; return the project's folder in it.

    Raises:
        RestoreError: the commit is not in the repository, or its patch changes what is not code; nothing was made.

    """
    require_commit(state, root)
    changes(root, state.commit, state.patch)
    prefix, top = (git(root, "rev-parse", f"--show-{what}") for what in ("prefix", "toplevel"))
    git(root, "clone", "--quiet", "--no-checkout", "--template=", "--", top, str(folder.resolve()))
    git(folder, "fetch", "--quiet", "origin", state.commit)
    git(folder, "checkout", "--quiet", "--detach", state.commit)
    if state.patch:
        apply(folder, prefix, state.patch)
    copy = folder / prefix
    if state.params is not None:
        write_plainly(copy / "params.yaml", state.params)
    return copy


def write_plainly(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a file in the place of what has its name, never through a link."""
    if path.parent.is_symlink():
        raise RestoreError(f"{path.parent}: is a link in this commit; a folder was expected, nothing is written there")
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)


def attempt(folder: Path, say: Callable[[str], None], *arguments: str, **environment: str) -> str:
    """Run `dvc repro` in a copy, recorded nowhere else, and return what it said where it failed.

    The copy's own Python and MLflow store are what the stages see. Which stage is at work is said.
    """
    foreign = ("MLFLOW_", "DVC_", "GIT_", "PYTHONSAFEPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    kept["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{kept.get('PATH', '')}"
    done = dvc(
        folder,
        "repro",
        *arguments,
        environment={**kept, **environment},
        hear=lambda line: say(f"running {printable(found[1])}") if (found := RUNNING.fullmatch(line)) else None,
    )
    return f"{done.stdout}{done.stderr}\n{last_line(done) or 'no reason given'}" if done.returncode else ""


def reproduce(folder: Path, say: Callable[[str], None], *arguments: str, **environment: str) -> None:
    """Run `dvc repro` in a copy as `attempt` does.

    Raises:
        RestoreError: it failed; all that it said is in a file that stays.

    """
    if said := attempt(folder, say, *arguments, **environment):
        with tempfile.NamedTemporaryFile("w", prefix="repro-", suffix=".log", errors="replace", delete=False) as log:
            log.write(said)
        last = printable(said.rpartition("\n")[2])
        raise RestoreError(f"`dvc repro` failed in a copy made for it: {last}; {log.name} has all that it said")


def share_cache(root: Path, copy: Path) -> bool:
    """Let a copy take outputs from the cache of the project at `root` and from its remotes; return if it has any.

    What comes from a remote is looked at: it goes into the cache of the project itself.
    """
    settings = RawConfigParser()
    try:
        settings.read([copy / ".dvc/config", root / ".dvc/config", root / ".dvc/config.local"], encoding="utf-8")
    except (ConfigError, UnicodeDecodeError) as error:
        told = printable(str(error).partition("\n")[0])
        raise RestoreError(f"{root}/.dvc: config or config.local cannot be read ({told}); mend that file") from error
    if not settings.has_section("cache"):
        settings.add_section("cache")
    settings["cache"]["dir"] = dvc_cache(root).as_posix()
    for name, section in settings.items():
        if "://" not in (url := section.get("url", "://")):  # a path, which DVC takes from the folder of its config
            section["url"] = Path(root, ".dvc", url).resolve().as_posix()
        if name.strip("'\"").startswith("remote"):
            section["verify"] = "true"
    text = io.StringIO()
    settings.write(text)
    write_plainly(copy / ".dvc/config.local", text.getvalue().encode(), mode=0o600)  # it may hold passwords
    return settings.has_option("core", "remote")
