"""`ui`: a real server on the second project's store, at the address that it prints; and why it does not start."""

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT, Project, clean_environment, open_store

from workbench.tracking.pages import PALETTE, VIEW_TAG, colour_after, page_of


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("ui") / "project"
    subprocess.run([sys.executable, str(ROOT / "tests/second_project/lay_out.py"), str(folder)], check=True)
    return Project(folder)


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holding:
        holding.bind(("127.0.0.1", 0))
        holding.listen()
        yield holding.getsockname()[1]


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def ui(project: Project, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    path = {"PYTHONPATH": str(project.root / "stages"), "PYTHONWARNINGS": "ignore"}
    return project.attempt("python", "-m", "words.project", "ui", *arguments, **path, **environment)


def test_the_address_that_is_printed_opens_at_the_runs_and_ctrl_c_ends_all(project: Project, tmp_path: Path) -> None:
    port = free_port()
    command = ["python", "-P", "-m", "words.project", "ui", "--port", str(port)]
    environment = clean_environment(PYTHONPATH=str(project.root / "stages"), PYTHONWARNINGS="ignore")
    with (tmp_path / "log.txt").open("w") as log:
        serving = subprocess.Popen(
            command, cwd=project.root, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        )
        try:
            assert serving.stdout
            said = serving.stdout.readline()
            server = f"http://127.0.0.1:{port}"
            experiment = open_store(f"sqlite:///{project.root}/mlflow.db").get_experiment_by_name("words")
            assert experiment
            assert said == f"runs: {page_of(server, experiment.experiment_id)}\n"
            with urllib.request.urlopen(f"{server}/ajax-api/2.0/mlflow/experiments/get?experiment_id=1") as answer:
                tags = {tag["key"]: tag["value"] for tag in json.load(answer)["experiment"]["tags"]}
            assert tags["mlflow.experimentKind"] == "custom_model_development"
            assert json.loads(tags[VIEW_TAG]) == {
                "selectedColumns": ["metrics.`measure/share`", "params.`count.min_length`"]
            }
        finally:
            os.kill(serving.pid, signal.SIGINT)
            status = serving.wait(timeout=60)
            serving.communicate()
    assert status == 130, (tmp_path / "log.txt").read_text()
    with socket.socket() as free:
        assert free.connect_ex(("127.0.0.1", port)), "the server is gone, too"


def test_a_port_that_is_taken_is_told_with_another_one(project: Project, taken: int) -> None:
    done = ui(project, "--port", str(taken))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"port {taken}: another program uses it; choose a free one: make ui PORT={taken + 1}\n"


@pytest.mark.parametrize("port", ["0", "65536", "-1", "http"])
def test_what_is_no_port_is_refused(port: str, project: Project) -> None:
    done = ui(project, f"--port={port}")
    assert done.returncode == 2
    assert f"argument --port: got '{port}'; allowed: a whole number from 1 to 65535" in done.stderr


def test_runs_on_a_server_are_shown_by_that_server(project: Project) -> None:
    done = ui(project, MLFLOW_TRACKING_URI="http://me:hunter2@far.example/mlflow")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "MLFLOW_TRACKING_URI: got a server; its own pages show the runs: http://***@far.example/mlflow; "
        "`unset MLFLOW_TRACKING_URI` shows those of this folder\n"
    )


def test_runs_that_follow_each_other_differ_in_colour() -> None:
    colours = [colour_after(None)]
    for _ in range(len(PALETTE)):
        colours.append(colour_after(colours[-1]))
    assert {*colours} == {*PALETTE}
    assert colours[0] == colours[-1] == colour_after("somebody's own")
