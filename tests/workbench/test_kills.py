"""kill -9 at random moments of every stage: no output lost, changed or seen half-written, no run left RUNNING.

`benchmarks/trust.py` does the same many more times, and under `dvc repro`.
"""

import signal

import pytest
from conftest import Project
from killing import STAGES, ordeal, prepare

Prepared = tuple[Project, dict[str, bytes]]
SAID = "interrupted; the same command starts the stage again"


@pytest.fixture(scope="module")
def prepared(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return prepare(finished_project, tmp_path_factory.mktemp("kills") / "project")


@pytest.mark.parametrize("stage", STAGES)
def test_after_kill_9_the_same_stage_leaves_what_it_would_have_left(stage: str, prepared: Prepared) -> None:
    killings, wrong = ordeal(prepared[0], stage, prepared[1], signal.SIGKILL, times=1, seed=1)
    assert wrong == []
    assert {killing.status for killing in killings} <= {-signal.SIGKILL, 0}


def test_an_interrupted_stage_says_so_and_leaves_what_it_would_have_left(prepared: Prepared) -> None:
    (killing,), wrong = ordeal(prepared[0], "plot", prepared[1], signal.SIGTERM, times=1, seed=1)
    assert wrong == []
    assert (killing.status, killing.said.strip()) in ((130, SAID), (-signal.SIGINT, SAID)) or killing.status == 0
