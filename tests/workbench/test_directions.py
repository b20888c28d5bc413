"""Imports run one way: from the laboratory to the workbench, and in each from a room to those that stand before it."""

import ast
import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest
from conftest import ROOT

# A room imports only from rooms of the lines before its own. Those of one line know nothing of each other.
LAYERS: Mapping[str, tuple[str, ...]] = {
    "workbench": ("stage", "progress cache", "compute tracking", "project", "command"),
    "attention": (
        "functions compiler",
        "tasks",
        "params",
        "weights",
        "network",
        "inference",
        "training measures",
        "serving pictures",
        "tracking report",
        "studies",
        "command",
        "project",
        "api",
    ),
}
NOT_FOR_SCRIPTS = {
    "workbench.command",
    "workbench.project",
    "attention.project",
    "attention.command",
}  # what opens them is no stage
FOREIGN = re.compile("attention|contexts|positions", re.IGNORECASE)  # words of one laboratory


def imports(stages: Path) -> dict[str, set[str]]:
    """Return for each module the modules of the same tree that it names in an import, wherever in it that stands."""
    files = {_module(stages, path): path for path in sorted(stages.rglob("*.py"))}
    return {name: {*_imported(path, name, files)} - {name} for name, path in files.items()}


def _module(stages: Path, path: Path) -> str:
    return ".".join(path.relative_to(stages).with_suffix("").parts).removesuffix(".__init__")


def _imported(path: Path, name: str, files: Mapping[str, Path]) -> Iterator[str]:
    package = name if path.stem == "__init__" else name.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        found: list[str] = []
        if isinstance(node, ast.Import):
            found = [one.name for one in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) + 1 - node.level] if node.level else []
            source = ".".join([*above, *filter(None, [node.module])])
            members = {f"{source}.{one.name}" for one in node.names}
            found = [*members & files.keys(), *([source] if members - files.keys() else [])]
        yield from (one for one in found if one in files)


def wrong_ways(graph: Mapping[str, set[str]]) -> list[str]:
    """Return a line for each import of a room that does not stand before its own."""
    return sorted(
        f"{name} imports {one}: {why}"
        for name, imported in graph.items()
        for one in imported
        if (why := _wrong(name, one))
    )


def _wrong(name: str, imported: str) -> str:
    room, other = _room(name), _room(imported)
    if room[0] not in LAYERS:
        return "it is for no stage" if ".".join(other) in NOT_FOR_SCRIPTS else ""
    if room[0] != other[0]:
        return "" if (room[0], other[0]) == ("attention", "workbench") else "another house"
    if room == other:
        return ""
    levels = {one: level for level, rooms in enumerate(LAYERS[room[0]]) for one in rooms.split()}
    unknown = [one[1] for one in (room, other) if one[1] not in levels]
    if unknown:
        return f"{unknown[0] or 'the package itself'} has no layer"
    own, its = levels[room[1]], levels[other[1]]
    return "" if its < own else "it stands after it" if its > own else "it stands beside it"


def _room(module: str) -> tuple[str, str]:
    house, _, rest = module.partition(".")
    return house, rest.partition(".")[0]


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return the modules of a circle, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def foreign_words(workbench: Path) -> list[str]:
    """Return each line of the workbench that names what only one laboratory knows."""
    return [
        f"{path.relative_to(workbench)}:{number}: {line.strip()}"
        for path in sorted(workbench.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if FOREIGN.search(line)
    ]


def test_imports_run_one_way() -> None:
    assert wrong_ways(imports(ROOT / "stages")) == []


def test_no_circle() -> None:
    assert circle(imports(ROOT / "stages")) == []


def test_the_workbench_names_nothing_of_one_laboratory() -> None:
    assert foreign_words(ROOT / "stages/workbench") == []


def test_every_room_has_a_layer() -> None:
    rooms = {_room(name) for name in imports(ROOT / "stages") if _room(name)[0] in LAYERS}
    known = {(house, room) for house, layers in LAYERS.items() for line in layers for room in line.split()}
    assert {room for room in rooms if room[1]} <= known


def test_the_page_names_the_rooms_in_this_order() -> None:
    """Of rooms of one line the order is free."""
    page = (ROOT / "docs/house.md").read_text()
    for house, layers in LAYERS.items():
        table = page.partition(f"## {house}\n")[2].partition("\n## ")[0]
        named = re.findall(r"`(\w+)/?`", "\n".join(re.findall(r"^\| (.*?) \|", table, re.MULTILINE)))
        order = [next(level for level, line in enumerate(layers) if name in line.split()) for name in named]
        assert {*named} == {name for line in layers for name in line.split()}
        assert order == sorted(order)


@pytest.mark.parametrize(
    ("module", "line", "told"),
    [
        (
            "workbench/stage/tables.py",
            "import attention.weights",
            "workbench.stage.tables imports attention.weights: another house",
        ),
        (
            "workbench/stage/run.py",
            "def f() -> None:\n    from workbench.tracking import store",
            "workbench.stage.run imports workbench.tracking.store: it stands after it",
        ),
        (
            "attention/functions/entry.py",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from attention.params import load_params",
            "attention.functions.entry imports attention.params: it stands after it",
        ),
        (
            "workbench/cache.py",
            "from . import progress",
            "workbench.cache imports workbench.progress: it stands beside it",
        ),
        (
            "workbench/stage/run.py",
            "from ..cache import folder",
            "workbench.stage.run imports workbench.cache: it stands after it",
        ),
        (
            "train.py",
            "from workbench.command import watch",
            "train imports workbench.command.watch: it is for no stage",
        ),
        (
            "attention/more.py",
            "from attention import weights",
            "attention.more imports attention.weights: more has no layer",
        ),
    ],
)
def test_an_import_the_wrong_way_is_reported(module: str, line: str, told: str, tmp_path: Path) -> None:
    _lay_out(tmp_path)
    assert wrong_ways(imports(tmp_path)) == []
    (tmp_path / module).write_text(line)
    assert wrong_ways(imports(tmp_path)) == [told]


def test_a_circle_is_reported(tmp_path: Path) -> None:
    _lay_out(tmp_path)
    (tmp_path / "workbench/tracking/store.py").write_text("def f() -> None:\n    from workbench.tracking import uri")
    assert circle(imports(tmp_path)) == []
    (tmp_path / "workbench/tracking/uri.py").write_text("from workbench.tracking.store import f")
    assert {*circle(imports(tmp_path))} == {"workbench.tracking.store", "workbench.tracking.uri"}


def test_a_word_of_one_laboratory_is_reported(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('"""A positional argument in the context of attention."""\nN_CONTEXTS = 1\nx = 2\n')
    (tmp_path / "b.sql").write_text("-- positions\n")
    assert [line.partition(": ")[0] for line in foreign_words(tmp_path)] == ["a.py:1", "a.py:2", "b.sql:1"]


def _lay_out(stages: Path) -> None:
    """Make a small tree in which all is well."""
    for name, text in {
        "train.py": "from attention.params import load_params\nimport workbench.stage.tables",
        "workbench/__init__.py": "",
        "workbench/cache.py": "",
        "workbench/progress.py": "",
        "workbench/stage/tables.py": "from workbench.stage import run",
        "workbench/command/__init__.py": "",
        "workbench/command/watch.py": "",
        "workbench/stage/__init__.py": "",
        "workbench/stage/run.py": "",
        "workbench/tracking/__init__.py": "",
        "workbench/tracking/store.py": "from workbench.stage import tables",
        "workbench/tracking/uri.py": "",
        "attention/__init__.py": "",
        "attention/weights.py": "from workbench.stage.tables import run\nfrom attention.functions import entry",
        "attention/params/__init__.py": "from attention.functions.entry import NAME",
        "attention/functions/__init__.py": "",
        "attention/functions/entry.py": "",
    }.items():
        (stages / name).parent.mkdir(parents=True, exist_ok=True)
        (stages / name).write_text(text)
