"""Lay the second project out as the start of one's own: python tests/second_project/lay_out.py DIR."""

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

TEMPLATE = Path(__file__).parent
ROOT = TEMPLATE.parents[1]
SHARED = (".gitattributes", ".dvc/.gitignore", ".dvc/config")  # as they are here
# What the workbench imports.
WORKBENCH = (
    *("dvc", "filelock", "joblib", "matplotlib", "mlflow", "numpy", "pandas", "psutil", "pydantic", "ruamel.yaml"),
    *("safetensors", "shtab", "tqdm"),
)
CHECKS = ("pytest",)  # what the tests need beside
MADE = ("__pycache__", "*.pyc", ".pytest_cache", ".venv", "*.egg-info", "data", "mlruns", "mlflow.db*")


def lay_out(folder: Path) -> None:
    """Make `folder` a git repository with the project, the workbench in it, and one commit.

    Raises:
        SystemExit: the folder is there and not empty, or git cannot commit for the user.

    """
    if folder.is_symlink() or (folder.exists() and (not folder.is_dir() or any(folder.iterdir()))):
        there = "a link" if folder.is_symlink() else "not empty" if folder.is_dir() else "a file"
        sys.exit(f"{folder}: is {there}; allowed: a new or empty folder; nothing was changed")
    git(ROOT, "var", "GIT_COMMITTER_IDENT")  # who has no name for git is told before anything is made
    made = shutil.ignore_patterns(*MADE, Path(__file__).name)
    shutil.copytree(TEMPLATE, folder, ignore=made, dirs_exist_ok=True)
    shutil.copytree(ROOT / "stages/workbench", folder / "stages/workbench", ignore=made)
    shutil.copy(ROOT / "LICENSE", folder / "stages/workbench/LICENSE")
    for name in SHARED:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    ignored = (ROOT / ".dvcignore").read_text(encoding="utf-8").splitlines()
    write(folder / ".dvcignore", (line for line in ignored if TEMPLATE.name not in line))
    computes = locked(WORKBENCH)
    write(folder / "requirements.lock", computes)
    write(folder / "requirements-dev.lock", (line for line in locked(CHECKS) if line not in computes))
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--message", "A project on the workbench")


def locked(names: Iterable[str]) -> list[str]:
    """Return the lines of our locks that packages and what they need take."""
    files = [ROOT / name for name in ("requirements.lock", "requirements-dev.lock")]
    entries = [line for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    lines = {canonicalize_name(line.partition("==")[0]): line for line in entries}
    needed, queue = set[NormalizedName](), [canonicalize_name(name) for name in names]
    while queue:
        name = queue.pop()
        if name not in needed and name in lines:
            needed.add(name)
            queue += required(name)
    return [lines[name] for name in sorted(needed)]


def required(name: str) -> list[NormalizedName]:
    """Return what an installed package requires here, without its extras."""
    wanted = map(Requirement, importlib.metadata.requires(name) or [])
    return [canonicalize_name(one.name) for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})]


def write(path: Path, lines: Iterable[str]) -> None:
    """Write lines of text."""
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8", newline="\n")


def git(folder: Path, *arguments: str) -> None:
    """Run git, which must succeed."""
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}"
        sys.exit(f"make skeleton: `git {arguments[0]}` failed: {last}; mend that, and give an empty folder again")


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit("make skeleton: got no folder; allowed: a new or empty one: make skeleton DIR=../mine")
    try:
        lay_out(Path(sys.argv[1]).absolute())
    except OSError as error:
        sys.exit(f"{error.filename or sys.argv[1]}: {error.strerror or error}; name another folder")
    print(f"{sys.argv[1]}: a project on the workbench; next: cd {sys.argv[1]} && make repro && make test")
