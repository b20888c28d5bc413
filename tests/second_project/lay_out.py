"""Lay the second project out as the start of one's own: python tests/second_project/lay_out.py DIR."""

import importlib.metadata
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

TEMPLATE = Path(__file__).parent
ROOT = TEMPLATE.parents[1]
SHARED = (".dvcignore", ".gitattributes")  # as they are here
# What the workbench imports.
WORKBENCH = [
    "dvc",
    "filelock",
    "joblib",
    "mlflow",
    "numpy",
    "pandas",
    "psutil",
    "pydantic",
    "ruamel.yaml",
    "shtab",
    "tqdm",
]
NOT_CODE = shutil.ignore_patterns("__pycache__", "*.pyc", "lay_out.py")


def lay_out(folder: Path) -> None:
    """Make `folder` a git repository with the project, the workbench in it, and one commit.

    Raises:
        SystemExit: the folder is there and not empty.

    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        there = "not empty" if folder.is_dir() else "a file"
        sys.exit(f"{folder}: is {there}; allowed: a new or empty folder; nothing was changed")
    shutil.copytree(TEMPLATE, folder, ignore=NOT_CODE, dirs_exist_ok=True)
    shutil.copytree(ROOT / "stages/workbench", folder / "stages/workbench", ignore=NOT_CODE)
    for name in SHARED:
        shutil.copy(ROOT / name, folder)
    (folder / "requirements.lock").write_text("\n".join(locked()) + "\n", encoding="utf-8")
    run(folder, "git", "init", "--quiet")
    run(folder, sys.executable, "-P", "-m", "dvc", "init", "--quiet")
    for option in ("core.analytics", "core.check_update"):
        run(folder, sys.executable, "-P", "-m", "dvc", "config", option, "false")
    run(folder, "git", "add", "--all")
    run(folder, "git", "commit", "--quiet", "--message", "A project on the workbench")


def locked() -> list[str]:
    """Return the lines of our requirements.lock that the workbench takes: what it imports, and what these need."""
    lines = {line.partition("==")[0].lower(): line for line in (ROOT / "requirements.lock").read_text().splitlines()}
    needed, queue = set[str](), list(WORKBENCH)
    while queue:
        name = queue.pop().lower().replace("_", "-")
        if name not in needed and name in lines:
            needed.add(name)
            queue += requirements(name)
    return [lines[name] for name in sorted(needed)]


def requirements(name: str) -> list[str]:
    """Return what an installed package requires here, without its extras."""
    wanted = map(Requirement, importlib.metadata.requires(name) or [])
    return [one.name for one in wanted if not one.marker or one.marker.evaluate({"extra": ""})]


def run(folder: Path, *command: str) -> None:
    """Run a command that must succeed."""
    subprocess.run(command, cwd=folder, check=True)


if __name__ == "__main__":
    if len(sys.argv) != 2 or not sys.argv[1]:
        sys.exit("make skeleton: got no folder; allowed: a new or empty one: make skeleton DIR=../mine")
    lay_out(Path(sys.argv[1]).resolve())
    print(f"{sys.argv[1]}: a project on the workbench; next: cd {sys.argv[1]} && make repro && make test")
