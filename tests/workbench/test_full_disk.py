"""Where the disk is full or the checkout is read-only: one line, status 1, and nothing corrupt."""

import json
import sys

import pytest
from conftest import ROOT, Project
from full_disk import namespace


@pytest.fixture(scope="module")
def attempts(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return for each attempt what is wrong with how it ended."""
    apart = namespace()
    if not apart:
        pytest.skip("mounting a small file system is not permitted here")
    folder = tmp_path_factory.mktemp("disk")
    script = str(ROOT / "tests/support/full_disk.py")
    command = [*apart, sys.executable, script, str(finished_project.root), str(folder)]
    done = finished_project.run(*command, PYTHONWARNINGS="ignore")
    told: dict[str, str] = json.loads(done.stdout)
    return told


def test_no_attempt_leaves_anything_wrong(attempts: dict[str, str]) -> None:
    assert {name: wrong for name, wrong in attempts.items() if wrong} == {}


@pytest.mark.parametrize("stage", ["generate", "train", "evaluate", "plot"])
@pytest.mark.parametrize("reason", ["No space left on device", "Read-only file system"])
def test_each_stage_names_the_file_and_the_reason(attempts: dict[str, str], stage: str, reason: str) -> None:
    said = [name for name in attempts if name.startswith(f"{stage}, ") and reason in name]
    assert said
    assert all(f"status 1: data/{stage}/" in line and "cannot be written" in line for line in said)
