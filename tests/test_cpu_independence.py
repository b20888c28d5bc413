"""The same bytes on any CPU: the whole pipeline, for every function that has a kernel, as an old machine would run it.

`benchmarks/trust.py` tries every setting alone; here all of them at once stand against this machine as it is.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from cpu_settings import differences, run_pipelines, settings, small_configurations

OLD, NEW = "all of it: an old CPU", "as it is"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    def run(name: str) -> Any:
        return run_pipelines(folders[name], small_configurations(), settings()[name].environment)

    folders: dict[str, Path] = {name: tmp_path_factory.mktemp("cpu") for name in (OLD, NEW)}
    with ThreadPoolExecutor() as both:
        return dict(zip(folders, both.map(run, folders), strict=True))


def test_every_output_has_the_same_bytes_on_an_old_cpu_and_on_this_one(runs: dict[str, Any]) -> None:
    (old, _), (new, _) = runs[OLD], runs[NEW]
    assert set(old) == set(new) == set(small_configurations())
    three, four, pictures, an_epoch = 2 * 3, 4, 5, 2  # data and training; evaluation; plot; its epochs
    assert max(map(len, new.values())) == three + four + pictures + an_epoch
    assert differences(old, new) == []


@pytest.mark.parametrize(
    "library", ["instructions of torch", "instructions of NumPy", "processor of Numba", "sines by the C library"]
)
def test_the_settings_took_effect(runs: dict[str, Any], library: str) -> None:
    (_, old), (_, new) = runs[OLD], runs[NEW]
    if old["architecture"] != "x86_64" or "X86_V3" not in new["instructions of NumPy"]:
        pytest.skip("this CPU has no newer instructions to switch off")
    assert old[library] != new[library]
