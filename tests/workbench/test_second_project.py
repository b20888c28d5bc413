"""A project on the workbench alone: laid out by `make skeleton`, with stages that count words and no torch at all."""

import ast
import csv
import importlib.metadata
import io
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from conftest import ROOT, Project, clean_environment

TEMPLATE = ROOT / "tests/second_project"
LAY_OUT = TEMPLATE / "lay_out.py"
LABORATORY_ONLY = ("attention", "torch")
EXTRAS = {"distributed", "ray"}  # of a cluster
SOONER_OR_LATER = 240  # seconds, far more than anything here takes
LARGE = 20_000  # times the text: seconds of counting


def lay_out(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, str(LAY_OUT), *arguments]
    env = clean_environment(**environment)
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def words(project: Project, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return project.run("python", "-m", "words.project", *arguments, PYTHONPATH="stages", **environment)


def listed(project: Project) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(words(project, "runs", "--csv").stdout)))


def statuses(project: Project) -> list[str]:
    """Return the status of each run, in the order of their start."""
    with closing(sqlite3.connect(project.root / "mlflow.db")) as store:
        return [status for (status,) in store.execute("SELECT status FROM runs ORDER BY start_time")]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project after `make skeleton`, `make repro` and a commit: look at it, but change nothing.

    Neither torch nor the laboratory can be imported when it is made, and its own tests have passed.
    """
    folder = tmp_path_factory.mktemp("second project") / "it's mine"
    done = lay_out(str(folder))
    assert done.returncode == 0, done.stderr
    project = Project(folder, warm=False)
    assert project.run("git", "status", "--porcelain", "--ignored").stdout == ""
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    for lock in folder.glob("requirements*.lock"):
        os.utime(lock, (0, 0))  # else make would install it, for minutes
    without = tmp_path_factory.mktemp("without")
    for name in LABORATORY_ONLY:
        (without / f"{name}.py").write_text("raise ImportError('not for this project')")
    project.run("make", "repro", PYTHONPATH=str(without))
    assert " passed" in project.run("make", "test", PYTHONPATH=str(without)).stdout
    (folder / ".venv").unlink()
    project = Project(folder)
    project.commit("results")
    return project


@pytest.fixture
def project(made: Project, tmp_path: Path) -> Project:
    """A copy of it without an MLflow store."""
    return made.copy(tmp_path / "copy")


def test_it_holds_nothing_of_the_laboratory(made: Project) -> None:
    own = [path for path in TEMPLATE.rglob("*") if path.is_file() and path.suffix != ".pyc" and path != LAY_OUT]
    assert [path for path in own if re.search("|".join(LABORATORY_ONLY), path.read_text())] == []
    assert "torch" not in (made.root / "requirements.lock").read_text()
    there = made.run("git", "ls-files").stdout.splitlines()
    assert not [name for name in there if "second_project" in name or name.startswith("stages/attention")]
    assert "second_project" not in (made.root / ".dvcignore").read_text()


def test_its_lock_has_all_that_the_workbench_imports(made: Project) -> None:
    distributions = importlib.metadata.packages_distributions()
    imported = {
        name.partition(".")[0]
        for path in (made.root / "stages").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([one.name for one in node.names] if isinstance(node, ast.Import) else [node.module or ""])
    }
    foreign = imported - sys.stdlib_module_names - {"words", "workbench"} - EXTRAS
    locked = {line.partition("==")[0] for line in (made.root / "requirements.lock").read_text().splitlines()}
    assert foreign >= {"mlflow", "safetensors"}
    assert {name for name in foreign if not locked & {*distributions.get(name, [])}} == set()


def test_it_is_verified_and_healthy(made: Project) -> None:
    assert "\nthe working tree: 3 of 3 outputs agree byte for byte\n" in words(made, "verify").stdout
    assert "WRONG" not in words(made, "doctor").stdout


def test_an_experiment_and_a_run_are_listed_and_restored(made: Project, tmp_path: Path) -> None:
    project = made.copy(tmp_path / "copy")
    project.set_params({"count.min_length": 5})  # committed nowhere: the run alone tells it
    project.run("dvc", "repro", "--quiet")
    of_run = project.outputs()
    project.run("git", "checkout", "--quiet", ".")
    project.run("dvc", "exp", "run", "--quiet", "-n", "lower", "-S", "count.lowercase=false")
    of_experiment = project.outputs()
    project.run("git", "checkout", "--quiet", ".")
    project.run("dvc", "checkout", "--quiet")
    experiment, run = listed(project)
    assert (experiment["name"], experiment["state"], experiment["count.lowercase"]) == ("lower", "computed", "False")
    assert (run["what"], run["state"], run["where"][:7]) == (
        "min_length 5, lowercase True, top 5, seed 0",
        "computed",
        "MLflow ",
    )
    assert float(run["words"]) < float(experiment["words"]) == 160.0
    for name, outputs in ((experiment["name"], of_experiment), (run["run"], of_run)):
        said = words(project, "restore", "--yes", name, str(tmp_path / name)).stdout
        assert "restored; 3 of 3 outputs agree byte for byte" in said
        assert Project(tmp_path / name).outputs() == outputs != made.outputs()


def test_a_lost_store_is_published_anew(project: Project) -> None:
    assert not (project.root / "mlflow.db").exists()
    assert words(project, "publish").stdout == "data/: run min_length 3, lowercase True, top 5, seed 0\n"
    (run,) = listed(project)
    assert (run["state"], run["words"], run["different"], run["share"][:5]) == ("published", "160.0", "86.0", "0.325")
    words(project, "publish")
    assert listed(project) == [run]


def test_a_tracker_that_is_dead_costs_a_warning(project: Project) -> None:
    before = project.outputs()
    shutil.rmtree(project.root / "data")
    for stage in ("count", "measure"):
        done = project.run("python", f"stages/{stage}.py", MLFLOW_TRACKING_URI="http://127.0.0.1:9")
        assert "warning: MLflow cannot be reached" in done.stderr, done.stderr
        assert len(done.stderr.splitlines()) == 1
    assert project.outputs() == before


def test_a_killed_stage_is_run_again_by_the_same_command(project: Project) -> None:
    text = project.root / "text/rain.txt"
    text.write_text(text.read_text() * LARGE)
    shutil.rmtree(project.root / "data")
    command, env = ["python", "stages/count.py"], clean_environment(PYTHONWARNINGS="ignore")
    process = subprocess.Popen(command, cwd=project.root, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    deadline = time.monotonic() + SOONER_OR_LATER
    while not ((project.root / "mlflow.db").exists() and statuses_or_none(project) == ["RUNNING"]):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    process.communicate()
    assert project.outputs() == {}
    project.stage("count")
    assert statuses(project) == ["KILLED", "FINISHED"]
    with (project.root / "data/count/words.csv").open(newline="") as file:
        counts = {row["word"]: int(row["count"]) for row in csv.DictReader(file)}
    assert sum(counts.values()) == 160 * LARGE
    assert [path.name for path in (project.root / "data").rglob(".*")] == []


def statuses_or_none(project: Project) -> list[str] | None:
    try:
        return statuses(project)
    except sqlite3.Error:  # it is being made
        return None


def test_queued_experiments_are_runs_in_the_store_of_the_project(project: Project) -> None:
    project.run("dvc", "exp", "run", "--queue", "-n", "top", "-S", "measure.top=3,4")
    # The worker inherits the output that we capture, so this ends when it does. One: of two that are done at the same
    # moment, DVC may leave one waiting for ever.
    project.run("dvc", "queue", "start", "--jobs", "1")
    deadline = time.monotonic() + SOONER_OR_LATER
    while "Worker status: 0 active, 0 idle" not in (status := project.run("dvc", "queue", "status").stdout):
        assert time.monotonic() < deadline, status
        time.sleep(1)
    assert status.count("Success") == 2, status
    found = {run["name"]: run for run in listed(project)}
    assert {name: run["measure.top"] for name, run in found.items()} == {"top-1": "3", "top-2": "4"}
    assert all("MLflow" in run["where"] for run in found.values())
    assert project.run("git", "status", "--porcelain").stdout == ""


@pytest.mark.skipif(sys.platform != "linux", reason="watching files needs Linux (inotify)")
def test_declare_writes_what_was_taken_out_of_dvc_yaml_and_nothing_else(project: Project) -> None:
    pipeline = project.root / "dvc.yaml"
    text = pipeline.read_text()
    pipeline.write_text(
        text.replace("      - stages/words/counting.py\n", "", 1).replace("      - count.lowercase\n", "")
    )
    done = words(project, "declare", "--write")
    assert done.stdout == (
        "count: deps\n  + stages/words/counting.py\ncount: params\n  + count.lowercase\n"
        "dvc.yaml: 1 of 2 stages changed\n"
    )
    assert pipeline.read_text() == text


@pytest.mark.parametrize(
    ("where", "told"),
    [
        ("full", "{0}: is not empty; allowed: a new or empty folder; nothing was changed"),
        ("full/file", "{0}: is a file; allowed: a new or empty folder; nothing was changed"),
        ("link", "{0}: is a link; allowed: a new or empty folder; nothing was changed"),
        ("full/file/below", "{0}: Not a directory; name another folder"),
        ("", "make skeleton: got no folder; allowed: a new or empty one: make skeleton DIR=../mine"),
    ],
)
def test_a_folder_that_cannot_be_the_project_s_is_refused(where: str, told: str, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").write_text("mine")
    (tmp_path / "link").symlink_to("nowhere")
    place = str(tmp_path / where) if where else ""
    done = lay_out(place)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", told.format(place) + "\n")
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "full", "link"]


def test_who_has_no_name_for_git_is_told_before_anything_is_made(tmp_path: Path) -> None:
    nobody = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull, "GIT_COMMITTER_NAME": ""}
    done = lay_out(str(tmp_path / "mine"), **nobody)
    assert done.returncode == 1
    assert re.fullmatch(
        r"make skeleton: `git var` failed: .*; mend that, and give an empty folder again\n", done.stderr
    )
    assert not (tmp_path / "mine").exists()
