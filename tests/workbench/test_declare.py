"""`declare` on a small project: what the stages use is shown, and written to dvc.yaml; its data stay as they are."""

import importlib
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, clean_environment

from workbench.command.declare import declare, read_stages
from workbench.command.edit import edit_pipeline
from workbench.command.use import DeclareError, describe_pipeline

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watching files needs Linux (inotify)")

FILES = {
    "dvc.yaml": """\
# Two stages.
stages:
  first:  # draws
    cmd: python stages/first.py
    deps:
      - stages/first.py  # the script
      - stages/gone.py

    # What it reads.
    params:
      - first.size
      - second.factor
    outs:
      - data/first.txt

  # The other one.
  second:
    cmd: python stages/second.py 3
    deps:
      - stages/second.py
      - stages/toy/one.py
      - stages/toy/two.py
    outs:
      - data/second.txt
      - data/never.txt:
          cache: false

plots:
  - data/second.txt: {x: "a", y: 'b'}
""",
    "params.yaml": "first:\n  size: 2  # of it\nsecond:\n  factor: 3\n  deep: false\nelsewhere:\n  name: x\n",
    "requirements.lock": "pydantic==2\n",
    "stages/toy/__init__.py": "",
    "stages/toy/one.py": "",
    "stages/toy/two.py": "",
    "stages/toy/NOTES.md": "no code",
    "stages/toy_params.py": """\
from pydantic import BaseModel
from ruamel.yaml import YAML
from pathlib import Path
class First(BaseModel):
    size: int
class Second(BaseModel):
    factor: int
    deep: bool
class Elsewhere(BaseModel):
    name: str
class Toy(BaseModel):
    first: First
    second: Second
    elsewhere: Elsewhere
def load():
    toy = Toy.model_validate(YAML(typ="safe").load(Path("params.yaml")))
    assert toy.second.factor < 9
    return toy
""",
    "stages/first.py": """\
from pathlib import Path
from toy_params import load
from toy import one
toy = load()
Path("data").mkdir(exist_ok=True)
Path("data/first.txt").write_text(toy.elsewhere.name * toy.first.size)
""",
    "stages/second.py": """\
import sys
from pathlib import Path
from toy_params import load
from toy import one
toy = load()
if toy.second.deep:
    from toy import two
text = Path("data/first.txt").read_text() * toy.second.factor * int(sys.argv[1])
Path("data/second.txt").write_text(text)
Path("data/parts").mkdir(exist_ok=True)
Path("data/parts/a.txt").write_text(text)
""",
}
DIFFERENCE = """\
first: deps
  + requirements.lock
  + stages/toy/__init__.py
  + stages/toy/one.py
  + stages/toy_params.py
  - stages/gone.py
first: params
  - second.factor
second: deps
  + data/first.txt
  + requirements.lock
  + stages/toy
  + stages/toy_params.py
  - stages/toy/one.py
  - stages/toy/two.py
second: params
  + second.deep
  + second.factor
second: outs
  + data/parts/a.txt
  - data/never.txt
"""
WRITTEN = """\
# Two stages.
stages:
  first:  # draws
    cmd: python stages/first.py
    deps:
      - requirements.lock
      - stages/first.py  # the script
      - stages/toy/__init__.py
      - stages/toy/one.py
      - stages/toy_params.py

    # What it reads.
    params:
      - first.size
    outs:
      - data/first.txt

  # The other one.
  second:
    cmd: python stages/second.py 3
    deps:
      - data/first.txt
      - requirements.lock
      - stages/second.py
      - stages/toy
      - stages/toy_params.py
    outs:
      - data/parts/a.txt
      - data/second.txt
    params:
      - second.deep
      - second.factor

plots:
  - data/second.txt: {x: "a", y: 'b'}
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with git and DVC in which nothing has run."""
    root = tmp_path / "project"
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    (root / ".dvcignore").write_text((ROOT / ".dvcignore").read_text())
    (root / ".dvc").mkdir()
    subprocess.run(["git", "init", "--quiet"], cwd=root, env=clean_environment(), check=True)
    return root


@pytest.fixture
def run(project: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return what declares that project."""
    monkeypatch.syspath_prepend(project / "stages")
    monkeypatch.delitem(sys.modules, "toy_params", raising=False)
    how: dict[str, Any] = {
        "schema": importlib.import_module("toy_params").Toy,
        "loading": ("toy_params",),
        "exempt": ("elsewhere",),
        "variants": [{"second.deep": True}],
    }
    return lambda **more: declare(project, **how, **more)


def test_the_difference_is_shown_and_written(
    project: Path, run: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run() == 1
    last = "dvc.yaml: 2 of 2 stages differ from what they use; --write writes it so\n"
    assert capsys.readouterr().out == DIFFERENCE + last
    assert (project / "dvc.yaml").read_text() == FILES["dvc.yaml"]
    assert not (project / "data").exists(), "the stages run in a copy"
    assert (project / "params.yaml").read_text() == FILES["params.yaml"]

    assert run(write=True) == 0
    assert capsys.readouterr().out == DIFFERENCE + "dvc.yaml: 2 of 2 stages changed\n"
    assert (project / "dvc.yaml").read_text() == WRITTEN

    assert run() == 0
    assert capsys.readouterr().out == "dvc.yaml: its 2 stages declare what they use\n"


@pytest.mark.parametrize("text", [FILES["dvc.yaml"], WRITTEN, (ROOT / "dvc.yaml").read_text()])
def test_what_is_not_changed_keeps_its_bytes(text: str, tmp_path: Path) -> None:
    file = tmp_path / "dvc.yaml"
    file.write_text(text)
    stages = read_stages(tmp_path)
    edit_pipeline(file, {name: {"deps": ([], []), "params": ([], []), "outs": ([], [])} for name in stages})
    assert file.read_text() == text
    for there in ("data/a", "stages/zz", "zz"):
        edit_pipeline(file, {name: {"deps": ([there], [])} for name in stages})
        edit_pipeline(file, {name: {"deps": ([], [there])} for name in stages})
        assert file.read_text() == text


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            "python stages/first.py",
            "bash first.sh",
            "dvc.yaml: first: cmd: got 'bash first.sh'; allowed: python SCRIPT.py [ARGUMENT …]",
        ),
        (
            "cmd: python stages/first.py",
            "cmd: python first.py\n    wdir: stages",
            "dvc.yaml: first: wdir: got 'stages'; allowed: none, the project's folder",
        ),
        (
            "python stages/second.py 3",
            "python stages/second.py x",
            "second: the stage failed, so that what it uses is not known: "
            "ValueError: invalid literal for int() with base 10: 'x'",
        ),
        ("stages:", "steps:", "dvc.yaml: no stages can be read from it; `dvc status` tells what is wrong"),
        ("stages:", "stages: [", "dvc.yaml: no stages can be read from it; `dvc status` tells what is wrong"),
        (
            "      - first.size\n      - second.factor\n",
            "",
            "dvc.yaml: no stages can be read from it; `dvc status` tells what is wrong",
        ),
    ],
)
def test_a_pipeline_that_cannot_be_watched_is_refused(
    old: str, new: str, told: str, project: Path, run: Callable[..., int]
) -> None:
    text = FILES["dvc.yaml"].replace(old, new, 1)
    (project / "dvc.yaml").write_text(text)
    with pytest.raises(DeclareError) as refusal:
        run(write=True)
    assert str(refusal.value) == told
    assert (project / "dvc.yaml").read_text() == text


def test_a_folder_without_dvc_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DeclareError, match=rf"^{tmp_path}: `dvc check-ignore` failed: .*; is this a DVC project\?$"):
        describe_pipeline(tmp_path, {}, [])


def test_another_platform_is_refused(run: Callable[..., int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(DeclareError, match=r"^declare: got platform darwin; allowed: linux, whose kernel tells which "):
        run()
