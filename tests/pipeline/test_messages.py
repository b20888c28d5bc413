"""What a stage prints: one summary, and of a training its epochs; nothing of the libraries, no colours in a pipe."""

import re
from dataclasses import replace

import pytest
from conftest import Project

from workbench.progress import MOST_LINES, Progress


@pytest.fixture(scope="module")
def said(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What each stage says where there is no MLflow store yet, with every warning switched on."""
    project = replace(finished_project.copy(tmp_path_factory.mktemp("messages") / "project"), warm=False)
    found = {}
    for stage in ("generate", "train", "evaluate", "plot"):
        done = project.run("python", f"stages/{stage}.py", PYTHONWARNINGS="default")
        assert done.stderr == ""
        found[stage] = done.stdout
    return found


@pytest.mark.parametrize(
    ("stage", "summary"),
    [
        (
            "generate",
            r"generate: lookup, seed 0 -> 211 training and 53 test sequences of 7, 3 contexts "
            r"-> data/generate/ \(\S+ s\)",
        ),
        (
            "train",
            r"train: 211 sequences of lookup -> embedding, 2 epochs, MSE \S+ -> data/train/, "
            r"run 'embedding, .+' in MLflow \(\S+ s\)",
        ),
        (
            "evaluate",
            r"evaluate: embedding on 53 test sequences of lookup -> MSE \S+, "
            r"effective recovery 0\.\d{4} -> data/evaluate/, "
            r"run 'embedding, .+' in MLflow \(\S+ s\)",
        ),
        (
            "plot",
            r"plot: embedding, 2 epochs -> attention\.png, report\.html and their companions -> data/plot/, "
            r"run 'embedding, .+' in MLflow \(\S+ s\)",
        ),
    ],
)
def test_a_stage_says_what_it_read_what_it_made_where_it_is_and_how_long_it_took(
    stage: str, summary: str, said: dict[str, str]
) -> None:
    # Where the machine is busy, a line every ten seconds says that it is at work.
    *before, last = (
        line for line in said[stage].splitlines() if not line.startswith(("train: starting", "train: epoch"))
    )
    assert re.fullmatch(summary, last)
    assert [re.sub(r"= \S+$", "=", line) for line in before] == (
        ["epoch 0: MSE =", "epoch 1: MSE ="] if stage == "train" else []
    )


@pytest.mark.parametrize(
    ("epochs", "told"),
    [
        (4, [0, 1, 2, 3]),
        (MOST_LINES, list(range(MOST_LINES))),
        (MOST_LINES + 1, list(range(0, MOST_LINES + 1, 2))),
        (10_000, [*range(0, 10_000, 250), 9_999]),
    ],
)
def test_of_many_epochs_some_are_told_and_the_last(
    epochs: int, told: list[int], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Progress(epochs, 1)
    for epoch in range(epochs):
        shown.epoch(epoch, "MSE", 0.5)
    assert capsys.readouterr().out.splitlines() == [f"epoch {epoch}: MSE = 0.5" for epoch in told]
