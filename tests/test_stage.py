"""How a stage ends: as a shell sees it."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

SCRIPT = """
import os, signal, sys, time
from workbench.stage.errors import DataError
from workbench.stage.outputs import writing
from workbench.stage.run import run_stage

def main():
    with writing("output") as beside:
        beside.write_text("half")
        {body}
    return "train: done"

run_stage(main)
"""


def run(folder: Path, body: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body)],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT / "stages")},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_stage_that_succeeds_tells_one_line_with_its_time(tmp_path: Path) -> None:
    done = run(tmp_path, "time.sleep(0.1)")
    assert (done.returncode, done.stderr) == (0, "")
    start, _, took = done.stdout.removesuffix(" s)\n").rpartition(" (")
    assert start == "train: done"
    assert float(took) >= 0.1
    assert (tmp_path / "output").read_text() == "half"


@pytest.mark.parametrize("message", ["params.yaml: seed: got -1; allowed: more", "one\\ntwo"])
def test_a_user_s_mistake_is_told_without_a_traceback(tmp_path: Path, message: str) -> None:
    done = run(tmp_path, f"raise DataError('{message}')")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == message.replace("\\n", "\n") + "\n"


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_an_interrupted_stage_says_how_to_go_on(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, f"os.kill(os.getpid(), signal.{name}); time.sleep(50)")
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr == "interrupted; the same command starts the stage again\n"


@pytest.mark.parametrize(
    "body", ["raise DataError('no')", "os.kill(os.getpid(), signal.SIGTERM); time.sleep(50)", "1 / 0"]
)
def test_a_stage_that_fails_leaves_the_earlier_output_and_nothing_else(tmp_path: Path, body: str) -> None:
    (tmp_path / "output").write_text("earlier")
    assert run(tmp_path, body).returncode != 0
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"output": "earlier"}


def test_a_mistake_of_the_program_keeps_its_traceback(tmp_path: Path) -> None:
    done = run(tmp_path, "1 / 0")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Traceback")
    assert done.stderr.endswith("ZeroDivisionError: division by zero\n")
