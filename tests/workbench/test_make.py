"""`make` in folders with names of every kind, and on machines for which nothing is made."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, clean_environment

STAGE = """
from pathlib import Path
Path("made.txt").write_text("made")
"""
DVC_YAML = """
stages:
  small:
    cmd: python small.py
    outs: [made.txt]
"""


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environ = clean_environment(**environment)
    return subprocess.run(
        ["make", "--no-print-directory", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("name", ["with a space", "a $HOME $(x) `y` #z", 'it\'s "so"', "Übung σ", "-x %20 \\ ;&"])
def test_repro_works_in_a_folder_of_any_name(name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    folder.mkdir()
    shutil.copy(ROOT / "Makefile", folder)
    (folder / ".venv").symlink_to(Path(sys.executable).parents[1])
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (folder / lock).touch()
        os.utime(folder / lock, (0, 0))  # else make would install it, for minutes
    (folder / "small.py").write_text(STAGE)
    (folder / "dvc.yaml").write_text(DVC_YAML)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    (folder / "random.py").write_text("raise SystemExit('a file beside it ran')")
    (folder / ".dvc").mkdir()
    done = make(folder, "repro")
    assert done.returncode == 0, done.stderr
    assert (folder / "made.txt").read_text() == "made"


@pytest.mark.parametrize(
    ("patched", "said"),
    [
        (
            "import platform; platform.system, platform.machine = lambda: 'Darwin', lambda: 'x86_64'",
            "make: torch 2.13 and llvmlite 0.50 are not made for Macs with Intel processors, nor for a Python that is; "
            "on another Mac name one for arm64: make PYTHON=/opt/homebrew/bin/python3",
        ),
        (
            "import sys; sys.version_info = (3, 10, 0)",
            f"make: Python 3.11 to 3.13 is needed, got {sys.version.split()[0]}; name another one: "
            "make PYTHON=python3.12",
        ),
    ],
)
def test_a_machine_for_which_nothing_is_made_is_told_before_anything_is_installed(
    patched: str, said: str, tmp_path: Path
) -> None:
    (tmp_path / "python").mkdir()
    (tmp_path / "python/sitecustomize.py").write_text(patched)
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.lock").touch()
    (tmp_path / "requirements-dev.lock").touch()
    done = make(tmp_path, "repro", f"PYTHON={sys.executable}", PYTHONPATH=str(tmp_path / "python"))
    assert done.returncode == 2
    assert (done.stdout, done.stderr.splitlines()[0]) == ("", said)
    assert not (tmp_path / ".venv").exists()
