"""The same bytes on any CPU and by any zlib: the whole pipeline, for each function, as on an old machine.

`benchmarks/trust.py` tries every setting alone; here all of them at once stand against this machine as it is.
"""

import hashlib
import importlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from clusters import need
from conftest import ROOT, Project
from cpu_settings import STAGES, differences, run_pipelines, settings, small_configurations
from deflating import DEFAULT, OURS, compress, compressed

from workbench.command.dvc_lock import locked_outputs

OLD, NEW = "all of it: an old CPU", "as it is"
COMMITTED = "params.yaml as it is committed"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    def run(name: str) -> Any:
        wanted = small_configurations() | {COMMITTED: {"params": {}, "stages": [*STAGES, "study"]}}
        return run_pipelines(folders[name], wanted, settings()[name].environment)

    folders: dict[str, Path] = {name: tmp_path_factory.mktemp("cpu") for name in (OLD, NEW)}
    with ThreadPoolExecutor() as both:
        return dict(zip(folders, both.map(run, folders), strict=True))


def test_every_output_has_the_same_bytes_on_an_old_cpu_and_on_this_one(runs: dict[str, Any]) -> None:
    (old, _), (new, _) = runs[OLD], runs[NEW]
    assert set(old) == set(new) == {*small_configurations(), COMMITTED}
    three, five, pictures, an_epoch = 2 * 3, 5, 7, 2  # data and training; evaluation; plot and its report; its epochs
    assert max(len(new[name]) for name in small_configurations()) == three + five + pictures + an_epoch
    assert differences(old, new) == []


@pytest.mark.parametrize(
    "library", ["instructions of torch", "instructions of NumPy", "compiled for", "sines by the C library"]
)
def test_the_settings_took_effect(runs: dict[str, Any], library: str) -> None:
    (_, old), (_, new) = runs[OLD], runs[NEW]
    if old["architecture"] != "x86_64" or "X86_V3" not in new["instructions of NumPy"]:
        pytest.skip("this CPU has no newer instructions to switch off")
    assert old[library] != new[library]


@pytest.mark.parametrize("name", [OLD, NEW])
def test_the_committed_lock_is_what_this_system_makes(name: str, runs: dict[str, Any]) -> None:
    made = runs[name][0][COMMITTED]
    locked = locked_outputs((ROOT / "dvc.lock").read_text())
    for path, digest in locked.items():
        inside = [
            {"md5": of_file, "relpath": file.removeprefix(f"{path}/")}
            for file, of_file in sorted(made.items())
            if file.startswith(f"{path}/")
        ]
        as_dvc = f"{hashlib.md5(json.dumps(inside, sort_keys=True).encode(), usedforsecurity=False).hexdigest()}.dir"
        assert made.get(path, as_dvc if inside else None) == digest, path
    assert {file for file in made if not file.startswith("data/plot/epochs/")} == {*locked} - {"data/plot/epochs"}


def pictures(project: Project) -> list[bytes]:
    return [path.read_bytes() for path in sorted((project.root / "data").rglob("*.png"))]


@pytest.mark.parametrize("name", ["zlib", "zlib_ng.zlib_ng"])
def test_pictures_have_the_same_bytes_whatever_compresses_them(name: str, finished_project: Project) -> None:
    """Systems and Pillow's builds differ in it: the distribution's zlib, zlib-ng."""
    need("zlib_ng", "pip install -r requirements-dev.lock")
    drawn, library = pictures(finished_project), importlib.import_module(name)
    assert len(drawn) > 5
    assert [compress(picture, library, OURS) == compressed(picture) for picture in drawn] == [True] * len(drawn)


def test_by_pillows_own_strategy_they_would_not(finished_project: Project) -> None:
    need("zlib_ng", "pip install -r requirements-dev.lock")
    one, other = (importlib.import_module(name) for name in ("zlib", "zlib_ng.zlib_ng"))
    drawn = pictures(finished_project)
    assert not any(compress(picture, one, DEFAULT) == compress(picture, other, DEFAULT) for picture in drawn)
