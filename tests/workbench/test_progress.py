"""What long work says while it lasts: every ten seconds in a pipe, at once on a terminal, nothing where it is short."""

import os
import pty
import re
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment

from workbench import progress
from workbench.command.dvc import dvc, last_line
from workbench.progress import count_trainings, doing, ticking


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten seconds take no time, so that every tick tells."""
    monkeypatch.setattr(progress, "EVERY", 0.0)


def wait_for(capsys: pytest.CaptureFixture[str], told: str) -> str:
    """Return all that was said until that was."""
    said = ""
    while told not in said:
        time.sleep(0.01)
        captured = capsys.readouterr()
        said += captured.out + captured.err
    return said


@pytest.mark.usefixtures("impatient")
def test_work_that_does_not_come_back_is_told_of(capsys: pytest.CaptureFixture[str]) -> None:
    with doing("verify") as say:
        wait_for(capsys, "verify: starting\n")
        say("running train")
        wait_for(capsys, "verify: running train\n")
    with progress.progress(epochs=3, steps_per_epoch=1000) as bar:
        wait_for(capsys, "train: starting\n")
        bar.steps(1017)
        said = wait_for(capsys, "train: epoch 1, 17 of 1,000 steps\n")
    with count_trainings(total=1_300, reused=2) as count:
        count.training()
        said = wait_for(capsys, "study: 3 of 1,300 trainings\n")
    assert "\r" not in said


def test_what_is_short_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with doing("verify") as say, progress.progress(2, 5) as bar, count_trainings(2, 0) as count:
        say("running train")
        bar.steps(5)
        count.training()
        bar.tick()
        count.tick()
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "")


def test_no_thread_is_left_whatever_happens() -> None:
    before = threading.active_count()
    with pytest.raises(ZeroDivisionError), ticking(lambda: None):
        raise ZeroDivisionError
    assert threading.active_count() == before


def test_on_a_terminal_it_is_shown_at_once_with_the_time_and_goes() -> None:
    code = (
        "import time; from workbench.progress import doing\n"
        "with doing('verify') as say:\n    say('running train'); time.sleep(1.5)\nprint('done')\n"
    )
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    environment = clean_environment(PYTHONPATH=str(ROOT / "stages"))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    said = b""
    try:
        while part := os.read(ours, 1000):
            said += part
    except OSError:  # the terminal ends with its last process
        pass
    assert process.wait() == 0
    shown = [line.strip() for line in said.decode().replace("\r\n", "\n").split("\r")]
    assert any(re.fullmatch(r"verify: running train \(00:0\d\)", line) for line in shown), shown
    assert shown[-2:] == ["", "done"], "the line is wiped"


def test_dvc_is_heard_as_it_goes_and_a_stage_s_own_last_word_counts(tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").write_text(
        f"stages:\n  good:\n    cmd: {sys.executable} -c 'print(7)'\n"
        f"  bad:\n    cmd: {sys.executable} -c 'raise SystemExit(\"no more\")'\n"
    )
    for command in (["git", "init", "--quiet"], ["dvc", "init", "--quiet"]):
        subprocess.run(command, cwd=tmp_path, check=True, env=clean_environment())
    heard: list[str] = []
    done = dvc(tmp_path, "repro", environment=clean_environment(), hear=heard.append)
    assert done.returncode != 0
    assert [line for line in heard if line.startswith("Running")] == ["Running stage 'good':", "Running stage 'bad':"]
    assert "7" in heard
    assert done.stdout == "".join(f"{line}\n" for line in heard)
    assert last_line(done) == "no more"
