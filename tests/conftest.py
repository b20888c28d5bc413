"""A copy of the project with small parameters, and an MLflow store that is migrated once for the whole test run."""

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]

# Distinct primes, so that no axis can stand for another; the answer is still learned in two epochs of big steps.
SMALL: Mapping[str, Any] = {
    "data.n_train": 211,
    "data.n_test": 53,
    "data.seq_len": 7,
    "data.n_contexts": 3,
    "data.true_attention": [2, 6, 3],
    "train.epochs": 2,
    "train.learning_rate": 0.01,
}


def clean_environment(**more: str) -> dict[str, str]:
    """Return the environment without what would steer DVC, MLflow or git, and with our Python first on the path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "GIT_", "PYTHON", "PYTEST_"))}
    identity = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return kept | identity | {"PATH": path, "PYTHONWARNINGS": "default", "DVC_NO_ANALYTICS": "1"} | more


def copy_of_project(folder: Path) -> Path:
    """Copy what git knows of the project (committed or not) into a new repository with one commit."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@dataclass(frozen=True)
class Project:
    """A working copy that a test may do anything to."""

    root: Path

    def attempt(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's root, as a user would, and capture what it prints."""
        env = clean_environment(**environment)
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command that must succeed."""
        done = self.attempt(*command, **environment)
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def stage(self, *names: str, **environment: str) -> None:
        """Run stage scripts, in order."""
        for name in names:
            self.run("python", f"stages/{name}.py", **environment)

    def set_params(self, values: Mapping[str, Any]) -> None:
        """Change params.yaml by dotted keys."""
        yaml = YAML()
        tree = yaml.load((self.root / "params.yaml").read_text())
        for key, value in values.items():
            *sections, leaf = key.split(".")
            section = tree
            for name in sections:
                section = section[name]
            section[leaf] = value
        with (self.root / "params.yaml").open("w") as file:
            yaml.dump(tree, file)

    def commit(self, message: str = "change") -> str:
        """Commit everything and return the commit."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)
        return self.run("git", "rev-parse", "HEAD").stdout.strip()

    def outputs(self) -> dict[str, bytes]:
        """Return every file that the stages wrote."""
        files = (p for p in (self.root / "data").rglob("*") if p.is_file() and p.name != ".gitignore")
        return {p.relative_to(self.root).as_posix(): p.read_bytes() for p in sorted(files)}


@pytest.fixture(scope="session")
def migrated_store(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """An empty MLflow SQLite store; migrating one takes seconds, so all workers share it and tests copy it."""
    base = tmp_path_factory.getbasetemp()
    store = (base if worker_id == "master" else base.parent) / "migrated.db"
    with FileLock(f"{store}.lock"):
        if not store.exists():
            beside = store.with_suffix(".new")
            subprocess.run(
                [sys.executable, "-m", "mlflow", "db", "upgrade", f"sqlite:///{beside}"],
                env=clean_environment(),
                capture_output=True,
                check=True,
            )
            beside.replace(store)
    return store


def small_project(folder: Path) -> Project:
    """Make a copy of the project with small parameters, committed; nothing has run and no MLflow store exists."""
    project = Project(copy_of_project(folder))
    for file in project.outputs():
        (project.root / file).unlink()
    (project.root / "dvc.lock").unlink(missing_ok=True)
    project.set_params(SMALL)
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.commit("small")
    return project


@pytest.fixture
def empty_project(tmp_path: Path) -> Project:
    """A small project in which nothing has run, without an MLflow store."""
    return small_project(tmp_path / "project")


@pytest.fixture
def project(empty_project: Project, migrated_store: Path) -> Project:
    """A small project in which nothing has run, with an empty MLflow store."""
    shutil.copy(migrated_store, empty_project.root / "mlflow.db")
    return empty_project


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory, worker_id: str, migrated_store: Path) -> Project:
    """A small project after `dvc repro`, one for all workers: look at it, but change nothing."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "finished"
    with FileLock(f"{folder}.lock"):
        if not folder.with_suffix(".done").exists():
            project = small_project(folder)
            shutil.copy(migrated_store, project.root / "mlflow.db")
            project.run("dvc", "repro", "--quiet")
            project.commit("results")
            folder.with_suffix(".done").touch()
    return Project(folder)
