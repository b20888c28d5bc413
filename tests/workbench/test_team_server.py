"""The documented way to a server for a team: PostgreSQL, MLflow before it, a DVC remote, and two clones at work."""

import csv
import glob
import io
import json
import os
import re
import secrets
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from clusters import free_port, need, skip
from conftest import ROOT, Project, clean_environment, open_store, recorded_runs, warm_environment
from faulty_servers import end_group
from mlflow.entities import Run
from mlflow.tracking import MlflowClient

from attention.studies.groups import MEASURES
from attention.studies.statistics import SPREAD
from attention.studies.tracking import FILES
from attention.weights import load_weights

PAGE = (ROOT / "docs/clusters.md").read_text()
SECTION = PAGE.partition("## A server for a team")[2]
SERVER_COMMANDS, CLIENT_COMMANDS = (block.splitlines() for block in re.findall(r"```bash\n(.*?)```", SECTION, re.S)[:2])
STARTING = 120  # seconds, far more than a server needs
PATIENT = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "60", "PYTHONWARNINGS": "ignore"}  # the machine is busy with two pipelines
FOLDERS = {"train": ("model.safetensors", "history.csv", "attention.csv"), "evaluate": ("metrics.json", "recovery.csv")}


@dataclass(frozen=True)
class Team:
    """A server at work, and how the commands of the page are to be spelled for it."""

    address: str
    spelled: Mapping[str, str]

    def spell(self, command: str) -> str:
        """Put the places of the test in those of the page."""
        for place, ours in self.spelled.items():
            command = command.replace(place, ours)
        return command


@contextmanager
def postgresql(password: str, port: int) -> Iterator[None]:
    """Start PostgreSQL in a new folder, with a database and a user `mlflow`."""
    (programs,) = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1:] or [""]  # noqa: PTH207 - of another file system root
    if not programs:
        skip("no PostgreSQL: install it (Debian: apt-get install postgresql)")
    user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}  # refuses root
    with tempfile.TemporaryDirectory(prefix="pg") as parent:
        folder = Path(parent)
        (folder / "password").write_text(password)
        (folder / "password").chmod(0o600)
        for path in (folder, folder / "password"):
            if user:
                shutil.chown(path, "postgres", "postgres")
        data = folder / "data"
        login = ("--username=mlflow", "--auth=scram-sha-256", f"--pwfile={folder / 'password'}", "--no-sync")
        command: tuple[str, ...] = (f"{programs}/initdb", f"--pgdata={data}", *login)
        subprocess.run(command, check=True, capture_output=True, cwd=folder, **user)  # type: ignore[call-overload]
        command = (f"{programs}/postgres", "-D", str(data), "-h", "127.0.0.1", "-p", str(port), "-k", str(folder))
        server = subprocess.Popen(  # type: ignore[call-overload]
            command, cwd=folder, start_new_session=True, stderr=subprocess.DEVNULL, **user
        )
        try:
            create_database(password, port)
            yield
        finally:
            end_group(server.pid)
            server.wait()


def create_database(password: str, port: int) -> None:
    import psycopg

    deadline = time.monotonic() + STARTING
    while True:
        try:
            connection = psycopg.connect(
                host="127.0.0.1", port=port, user="mlflow", password=password, dbname="postgres", autocommit=True
            )
            break
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    connection.execute("CREATE DATABASE mlflow")
    connection.close()


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    """The server that the page's commands start."""
    need("psycopg", "pip install -e '.[server]'")
    folder = tmp_path_factory.mktemp("team")
    password, database, port = secrets.token_hex(12), free_port(), free_port()
    address = f"http://127.0.0.1:{port}"
    spelled = {"SECRET": password, ":5432": f":{database}", "5000": str(port), "/srv": str(folder)}
    with postgresql(password, database), (folder / "said.txt").open("w") as said:
        install, *commands = SERVER_COMMANDS
        assert install == "pip install -e '.[server]'"
        server = subprocess.Popen(
            ["bash", "-c", "\n".join(Team(address, spelled).spell(command) for command in commands)],
            cwd=folder,
            env=clean_environment(PYTHONWARNINGS="ignore"),
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            deadline = time.monotonic() + STARTING
            while not answers(address):
                assert server.poll() is None, (folder / "said.txt").read_text()
                assert time.monotonic() < deadline, (folder / "said.txt").read_text()
            assert password not in (folder / "said.txt").read_text()
            yield Team(address, spelled)
        finally:
            end_group(server.pid)
            server.wait()


def answers(address: str) -> bool:
    time.sleep(0.3)
    try:
        # the first question opens the store, for longer than a stage waits on a busy machine
        question = f"{address}/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default"
        return bool(urllib.request.urlopen(question, timeout=STARTING).status == 200)
    except OSError:
        return False


@pytest.fixture(scope="module")
def clones(team: Team, finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> list[Project]:
    """Two clones in which the page's commands have run at once, each with a seed of its own."""
    folder = tmp_path_factory.mktemp("clones")
    clones = [Project(folder / str(seed)) for seed in (3, 4)]
    running = []
    for seed, clone in zip((3, 4), clones, strict=True):
        finished_project.run("git", "clone", "--quiet", str(finished_project.root), str(clone.root))
        clone.set_params({"seed": seed})
        commands = [team.spell(command) for command in CLIENT_COMMANDS if not command.startswith("git clone")]
        with (clone.root / "said.txt").open("w") as said:
            running.append(
                subprocess.Popen(
                    ["bash", "-ec", "\n".join(commands).replace("make repro", "dvc repro")],
                    cwd=clone.root,
                    env=warm_environment(**PATIENT),
                    stdout=said,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )
    try:
        for process, clone in zip(running, clones, strict=True):
            assert process.wait(timeout=600) == 0, (clone.root / "said.txt").read_text()
            assert "warning: MLflow" not in (clone.root / "said.txt").read_text()
    finally:
        for process in running:
            end_group(process.pid)
            process.wait()
    return clones


@pytest.fixture(scope="module")
def client(team: Team) -> MlflowClient:
    return open_store(team.address)


def rows(project: Project, path: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((project.root / path).read_text())))


def flat(tree: Mapping[str, Any], prefix: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def training_run(client: MlflowClient, project: Project) -> Run:
    key = load_weights(project.root / "data/train/model.safetensors").key
    (run,) = (run for run in recorded_runs(client) if run.data.tags["attention.key"] == key)
    return run


def test_every_number_of_both_pipelines_is_read_back(client: MlflowClient, clones: list[Project]) -> None:
    assert len(recorded_runs(client)) == 2
    for project in clones:
        run = training_run(client, project)
        assert (run.info.status, run.data.tags["attention.stages"]) == ("FINISHED", "train,evaluate,plot")
        metrics = flat(json.loads((project.root / "data/evaluate/metrics.json").read_text()), "test/")
        assert {name: run.data.metrics[name] for name in metrics} == metrics
        history = rows(project, "data/train/history.csv")
        for measure in MEASURES:
            found = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, f"train/{measure}")]
            assert found == [(int(row["epoch"]), float(row[measure])) for row in history]


def test_every_file_went_through_the_server_and_comes_back(
    client: MlflowClient, clones: list[Project], tmp_path: Path
) -> None:
    for number, project in enumerate(clones):
        run = training_run(client, project)
        assert str(run.info.artifact_uri).startswith("mlflow-artifacts:/")
        folder = tmp_path / str(number)
        folder.mkdir()
        client.download_artifacts(run.info.run_id, "", str(folder))
        for stage, names in FOLDERS.items():
            for name in names:
                assert (folder / stage / name).read_bytes() == (project.root / "data" / stage / name).read_bytes()


def test_every_number_of_both_studies_is_read_back(client: MlflowClient, clones: list[Project], tmp_path: Path) -> None:
    runs = recorded_runs(client, "attention-study")
    parents = {run.data.params["seed"]: run for run in runs if "mlflow.parentRunId" not in run.data.tags}
    assert sorted(parents) == ["3", "4"]
    assert len(runs) == 2 + 2 * 2
    assert {run.info.status for run in runs} == {"FINISHED"}
    for seed, project in zip("34", clones, strict=True):
        parent = parents[seed].info.run_id
        children = {
            run.data.params["model.attention"]: run.data.metrics
            for run in runs
            if run.data.tags.get("mlflow.parentRunId") == parent
        }
        for row in rows(project, "data/study/summary.csv"):
            found = children[row["model.attention"]]
            for measure in MEASURES:
                shown = "test/mse" if measure == "mse" else f"test/recovery.{measure}"
                for number in SPREAD[:3]:  # of three trainings there is no interval
                    name = shown if number == "median" else f"{shown}.{number}"
                    assert found[name] == float(row[f"{measure}.{number}"])
        (tmp_path / seed).mkdir()
        client.download_artifacts(parent, "study", str(tmp_path / seed))
        for file in FILES:
            assert (tmp_path / seed / "study" / file).read_bytes() == (project.root / "data/study" / file).read_bytes()


def test_a_third_clone_pulls_what_another_one_computed(clones: list[Project], tmp_path: Path) -> None:
    first = clones[0]
    first.run("git", "add", "--all")
    first.run("git", "commit", "--quiet", "--message", "seed 3, and the remote in .dvc/config")
    third = Project(tmp_path / "third")
    first.run("git", "clone", "--quiet", str(first.root), str(third.root))
    third.run("dvc", "pull", "--quiet")
    assert third.outputs() == first.outputs()
