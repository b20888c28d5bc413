"""A tracker that fails costs a warning: every output is there, with the bytes it has where nothing fails."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import Project, open_store, recorded_runs, warm_environment
from faulty_servers import FAULTS, PASSWORD, end_group, mlflow_server

STAGES = ("train", "evaluate", "plot", "study")
SOONER_OR_LATER = 120  # seconds, far more than anything here takes
SLOW = {"train.engine": "torch", "train.epochs": 30}  # seconds of training, time to do harm in


def run_stages(places: Mapping[Path, str], *stages: str) -> None:
    """Run stages in each project with its tracker, all in one process, of the first's code: importing takes longest."""
    code = """
import contextlib, json, os, runpy, sys
sys.path[0] = os.path.abspath("stages")
for folder, uri in json.loads(sys.argv[1]).items():
    os.chdir(folder)
    os.environ["MLFLOW_TRACKING_URI"] = uri
    with open("stdout", "w") as out, open("stderr", "w") as err:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            for stage in sys.argv[2:]:
                runpy.run_path(f"{sys.path[0]}/{stage}.py", run_name="__main__")
"""
    trackers = json.dumps({str(folder): uri for folder, uri in places.items()})
    Project(next(iter(places))).run("python", "-c", code, trackers, *stages, PYTHONWARNINGS="ignore")


def says_the_secret(folder: Path) -> list[str]:
    return [str(path) for path in folder.rglob("*") if path.is_file() and PASSWORD.encode() in path.read_bytes()]


def copy_of(finished: Project, folder: Path) -> Project:
    """A project whose data are there and nothing else."""
    project = finished.copy(folder, ".git", ".dvc")
    for stage in STAGES:
        shutil.rmtree(project.root / "data" / stage)
    return project


@pytest.fixture(scope="module")
def faults(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a project for each fault, in which all stages met with it."""
    folder = tmp_path_factory.mktemp("faults")
    with ExitStack() as servers:
        places = {}
        for fault, start in FAULTS.items():
            project = copy_of(finished_project, folder / fault)
            places[project.root] = servers.enter_context(start())
        run_stages(places, *STAGES)
    return folder


@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_but_the_view_with_a_server_that(fault: str, faults: Path, finished_project: Project) -> None:
    assert Project(faults / fault).outputs() == finished_project.outputs()
    warnings = (faults / fault / "stderr").read_text().splitlines()
    assert len(warnings) == len(STAGES)  # each says it once
    assert all(line.startswith("warning: MLflow cannot be reached, results are not affected (") for line in warnings)
    assert all(line.endswith("); `attention publish` shows them later") for line in warnings)
    assert says_the_secret(faults / fault) == []


@pytest.mark.parametrize("fault", ["refuses", "accepts and never answers"])
def test_where_tracking_is_required_training_does_not_begin_with_a_server_that(
    fault: str, finished_project: Project, tmp_path: Path
) -> None:
    project = finished_project.copy(tmp_path / "project", ".git", ".dvc")
    project.set_params({"tracking.required": True, "train.epochs": 3})
    with FAULTS[fault]() as uri:
        done = project.attempt("python", "stages/train.py", MLFLOW_TRACKING_URI=uri, PYTHONWARNINGS="ignore")
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("params.yaml: tracking.required: got true, but MLflow cannot be reached (")
    assert PASSWORD not in line
    assert project.outputs() == finished_project.outputs()


@pytest.fixture(scope="module")
def gone(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training whose server was killed, one whose server was stopped, and an undisturbed one."""
    folder = tmp_path_factory.mktemp("gone")
    for name in ("undisturbed", "stopped", "killed"):
        copy_of(finished_project, folder / name).set_params(SLOW)
    with mlflow_server(folder) as (uri, group):
        run_stages({folder / "undisturbed": uri}, "train")
        for name, number in {"stopped": signal.SIGSTOP, "killed": signal.SIGKILL}.items():
            with training(Project(folder / name), uri) as process:
                wait_for(Project(folder / name), "epoch 3", process)
                os.killpg(group, number)
                assert process.wait(SOONER_OR_LATER) == 0, (folder / name / "said.txt").read_text()
            if number == signal.SIGSTOP:
                os.killpg(group, signal.SIGCONT)
    return folder


@pytest.mark.parametrize("name", ["stopped", "killed"])
def test_training_ends_with_the_same_bytes_and_one_warning_after_its_server_was(gone: Path, name: str) -> None:
    trained = {k: v for k, v in Project(gone / "undisturbed").outputs().items() if k.startswith("data/train/")}
    got = Project(gone / name).outputs()
    assert {k: v for k, v in got.items() if k.startswith("data/train/")} == trained
    lines = [line for line in (gone / name / "said.txt").read_text().splitlines() if "epoch " not in line]
    assert len(lines) == 2
    assert lines[0].startswith("warning: MLflow cannot be reached, results are not affected (")
    assert lines[1].startswith("train: 211 sequences of lookup -> embedding, 30 epochs, MSE ")
    assert "in MLflow" not in lines[1]


def test_a_server_that_stays_has_the_run_whole_and_no_password_is_anywhere(gone: Path) -> None:
    runs = {run.info.status: run for run in recorded_runs(open_store(f"sqlite:///{gone}/server.db"))}
    assert runs["FINISHED"].data.tags["attention.stages"] == "train"
    assert set(runs) == {"FINISHED", "KILLED", "RUNNING"}  # the second training said that the first was dead
    assert (gone / "undisturbed/stderr").read_text() == ""
    assert "http" not in (gone / "undisturbed/stdout").read_text()
    assert says_the_secret(gone) == []


@contextmanager
def training(project: Project, uri: str) -> Iterator[subprocess.Popen[bytes]]:
    """Train in the background; the training is ended if the block leaves it."""
    with (project.root / "said.txt").open("w") as said:
        process = subprocess.Popen(
            ["python", "stages/train.py"],
            cwd=project.root,
            env=warm_environment(PYTHONWARNINGS="ignore", MLFLOW_TRACKING_URI=uri),
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end_group(process.pid)
        process.wait()


def wait_for(project: Project, text: str, process: subprocess.Popen[bytes]) -> None:
    """Wait until the training has said something."""
    deadline = time.monotonic() + SOONER_OR_LATER
    while text not in (said := (project.root / "said.txt").read_text()):
        assert process.poll() is None, said
        assert time.monotonic() < deadline, said
        time.sleep(0.05)
