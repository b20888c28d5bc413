"""A stage is a pure function of what dvc.yaml declares: it opens and reads exactly that, and writes the same bytes."""

import copy
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest
from conftest import ROOT, Project
from ruamel.yaml import YAML

from attention.params.schema import TrainParams, known_keys

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watching files needs Linux (inotify)")

STAGES: dict[str, dict[str, Any]] = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
ENGINES: tuple[str, ...] = get_args(TrainParams.model_fields["engine"].annotation)
OTHERWISE = {  # nothing of it may reach an output
    "PYTHONHASHSEED": "1",
    "OMP_NUM_THREADS": "2",
    "ATEN_CPU_CAPABILITY": "default",
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
}
NO_KERNELS = """
import dataclasses
ATTENTION_FUNCTIONS = {n: dataclasses.replace(f, has_kernel=False) for n, f in ATTENTION_FUNCTIONS.items()}
"""
EXEMPT = ("tracking.", "compute.")  # by contract no stage depends on them


@dataclass(frozen=True)
class Use:
    """What a stage was seen to do."""

    opened: frozenset[str]
    written: frozenset[str]
    read: frozenset[str]

    def __or__(self, other: "Use") -> "Use":
        return Use(self.opened | other.opened, self.written | other.written, self.read | other.read)


def variants(declared: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the engine and the code to add, so that all modules are used that a stage may use; the plain one last."""
    if "train.engine" in declared.get("params", []):
        yield from ((engine, "") for engine in ENGINES if engine != "auto")
    elif "stages/attention/training/engines.py" in declared["deps"]:
        yield "auto", NO_KERNELS
    yield "auto", ""


def watch(project: Project, script: str, folder: Path) -> Use:
    """Run a stage with a store that does not exist yet and with its report in a new folder."""
    folder.mkdir()
    report = folder / "report.json"
    project.run(
        *("python", str(ROOT / "tests/watch.py"), str(report), script),
        PYTHONDONTWRITEBYTECODE="1",  # and the copies have none: every module's source is opened
        MLFLOW_TRACKING_URI=f"sqlite:///{folder}/mlflow.db",
        **OTHERWISE,
    )
    return Use(**{name: frozenset(values) for name, values in json.loads(report.read_text()).items()})


def names(entries: Iterable[str | Mapping[str, Any]]) -> set[str]:
    """Return the file names of a list in dvc.yaml, whose entries may carry options."""
    return {entry if isinstance(entry, str) else next(iter(entry)) for entry in entries}


def disagreements(declared: Mapping[str, Any], use: Use) -> list[str]:
    """Compare a stage of dvc.yaml with what was seen; one line each."""
    deps, params = names(declared["deps"]), names(declared.get("params", []))
    outs = set[str]().union(*(names(declared.get(kind, [])) for kind in ("outs", "metrics", "plots")))
    read = {key for key in use.read if not key.startswith(EXEMPT)}
    owner = {file: next((out for out in outs if f"{file}/".startswith(f"{out}/")), "") for file in use.written}
    return sorted(
        [f"opens {file}, which is not declared" for file in use.opened - deps]
        + [f"declares {file}, but does not open it" for file in deps - use.opened]
        + [f"reads {key}, which is not declared" for key in read - params]
        + [f"declares {key}, but does not read it" for key in params - read]
        + [f"writes {file}, which is not declared" for file, out in owner.items() if not out]
        + [f"declares {out}, but does not write it" for out in outs - set(owner.values())]
    )


@pytest.fixture(scope="module")
def exported(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished project without git, so that no git process opens files of its own accord."""
    return finished_project.copy(tmp_path_factory.mktemp("declarations") / "exported", ".git", ".dvc", "__pycache__")


@pytest.fixture(scope="module")
def seen(exported: Project) -> dict[str, Use]:
    """What each stage was seen to do, in the order of the pipeline: with each engine, with and without kernels."""
    used: dict[str, Use] = {}
    functions = exported.root / "stages/attention/functions/__init__.py"
    code = functions.read_text()
    for stage, declared in STAGES.items():
        script = declared["cmd"].removeprefix("python ")
        for engine, more_code in variants(declared):
            exported.set_params({"train.engine": engine})
            functions.write_text(code + more_code)
            use = watch(exported, script, exported.root.parent / f"{len(list(exported.root.parent.iterdir()))}")
            used[stage] = used[stage] | use if stage in used else use
    return used


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_uses_exactly_what_dvc_yaml_declares(stage: str, seen: dict[str, Use]) -> None:
    assert disagreements(STAGES[stage], seen[stage]) == []


@pytest.mark.usefixtures("seen")
def test_another_process_in_another_folder_and_environment_writes_the_same_bytes(
    finished_project: Project, exported: Project
) -> None:
    first, second = finished_project.outputs(), exported.outputs()
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.parametrize("stage", STAGES)
def test_every_declared_parameter_is_a_leaf_of_the_schema(stage: str) -> None:
    assert set(STAGES[stage].get("params", [])) <= set(known_keys())


@pytest.mark.parametrize("stage", STAGES)
def test_an_entry_taken_out_of_dvc_yaml_is_reported(stage: str, seen: dict[str, Use]) -> None:
    verbs = {"deps": "opens", "params": "reads", "outs": "writes", "metrics": "writes", "plots": "writes"}
    for kind in verbs.keys() & STAGES[stage].keys():
        for index in range(len(STAGES[stage][kind])):
            declared = copy.deepcopy(STAGES[stage])
            (name,) = names([declared[kind].pop(index)])
            report = set(disagreements(declared, seen[stage])) - set(disagreements(STAGES[stage], seen[stage]))
            assert report
            assert all(line.startswith(f"{verbs[kind]} {name}") for line in report)


def test_an_entry_too_many_in_dvc_yaml_is_reported(seen: dict[str, Use]) -> None:
    declared = copy.deepcopy(STAGES["evaluate"])
    declared["deps"].append("data/train/history.csv")
    declared["params"] = ["train.epochs"]
    declared["outs"].append("data/evaluate/more.csv")
    report = set(disagreements(declared, seen["evaluate"])) - set(disagreements(STAGES["evaluate"], seen["evaluate"]))
    assert report == {
        "declares data/evaluate/more.csv, but does not write it",
        "declares data/train/history.csv, but does not open it",
        "declares train.epochs, but does not read it",
    }


def test_a_stage_that_uses_more_than_it_declares_is_caught(finished_project: Project, tmp_path: Path) -> None:
    project = finished_project.copy(tmp_path / "project", ".git", ".dvc", "__pycache__")
    script = project.root / "stages/generate.py"
    more = """
    Path("data/generate/seen.txt").write_text(Path("dvc.lock").read_text() + str(params.train.model_dump()))
    pq.read_table("data/evaluate/../generate/test.parquet")  # its own output, before it is written
    safe_open("data/train/model.safetensors", framework="numpy")
    from attention.measures import recovery
"""
    text = script.read_text().replace("    params = load_params()\n", f"    params = load_params()\n{more}", 1)
    imports = "from pathlib import Path\nimport pyarrow.parquet as pq\nfrom safetensors import safe_open\n"
    script.write_text(imports + text)
    use = watch(project, "stages/generate.py", tmp_path / "watched")
    assert disagreements(STAGES["generate"], use) == [
        "opens data/generate/seen.txt, which is not declared",
        "opens data/generate/test.parquet, which is not declared",
        "opens data/train/model.safetensors, which is not declared",
        "opens dvc.lock, which is not declared",
        "opens stages/attention/measures/recovery.py, which is not declared",
        "reads train.batch_size, which is not declared",
        "reads train.engine, which is not declared",
        "reads train.epochs, which is not declared",
        "reads train.learning_rate, which is not declared",
        "reads train.shuffle, which is not declared",
        "writes data/generate/seen.txt, which is not declared",
    ]
