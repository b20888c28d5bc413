"""Runs and experiments of the commit before the code moved into two packages: still listed, found and restored."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import ROOT, SMALL, Project, copy_of_project, open_store, recorded_runs
from restoring import attention

BEFORE = "9ebf3e0240650cc01c07fcb6bac76e476c4c93ce"
ALONE = "stages/attention/cli.py"  # a file that only it has
STAY = {".git", ".dvc", "data", "mlflow.db", "mlflow.db.lock", "mlruns"}


@dataclass(frozen=True)
class Moved:
    """A project with results of before under the code of today: the outputs of each by what it is called."""

    project: Project
    outputs: Mapping[str, Mapping[str, bytes]]


@pytest.fixture(scope="module")
def moved(tmp_path_factory: pytest.TempPathFactory) -> Moved:
    """Run the pipeline as it was, as a run that nobody committed and as an experiment, and lay today's code over it."""
    if subprocess.run(["git", "cat-file", "-e", BEFORE], cwd=ROOT, capture_output=True, check=False).returncode:
        pytest.skip("this copy has not the history of the project")
    project = Project(tmp_path_factory.mktemp("before") / "project")
    project.root.mkdir()
    archive = subprocess.run(["git", "archive", BEFORE], cwd=ROOT, capture_output=True, check=True).stdout
    subprocess.run(["tar", "-x"], cwd=project.root, input=archive, check=True)
    for made in (*project.outputs(), "dvc.lock"):
        (project.root / made).unlink()
    small = {**SMALL, "study.seeds": 1, "study.grid": {}}
    project.set_params(small)
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.commit("before")
    outputs = {}
    project.set_params({"train.learning_rate": 0.02})
    project.run("dvc", "repro", "--quiet")
    (run,) = recorded_runs(open_store(f"sqlite:///{project.root}/mlflow.db"))
    outputs[run.info.run_id] = project.outputs()
    project.run("git", "checkout", "--quiet", ".")
    project.run("dvc", "exp", "run", "--quiet", "--name", "slower", "-S", "train.learning_rate=0.003")
    outputs["slower"] = project.outputs()
    project.run("git", "checkout", "--quiet", ".")
    for path in project.root.iterdir():
        if path.name not in STAY:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.rmtree(project.root / "data")
    copy_of_project(project.root)
    project.set_params(small)
    project.commit("after")
    return Moved(project, outputs)


def test_they_are_listed_with_what_they_reached(moved: Moved) -> None:
    listed = json.loads(attention(moved.project, "runs", "--json").stdout)
    found = {one["name"] if one["name"] == "slower" else one["run"]: one for one in listed}
    assert found.keys() == moved.outputs.keys()
    for name, one in found.items():
        metrics = json.loads(moved.outputs[name]["data/evaluate/metrics.json"])
        assert (one["state"], one["mse"]) == ("computed", metrics["mse"])
        assert one["train.learning_rate"] == (0.003 if name == "slower" else 0.02)
        assert len(one["run"]) == 32


def test_they_are_restored_with_the_code_of_before(moved: Moved, tmp_path: Path) -> None:
    for name, outputs in moved.outputs.items():
        done = attention(moved.project, "restore", "--yes", name, str(tmp_path / name))
        assert done.returncode == 0, done.stdout + done.stderr
        assert "outputs agree byte for byte" in done.stdout
        assert (tmp_path / name / ALONE).exists()
        assert Project(tmp_path / name).outputs() == outputs
