"""Whatever is wrong with an input: one line that says so, status 1, and everything else as it was."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from bad_inputs import do_harm, outputs, report, verdict, wrong_inputs
from conftest import ROOT, Project

WRONG = wrong_inputs()
IN_PROCESSES = list(WRONG)[::29]  # the others in one process, which says the same sooner


@pytest.fixture(scope="module")
def results(finished_project: Project) -> dict[str, Any]:
    script = str(ROOT / "tests/support/bad_inputs.py")
    environment = {"PYTHONPATH": str(finished_project.root / "stages"), "PYTHONWARNINGS": "ignore"}
    done = finished_project.run("python", script, str(finished_project.root), **environment)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_there_are_at_least_a_hundred_kinds_of_them() -> None:
    assert len(WRONG) >= 100


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_input_is_told_in_one_line(name: str, results: dict[str, Any]) -> None:
    assert verdict(results[name]) == "", results[name]["said"][:2000]


@pytest.mark.parametrize("name", IN_PROCESSES)
def test_a_stage_says_so_as_a_process_of_its_own(name: str, finished_project: Project, tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    do_harm(WRONG[name], finished_project.root, project.root)
    before = outputs(project.root)
    uri = f"sqlite:///{tmp_path}/store.db"
    done = project.attempt("python", f"stages/{WRONG[name].stage}.py", MLFLOW_TRACKING_URI=uri, PYTHONWARNINGS="ignore")
    assert done.stdout == ""
    assert verdict(report(done.returncode, done.stderr, changed=outputs(project.root) != before)) == "", done.stderr
    shutil.rmtree(project.root)
