"""How a stage ends: as a shell sees it."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, Project, clean_environment

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


SMALL_STAGE = """
from workbench.stage.run import run_stage
from workbench import where

def main():
    return f"own: {where.NAME}"

run_stage(main)
"""


@pytest.fixture
def copies(tmp_path: Path) -> dict[str, Path]:
    """Two copies of a small project whose package says which one it is."""
    found = {}
    for name in ("ours", "other copy"):
        stages = tmp_path / name / "stages"
        shutil.copytree(ROOT / "stages/workbench", stages / "workbench", ignore=shutil.ignore_patterns("__pycache__"))
        (stages / "workbench/where.py").write_text(f"NAME = {name!r}\n")
        (stages / "small.py").write_text(SMALL_STAGE)
        found[name] = tmp_path / name
    return found


@pytest.mark.parametrize("other_first", ["PYTHONPATH", "PYTHONSAFEPATH", "-P", "-I"])
def test_a_stage_runs_with_the_package_beside_it_or_not_at_all(other_first: str, copies: dict[str, Path]) -> None:
    """`-I` leaves PYTHONPATH out too: what is found then is the editable install."""
    option = [other_first] if other_first.startswith("-") else []
    environment = {"PYTHONPATH": str(copies["other copy"] / "stages"), other_first.lstrip("-"): "1"}
    if other_first == "PYTHONPATH":
        environment = {"PYTHONPATH": str(copies["other copy"] / "stages")}
    done = subprocess.run(
        [sys.executable, *option, "stages/small.py"],
        cwd=copies["ours"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if other_first == "PYTHONPATH":
        assert (done.returncode, done.stdout[:9]) == (0, "own: ours")
        return
    assert done.returncode == 1
    if other_first == "-I":
        assert "own" not in done.stdout
        return
    assert (done.stdout, done.stderr) == (
        "",
        f"stages/small.py: would run with the code of {copies['other copy']}/stages/workbench; allowed: its own, "
        f"{copies['ours']}/stages/workbench; start it without PYTHONSAFEPATH, -P and -I\n",
    )


def test_a_python_without_the_packages_is_told_how_they_come(tmp_path: Path) -> None:
    done = run(tmp_path, "import no_such_package")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"{sys.executable}: No module named 'no_such_package'; activate the environment that `make repro` makes, "
        "source .venv/bin/activate, and start the stage again\n"
    )


def test_a_module_of_ours_that_is_missing_keeps_its_traceback(tmp_path: Path) -> None:
    assert "Traceback" in run(tmp_path, "import attention.no_such_module").stderr


SHOW = r"""
import os, sys, warnings
from workbench.stage.run import run_stage

def main():
    warnings.warn("no error", DeprecationWarning)
    print("\u03c3 \u2026", sorted(name for name in os.environ if name.startswith("MPL")))
    print("\u03c3", file=sys.stderr)
    return "done"

run_stage(main)
"""


@pytest.mark.parametrize("closed", ["", "<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_neither_locale_nor_closed_streams_nor_others_settings_end_a_stage(closed: str, tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text(SHOW)
    environment = {"PYTHONPATH": str(ROOT / "stages"), "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    others = {"MPLBACKEND": "module://none", "PYTHONWARNINGS": "error"}
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" show.py {closed}', sys.executable],
        cwd=tmp_path,
        env=environment | others,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    if ">&-" not in closed.split():
        assert done.stdout.startswith("\\u03c3 \\u2026 []\ndone (")
    if "2>&-" not in closed:
        assert done.stderr.endswith("\\u03c3\n")


def test_an_interrupt_at_any_moment_of_the_first_half_second_is_one_line(finished_project: Project) -> None:
    """Until its first import has ended it is Python's own start that is interrupted, of which no script can tell."""
    script = finished_project.root / "stages/plot.py"
    waits = [
        "import os, signal, sys, threading, time",
        "import workbench.stage.run",
        "threading.Timer(float(sys.argv[2]), os.kill, (os.getpid(), signal.SIGINT)).start()",
        "import runpy",
        "sys.path[0] = 'stages'",
        "runpy.run_path(sys.argv[1], run_name='__main__')",
    ]
    for moment in (0.0, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5):
        done = subprocess.run(
            [sys.executable, "-c", "; ".join(waits), str(script), str(moment)],
            cwd=finished_project.root,
            env=clean_environment(PYTHONPATH="stages", PYTHONWARNINGS="ignore"),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode in {130, -signal.SIGINT}
        assert done.stderr == "interrupted; the same command starts the stage again\n", moment
