"""The pages: what is generated of them is current, nothing is left out, and they build as a site without a warning."""

import os
import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment

import measured
import reference
from attention.functions import OPTIONS
from attention.params.schema import Params, disagreements
from attention.tasks import TASKS
from build import PAGES, TABLE, with_tables
from learn import PAGE as LEARN
from learn import exercises
from workbench.stage.params import check_tree, known_keys, parse_value, read_tree


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_generated_of_a_page_is_current(page: Path) -> None:
    text = page.read_text()
    assert text.count("<!-- end -->") == len(TABLE.findall(text)), "a name that nothing has"
    assert with_tables(text) == text, "`make docs` puts it there"


def test_a_page_that_is_not_current_would_be_seen() -> None:
    text = (ROOT / "docs/house.md").read_text()
    assert with_tables(text.replace('["plot"]', '["draw"]')) == text != text.replace('["plot"]', '["draw"]')


def test_sentences_of_the_comparison_have_every_number_that_was_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """And no other: with other counts they say others."""
    counted = measured._counted()
    says = measured.varies() + measured.reasons()
    assert [what for what, number in counted.items() if number not in says] == []
    monkeypatch.setattr(measured, "_counted", lambda: dict.fromkeys(counted, "17 of 19"))
    numbers = re.findall(r"\d[\d,.]* of \d+", measured.reasons())
    assert {*numbers} == {"17 of 19"}
    assert "17 of 19-fold" in measured.varies()


def test_every_parameter_and_every_output_is_described() -> None:
    sizes = {f"data.{name}" for task in TASKS.values() for name in task.sizes}
    keys = {*known_keys(Params)}
    assert keys - reference.PARAMETERS.keys() <= sizes | {f"model.{name}" for name in OPTIONS}
    written = [name for stage in reference.STAGES.values() for name in reference.written(stage)]
    assert {*written} == reference.OUTPUTS.keys()
    assert all(f"| `{name}` |" in reference.files() for name in written)
    assert all(f"| `{key}` |" in reference.parameters() for key in keys)


def build_site(config: Path, to: Path) -> subprocess.CompletedProcess[str]:
    """Build a site so that a warning is an error."""
    return subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--config-file", str(config), "--site-dir", str(to)],
        env=clean_environment(NO_MKDOCS_2_WARNING="1", PYTHONWARNINGS="ignore"),
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_site_builds_without_a_warning_and_asks_nobody_for_fonts(tmp_path: Path) -> None:
    done = build_site(ROOT / "mkdocs.yml", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    pages = {page.relative_to(tmp_path).as_posix() for page in tmp_path.rglob("*.html")}
    assert {f"{page.stem}.html" for page in PAGES if page.parent.name == "docs"} <= pages
    text = "".join(page.read_text() for page in tmp_path.rglob("*.html"))
    assert "fonts.googleapis.com" not in text
    assert 'id="attention.network.AttentionNetwork"' in text


def test_a_dead_link_or_anchor_stops_the_site(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/index.md").write_text("# A page\n\n[dead](nowhere.md) and [dead](#nowhere)\n")
    (tmp_path / "mkdocs.yml").write_text(
        f"INHERIT: {os.path.relpath(ROOT / 'mkdocs.yml', tmp_path)}\ndocs_dir: docs\nnav: [index.md]\n"
    )
    done = build_site(tmp_path / "mkdocs.yml", tmp_path / "site")
    assert done.returncode == 1
    assert done.stderr.count("WARNING") == 2


def test_every_exercise_has_a_command_that_can_run_and_the_picture_that_answers() -> None:
    found = exercises(LEARN.read_text())
    assert len(found) == 6
    for name, (command, picture) in found.items():
        assert (ROOT / f"docs/learn/{name}-{picture}.png").exists(), "`python docs/learn.py` draws it"
        assert command[:3] == ["dvc", "exp", "run"]
        assert command[-1] == "plot"
        tree = read_tree(Params, ROOT / "params.yaml")
        for change in (change for flag, change in pairwise(command) if flag == "-S"):
            key, _, value = change.partition("=")
            section, _, leaf = key.partition(".")
            assert leaf in tree[section]
            tree[section][leaf] = parse_value(value)
        assert list(disagreements(check_tree(Params, tree, name))) == []
