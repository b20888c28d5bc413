"""The file that DVC's extension for VS Code watches while an experiment trains."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Project, clean_environment

from workbench.progress import SIGNAL, live_signal

SOONER_OR_LATER = 120  # seconds, far more than a training takes to begin


def test_outside_of_an_experiment_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))  # as in a plain `dvc repro`
    monkeypatch.delenv("DVC_EXP_BASELINE_REV", raising=False)
    with live_signal() as tell:
        tell(0)
    assert list(tmp_path.iterdir()) == []


def test_it_names_process_and_epoch_and_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
    with live_signal() as tell:
        for epoch in range(3):
            tell(epoch)
            assert json.loads((tmp_path / SIGNAL).read_text()) == {"pid": os.getpid(), "step": epoch}
    assert not (tmp_path / SIGNAL).exists()


def test_that_of_another_experiment_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
    with live_signal() as tell:
        tell(0)
        (tmp_path / SIGNAL).write_text('{"pid": 1, "step": 5}')
    assert json.loads((tmp_path / SIGNAL).read_text()) == {"pid": 1, "step": 5}


def test_a_place_that_cannot_be_written_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".dvc").write_text("no folder")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("DVC_EXP_BASELINE_REV", "0" * 40)
    with live_signal() as tell:
        tell(0)


def test_an_experiment_that_is_interrupted_takes_its_signal_away(finished_project: Project, tmp_path: Path) -> None:
    project = finished_project.copy(tmp_path / "project")
    project.set_params({"train.epochs": 10_000, "train.engine": "torch"})
    training = subprocess.Popen(
        ["dvc", "exp", "run", "--quiet", "train"],
        cwd=project.root,
        env=clean_environment(PYTHONWARNINGS="ignore"),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        deadline = time.monotonic() + SOONER_OR_LATER
        while not (project.root / SIGNAL).exists():
            assert training.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(training.pid, signal.SIGINT)  # as a terminal does
        training.wait(SOONER_OR_LATER)
    finally:
        if training.poll() is None:
            os.killpg(training.pid, signal.SIGKILL)
            training.wait()
    assert not (project.root / SIGNAL).exists()
