"""params.yaml stands as DVC writes it back: an experiment's `-S` changes the lines of its own values alone."""

import difflib
from pathlib import Path

import pytest
from conftest import ROOT
from dvc.utils.hydra import apply_overrides

DEFAULT = (ROOT / "params.yaml").read_text()


def changed(text: str, override: str, folder: Path) -> list[str]:
    path = folder / "params.yaml"
    path.write_text(text)
    apply_overrides(path, [override])
    lines = difflib.unified_diff(text.splitlines(), path.read_text().splitlines(), n=0, lineterm="")
    return [line for line in lines if line[:1] in "+-" and line[:3] not in ("+++", "---")]


@pytest.mark.parametrize(
    ("override", "old", "new"),
    [
        ("train.learning_rate=0.01", "  learning_rate: 0.001", "  learning_rate: 0.01"),
        ("model.attention=softmax", "  attention: embedding", "  attention: softmax"),
        ("seed=3", "seed: 0", "seed: 3"),
        ("model.width=8", "  width:", "  width: 8"),
    ],
)
def test_one_value_is_one_line(override: str, old: str, new: str, tmp_path: Path) -> None:
    assert changed(DEFAULT, override, tmp_path) == [f"-{old}", f"+{new}"]


def test_a_list_keeps_its_comment_and_those_after_it(tmp_path: Path) -> None:
    lines = changed(DEFAULT, "data.true_attention=random", tmp_path)
    assert lines == ["-  true_attention:", *(f"-  - {one}" for one in (2, 7, 3, 5, 1)), "+  true_attention: random"]


def test_another_layout_would_be_seen(tmp_path: Path) -> None:
    other = DEFAULT.replace("  width:\n", "  width: null\n")
    assert len(changed(other, "seed=3", tmp_path)) == 4
