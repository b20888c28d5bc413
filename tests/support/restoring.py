"""Runs of many configurations, and whether `attention restore` brings each back as it was."""

import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import Project, open_store, recorded_runs

WEIGHTS = Path("stages/attention/weights.py")
BOUND, OTHER = "bound = np.float32(1 / ", "bound = np.float32({} / "
NEW = ("stages/attention/factor.py", "stages/attention/factor.npy")


@dataclass(frozen=True)
class Wanted:
    """A run to be made.

    Attributes:
        params: what differs from params.yaml.
        change: what is changed in the tree and not committed: nothing, or as in `change`.
        by: how it is found again: as a DVC experiment, or an MLflow run by its name or id.

    """

    params: Mapping[str, Any]
    change: str = ""
    by: str = "name"


@dataclass(frozen=True)
class Kept:
    """A run that was made: its name, and what the tree held then."""

    run: str
    outputs: Mapping[str, bytes]
    code: Mapping[str, bytes]


def attention(project: Project, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command of the project's own copy, wherever an installed one points."""
    path = str(project.root / "stages")
    return project.attempt("python", "-m", "attention.project", *arguments, PYTHONPATH=path, **environment)


def make(project: Project, wanted: Wanted, number: int) -> Kept:
    """Make a run in the working tree, which is then as it was."""
    project.set_params(wanted.params)
    change(project, wanted.change)
    if wanted.by == "experiment":
        run = f"experiment-{number}-{project.run('git', 'rev-parse', '--short', 'HEAD').stdout.strip()}"
        project.run("dvc", "exp", "run", "--quiet", "--name", run, PYTHONWARNINGS="ignore")
    else:
        project.run("dvc", "repro", "--quiet", PYTHONWARNINGS="ignore")
        newest = recorded_runs(open_store(f"sqlite:///{project.root}/mlflow.db"))[0].info
        run = str(newest.run_id if wanted.by == "id" else newest.run_name)
    kept = Kept(run, project.outputs(), code(project))
    project.run("git", "checkout", "--quiet", "--force", "HEAD", "--", ".")
    for name in NEW:
        (project.root / name).unlink(missing_ok=True)
    return kept


def change(project: Project, how: str) -> None:
    """Change the tree so that other initial weights are drawn."""
    weights = project.root / WEIGHTS
    text = weights.read_text()
    assert BOUND in text
    if how == "a file":
        text = text.replace(BOUND, OTHER.format(0.5))
    elif how == "a new file":
        (project.root / NEW[0]).write_text("HALF = 0.25\n")
        text = text.replace(BOUND, OTHER.format("__import__('attention.factor').factor.HALF"))
    elif how == "a new binary file":
        (project.root / NEW[1]).write_bytes(bytes(range(256)))
        text = text.replace(BOUND, OTHER.format("Path(__file__).with_name('factor.npy').read_bytes()[2]"))
    elif how == "ends of lines":
        weights.write_bytes(text.replace(BOUND, OTHER.format(0.75)).replace("\n", "\r\n").encode())
        return
    weights.write_text(text)


def code(project: Project) -> dict[str, bytes]:
    """Return the code and the parameters of a tree."""
    files = [*(project.root / "stages").rglob("*"), project.root / "params.yaml"]
    return {
        path.relative_to(project.root).as_posix(): path.read_bytes()
        for path in files
        if path.is_file() and "__pycache__" not in path.parts
    }


def lose_cache(project: Project) -> None:
    """Delete DVC's cache and the outputs in the working tree, so that only running brings anything back."""
    shutil.rmtree(project.root / ".dvc/cache")
    for name in project.outputs():
        (project.root / name).unlink()


def problems(project: Project, kept: Kept, folder: Path) -> Iterator[str]:
    """Restore a run with the real command, and say what is not as it was."""
    done = attention(project, "restore", "--yes", kept.run, str(folder), PYTHONWARNINGS="ignore")
    if done.returncode:
        yield f"{kept.run}: status {done.returncode}: {(done.stdout + done.stderr).strip().splitlines()[-1:]}"
        return
    if "agree byte for byte" not in done.stdout:
        yield f"{kept.run}: said {done.stdout}"
    restored = Project(folder)
    for what, wanted, got in (("output", kept.outputs, restored.outputs()), ("code", kept.code, code(restored))):
        for name in sorted({*wanted, *got}):
            if wanted.get(name) != got.get(name):
                yield f"{kept.run}: {what} {name} is not the same"
