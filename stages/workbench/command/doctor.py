"""What can be wrong around the project, and the command that mends it."""

import importlib.metadata
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from workbench.stage.errors import AttentionError


@dataclass(frozen=True)
class Finding:
    """What was looked at, whether it is well, what was seen, and what mends it."""

    what: str
    well: bool
    finding: str
    mend: str = ""


def examine(root: Path) -> Iterator[Finding]:
    """Look at everything, cheap things first."""
    yield _environment(root)
    yield _params(root)
    yield from _dvc(root)
    from workbench.command.store_health import examine_store

    yield from examine_store(root)


def _environment(root: Path) -> Finding:
    wrong = []
    for line in (root / "requirements.lock").read_text().splitlines():
        name, _, locked = line.partition("==")
        try:
            found = importlib.metadata.version(name).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            found = "none"
        if found != locked:
            wrong.append(f"{name} {found}, locked {locked}")
    seen = f"{len(wrong)} packages differ: {'; '.join(wrong[:3])}" if wrong else "every package has its locked version"
    return Finding("environment", not wrong, seen, "`make clean repro` installs requirements.lock anew")


def _params(root: Path) -> Finding:
    from attention.params import load_params

    try:
        load_params(root / "params.yaml")
    except AttentionError as error:
        return Finding(
            "params.yaml", False, str(error).splitlines()[0], "mend that line, or `git checkout params.yaml`"
        )
    return Finding("params.yaml", True, "valid")


def _dvc(root: Path) -> Iterator[Finding]:
    status = _run(root, "status", "--quiet")
    yield Finding(
        "results",
        not status.returncode,
        "up to date" if not status.returncode else "not those of this code",
        "`dvc repro`",
    )
    data = _run(root, "data", "status", "--json")
    if data.returncode:
        reason = data.stderr.strip().rpartition("\n")[2] or "no reason given"
        yield Finding(
            "cache", False, f"`dvc data status` failed ({reason})", "mend that; the project is a git repository"
        )
    else:
        lost = json.loads(data.stdout or "{}").get("not_in_cache", [])
        seen = f"lacks {', '.join(lost[:3])}" if lost else "has every output"
        yield Finding("cache", not lost, seen, "`dvc pull`, or `dvc repro`")
    remotes = _remotes(root)
    if not remotes:
        yield Finding("remote", True, "none configured; results live in this copy alone (`dvc remote add` names one)")
        return
    reach = _run(root, "status", "--cloud", "--quiet")
    seen = "reachable, and has every output" if not reach.returncode else "cannot be reached, or lacks outputs"
    yield Finding(
        "remote", not reach.returncode, f"{remotes[0]}: {seen}", "`dvc push`; `dvc status --cloud` tells more"
    )


def _remotes(root: Path) -> list[str]:
    return [line.split()[0] for line in _run(root, "remote", "list").stdout.splitlines() if line.strip()]


def _run(root: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments], cwd=root, capture_output=True, text=True, check=False
    )
