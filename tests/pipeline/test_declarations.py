"""A stage is a pure function of what dvc.yaml declares: it opens and reads exactly that, and writes the same bytes."""

import copy
import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT, Project

from attention.params.schema import Params
from workbench.command.declare import read_stages, watch_stages
from workbench.command.use import Pipeline, Use, describe_pipeline, names
from workbench.command.watch import leaf_keys

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="watching files needs Linux (inotify)")

STAGES = read_stages(ROOT)
OTHERWISE = {  # nothing of it may reach an output
    "PYTHONHASHSEED": "1",
    "OMP_NUM_THREADS": "2",
    "ATEN_CPU_CAPABILITY": "default",
    "LC_ALL": "C",
    "TZ": "Asia/Kathmandu",
}
LOADING, EXEMPT = ("attention.params",), ("tracking", "compute")  # by contract no stage depends on the latter
VARIANTS: list[dict[str, Any]] = [  # with the plain one, all modules are opened that a stage may open
    {"train.engine": "torch", "model.attention": "cosine", "train.epochs": 1, "study.seeds": 1, "study.grid": {}}
]
VERBS = {"deps": "opens", "params": "reads", "outs": "writes", "metrics": "writes", "plots": "writes"}
UNUSED = {"deps": "open", "params": "read", "outs": "write"}


def watch(project: Project, stages: Mapping[str, Any], variants: list[dict[str, Any]]) -> dict[str, Use]:
    """Run stages of a copy that has neither git nor bytecode: no process opens files of its own accord."""
    return watch_stages(project.root, stages, variants, schema=Params, loading=LOADING, environment=OTHERWISE)


def disagreements(pipeline: Pipeline, declared: Mapping[str, Any], use: Use) -> list[str]:
    """Compare a stage of dvc.yaml with what was seen; one line each."""
    lines: list[str] = []
    for kind, (missing, unused) in pipeline.disagreements(declared, use).items():
        lines += [f"{VERBS[kind]} {one}, which is not declared" for one in missing]
        lines += [f"declares {one}, but does not {UNUSED[kind]} it" for one in unused]
    return sorted(lines)


@pytest.fixture(scope="module")
def exported(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A finished project without git, so that no git process opens files of its own accord."""
    return finished_project.copy(tmp_path_factory.mktemp("declarations") / "exported", ".git", ".dvc", "__pycache__")


@pytest.fixture(scope="module")
def seen(exported: Project) -> dict[str, Use]:
    """What each stage was seen to do."""
    return watch(exported, STAGES, VARIANTS)


@pytest.fixture(scope="module")
def pipeline(seen: dict[str, Use]) -> Pipeline:
    """The folders that the stages declare or could declare."""
    return describe_pipeline(ROOT, STAGES, seen.values(), EXEMPT, leaf_keys(Params))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_uses_exactly_what_dvc_yaml_declares(stage: str, seen: dict[str, Use], pipeline: Pipeline) -> None:
    assert disagreements(pipeline, STAGES[stage], seen[stage]) == []
    assert pipeline.changes(STAGES[stage], seen[stage]) == {}  # nor could it be said with fewer entries


def test_code_is_declared_by_rooms() -> None:
    assert sum(name.startswith("stages/") for stage in STAGES.values() for name in names(stage["deps"])) <= 75


@pytest.mark.usefixtures("seen")
def test_another_process_in_another_folder_and_environment_writes_the_same_bytes(
    finished_project: Project, exported: Project
) -> None:
    first, second = finished_project.outputs(), exported.outputs()
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


@pytest.mark.parametrize("stage", STAGES)
def test_every_declared_parameter_is_of_the_schema(stage: str) -> None:
    assert set(STAGES[stage].get("params", [])) <= {*leaf_keys(Params), *Params.model_fields}


@pytest.mark.parametrize("stage", STAGES)
def test_an_entry_taken_out_of_dvc_yaml_is_reported(stage: str, seen: dict[str, Use], pipeline: Pipeline) -> None:
    before = {*disagreements(pipeline, STAGES[stage], seen[stage])}
    for kind in VERBS.keys() & STAGES[stage].keys():
        for index in range(len(STAGES[stage][kind])):
            declared = copy.deepcopy(STAGES[stage])
            (name,) = names([declared[kind].pop(index)])
            report = {*disagreements(pipeline, declared, seen[stage])} - before
            assert report
            assert all(line.startswith(tuple(f"{VERBS[kind]} {name}{end}" for end in ",/.")) for line in report)


def test_an_entry_too_many_in_dvc_yaml_is_reported(seen: dict[str, Use], pipeline: Pipeline) -> None:
    declared = copy.deepcopy(STAGES["evaluate"])
    declared["deps"] += ["data/train/history.csv", "stages/attention/pictures"]
    declared["params"] = ["train.epochs"]
    declared["outs"].append("data/evaluate/more.csv")
    before = {*disagreements(pipeline, STAGES["evaluate"], seen["evaluate"])}
    assert {*disagreements(pipeline, declared, seen["evaluate"])} - before == {
        "declares data/evaluate/more.csv, but does not write it",
        "declares data/train/history.csv, but does not open it",
        *(f"declares {file}, but does not open it" for file in pipeline.folders["stages/attention/pictures"]),
        "declares train.epochs, but does not read it",
    }


def test_a_leaf_of_a_declared_section_that_is_not_read_is_reported(seen: dict[str, Use], pipeline: Pipeline) -> None:
    larger = replace(pipeline, leaves=pipeline.leaves | {"model.more"})
    report = {*disagreements(larger, STAGES["train"], seen["train"])}
    assert report - {*disagreements(pipeline, STAGES["train"], seen["train"])} == {
        "declares model.more, but does not read it"
    }
    more, less = larger.changes(STAGES["train"], seen["train"])["params"]
    assert less == ["model"]
    assert {"model.attention", "model.width"} <= {*more} <= {*leaf_keys(Params)}


def test_a_file_of_a_folder_that_is_not_opened_is_reported(seen: dict[str, Use], pipeline: Pipeline) -> None:
    room, more = "stages/workbench/stage", "stages/workbench/stage/more.py"
    larger = replace(pipeline, folders={**pipeline.folders, room: pipeline.folders[room] | {more}})
    for stage, declared in STAGES.items():
        report = {*disagreements(larger, declared, seen[stage])} - {*disagreements(pipeline, declared, seen[stage])}
        assert report == {f"declares {more}, but does not open it"}
        assert room in larger.changes(declared, seen[stage])["deps"][1]


BESIDE = (
    *("__pycache__/a.pyc", ".mypy_cache/a.json", ".ruff_cache/a", ".pytest_cache/a", ".ipynb_checkpoints/a.py"),
    *(".hypothesis/a", "a.pyc", "a.py~", ".a.py.swp", ".#a.py", "#a.py#", "a.py.orig", "a.py.rej", "a.py.bak"),
    *(".DS_Store", "Thumbs.db", ".idea/a.xml", ".vscode/a.json", "4913", "README.md", ".nfs0001"),
)


def test_what_is_written_beside_code_makes_nothing_out_of_date(finished_project: Project, tmp_path: Path) -> None:
    project = finished_project.copy(tmp_path / "project")
    rooms = {one for stage in STAGES.values() for one in names(stage["deps"]) if (project.root / one).is_dir()}
    for room in rooms:
        for name in BESIDE:
            file = project.root / room / name
            file.parent.mkdir(exist_ok=True)
            file.write_text("of no stage")
    assert json.loads(project.run("dvc", "status", "--json").stdout) == {}
    (project.root / "stages/attention/pictures/more.py").write_text("of two stages")
    assert {*json.loads(project.run("dvc", "status", "--json").stdout)} == {"plot", "study"}


def test_a_stage_that_uses_more_than_it_declares_is_caught(finished_project: Project, tmp_path: Path) -> None:
    project = finished_project.copy(tmp_path / "project", ".git", ".dvc", "__pycache__")
    script = project.root / "stages/generate.py"
    more = """
    Path("data/generate/seen.txt").write_text(Path("dvc.lock").read_text() + str(params.train.model_dump()))
    pq.read_table("data/evaluate/../generate/test.parquet")  # its own output, before it is written
    safe_open("data/train/model.safetensors", framework="numpy")
    from workbench import cache
"""
    text = script.read_text().replace("    params = load_params()\n", f"    params = load_params()\n{more}", 1)
    imports = "from pathlib import Path\nimport pyarrow.parquet as pq\nfrom safetensors import safe_open\n"
    script.write_text(imports + text)
    stages = {"generate": STAGES["generate"]}
    use = watch(project, stages, [])["generate"]
    rooms = describe_pipeline(ROOT, stages, [], EXEMPT, leaf_keys(Params))
    assert disagreements(rooms, STAGES["generate"], use) == [
        "opens data/generate/test.parquet, which is not declared",
        "opens data/train/model.safetensors, which is not declared",
        "opens dvc.lock, which is not declared",
        "opens stages/workbench/cache.py, which is not declared",
        "reads train.batch_size, which is not declared",
        "reads train.engine, which is not declared",
        "reads train.epochs, which is not declared",
        "reads train.learning_rate, which is not declared",
        "reads train.shuffle, which is not declared",
        "writes data/generate/seen.txt, which is not declared",
    ]
