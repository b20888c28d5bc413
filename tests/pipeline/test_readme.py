"""Every command of the README and its pages, run in a clone; and what they say, held against the project."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import time
import urllib.request
from importlib import import_module
from pathlib import Path

import pytest
from conftest import ROOT, Project, clean_environment, warm_commands

from attention.functions import ATTENTION_FUNCTIONS, FAMILIES
from build import COPIES
from workbench.command.dvc_lock import locked_outputs
from workbench.stage.outputs import md5

README = (ROOT / "README.md").read_text()
PAGES = {path.name: path.read_text() for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))}
FUNCTIONS = {name for family in FAMILIES for name in import_module(f"attention.functions.{family}").FUNCTIONS}
COMMANDS = [
    line
    for page in PAGES.values()
    for block in re.findall(r"```sh\n(.*?)```", page, re.S)
    for line in block.splitlines()
]

# The small project has sizes of its own for lookup, which another task refuses.
NO_SIZES = "-S data.n_contexts=null -S data.true_attention=null"


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, finished_project: Project) -> Project:
    """A clone of the small project after its results were committed, whose .venv is the warm Python."""
    folder = tmp_path_factory.mktemp("readme") / "clone"
    finished_project.run("git", "clone", "--quiet", str(finished_project.root), str(folder))
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(warm_commands())
    for lock in folder.glob("requirements*.lock"):
        os.utime(lock, (0, 0))  # else make would install it, for minutes
    (folder / ".venv/.installed").touch()
    return Project(folder)


def test_the_readme_has_the_commands_that_a_newcomer_needs() -> None:
    assert COMMANDS[0] == "make repro"
    assert len(COMMANDS) > 16


def test_what_the_pages_point_to_is_there() -> None:
    for name, page in PAGES.items():
        folder = (ROOT / name).parent if name == "README.md" else ROOT / "docs"
        for place in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page):
            assert (folder / place).exists(), f"{name}: {place}"
        for anchor in re.findall(r"\]\(#([^)]+)\)", page):
            headings = [re.sub(r"[^a-z0-9 -]", "", line.lower()) for line in re.findall(r"^#+ (.*)$", page, re.M)]
            assert anchor in [heading.replace(" ", "-") for heading in headings], f"{name}: #{anchor}"


def test_every_command_of_the_readme_works_in_its_order(clone: Project) -> None:
    for command in COMMANDS:
        if command == "make ui":
            show(clone)
        elif command == "dvc queue status":
            wait_for_queue(clone)
        else:
            clone.run("bash", "-c", re.sub(r"(-S data\.task=\w+)", rf"\1 {NO_SIZES}", command))
    assert clone.run("git", "status", "--porcelain").stdout == ""


def wait_for_queue(clone: Project) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        status = clone.run("dvc", "queue", "status").stdout
        if "Queued" not in status and "Running" not in status:
            assert status.count("Success") == 2, status
            return
        time.sleep(1)
    raise AssertionError(f"the queue did not end: {status}")


def show(clone: Project) -> None:
    """Start `make ui`, wait for its page, and end it as Ctrl-C would."""
    process = subprocess.Popen(
        ["make", "ui"],
        cwd=clone.root,
        env=clean_environment(MLFLOW_WORKERS="1"),
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    try:
        assert any(answers("http://127.0.0.1:5000/health") for _ in range(120)), process.stderr
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=30)


def answers(address: str) -> bool:
    time.sleep(0.5)
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def test_the_readme_is_read_in_one_sitting() -> None:
    assert len(README.splitlines()) <= 150
    assert len(README.split()) <= 1600


def test_the_comparison_names_every_function() -> None:
    measured = (ROOT / "benchmarks/results/functions.md").read_text()
    assert all(f"\n| {name} | " in measured for name in ATTENTION_FUNCTIONS)


def test_a_function_of_one_s_own_is_one_block_in_one_file(project: Project) -> None:
    (block,) = re.findall(r"```python\n(.*?)```", README, re.S)
    (project.root / "stages/attention/functions/power.py").write_text(block)
    project.set_params({"model.attention": "power", "model.exponent": 4.0})
    project.run("dvc", "repro", "--quiet")
    assert project.run("git", "status", "--porcelain", "stages", "dvc.yaml").stdout.split() == [
        "??",
        "stages/attention/functions/power.py",
    ]
    with sqlite3.connect(project.root / "mlflow.db") as store:
        own = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'attention.key')"  # and not of the study
        params = dict(store.execute(f"SELECT key, value FROM params WHERE {own}"))  # noqa: S608
    assert (params["model.attention"], params["model.exponent"]) == ("power", "4.0")
    metrics = json.loads((project.root / "data/evaluate/metrics.json").read_text())
    assert metrics["mse"] < metrics["baseline"]["mean"]
    assert (project.root / "data/plot/attention.png").exists()


@pytest.mark.parametrize("name", COPIES)
def test_the_results_that_pages_show_are_those_of_the_pipeline(name: str) -> None:
    assert locked_outputs((ROOT / "dvc.lock").read_text())[f"data/{name}"] == md5(ROOT / "docs" / Path(name).name)
