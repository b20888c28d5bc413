"""What differs between two states: parameters, measures, code, environment, inputs and outputs."""

import csv
import json
import platform
import posixpath
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from safetensors import SafetensorError

from workbench.command.comparison import distances, leaves
from workbench.command.doctor import installed_version, locked_versions
from workbench.command.snapshot import HERE, State
from workbench.command.trees import Changed, Trees, side_by_side
from workbench.project import Project
from workbench.stage.errors import RestoreError
from workbench.stage.params import MOST_BYTES
from workbench.tracking.git import committed

LOCK, PIPELINE = "requirements.lock", "dvc.yaml"
MOST_VALUES = 10_000  # of a params.yaml: a few lines of YAML can stand for more than a memory holds
LARGEST = 20_000_000  # bytes of a file that is looked into
SAME, DIFFERENT, ONLY = "same", "different", "only in {}"

Pair = dict[str, Any]  # what "a" has and what "b" has; a key that one of them lacks is not there


@dataclass(frozen=True)
class Compared:
    """A file of both states: its digests, how they compare, how far its numbers are apart, and what it holds.

    Attributes:
        path: where it is in the project.
        digests: as in dvc.lock, of `a` and of `b`.
        verdict: same, different, or which of the two has it.
        apart: of a table, a JSON file or weights, the largest distance of the numbers by name.
        contents: what the file holds in `a` and in `b`, where it differs and the bytes are still here.

    """

    path: str
    digests: Pair
    verdict: str
    apart: Mapping[str, float]
    contents: Mapping[str, bytes]


@dataclass(frozen=True)
class Difference:
    """What differs between the states a and b; of measures, inputs and outputs the equal ones, too."""

    states: Mapping[str, State]  # by "a" and "b"
    parameters: Mapping[str, Pair]
    measures: Mapping[str, Pair]
    code: Sequence[Changed]  # files that a stage declares
    others: Sequence[Changed]  # files that no stage declares
    patch: str
    environment: Mapping[str, Pair]
    inputs: Sequence[Compared]
    outputs: Sequence[Compared]


def difference(project: Project, root: Path, a: State, b: State) -> Difference:
    """Return what differs between two states.

    Raises:
        RestoreError: a state is not in the repository, or its files are not what they must be.

    """
    states = {"a": a, "b": b}
    with side_by_side(root, a, b) as trees:
        changed = [one for one in trees.changed() if one.path != LOCK]
        declared = _declared(trees)
        code = [one for one in changed if _is_declared(one.path, declared)]
        patch = trees.patch(one.path for one in code)
        locks = dict(zip(states, trees.read(LOCK), strict=True))
    parameters = _pairs({side: _parameters(root, state) for side, state in states.items()})
    measures = _pairs({side: _measures(project, root, state) for side, state in states.items()}, equal=True)
    return Difference(
        states,
        parameters,
        measures,
        code,
        [one for one in changed if one not in code],
        patch,
        _environment(project, states, locks),
        _files(root, states, "inputs"),
        _files(root, states, "outputs"),
    )


def _pairs(values: Mapping[str, Mapping[str, Any]], *, equal: bool = False) -> dict[str, Pair]:
    """Return by name what each state has, where they differ; the equal ones, too, if asked for."""
    names = dict.fromkeys(name for held in values.values() for name in held)
    found = {name: {side: held[name] for side, held in values.items() if name in held} for name in names}
    return {name: pair for name, pair in found.items() if equal or not _is_equal(pair)}


def _is_equal(pair: Pair) -> bool:
    if len(pair) < 2:
        return False
    a, b = pair["a"], pair["b"]
    return bool(a == b or (a != a and b != b)) and isinstance(a, bool) == isinstance(b, bool)


def _parameters(root: Path, state: State) -> dict[str, Any]:
    text = state.params if state.params is not None else committed(root, state.commit, "params.yaml")
    if len(text) > MOST_BYTES:
        raise RestoreError(
            f"{state.name}: its params.yaml has {len(text):,} bytes; allowed: at most {MOST_BYTES:,}; "
            "compare a run whose lists are shorter"
        )
    try:
        tree = YAML(typ="safe", pure=True).load(text)
        _require_few(tree)
        return {str(key): value for key, value in leaves({} if tree is None else dict(tree))}
    except Exception as error:  # the parser lets many kinds escape; each means the same to a user
        raise RestoreError(
            f"{state.name}: its params.yaml is no mapping in valid YAML of at most {MOST_VALUES:,} values; allowed: "
            "a run of this project"
        ) from error


def _require_few(tree: Any) -> None:
    """Refuse a tree of more values than a file for people has, counted as often as it refers to them."""
    left, waiting = MOST_VALUES, [tree]
    while waiting:
        one = waiting.pop()
        inner = [*one, *one.values()] if isinstance(one, dict) else one if isinstance(one, list) else []
        left -= len(inner)
        if left < 0:
            raise ValueError("too many values")
        waiting += inner


def _measures(project: Project, root: Path, state: State) -> dict[str, Any]:
    """Return the measures of a state by their dotted names; none where they are nowhere here."""
    data = state.recorded(root, project.metrics) if project.metrics in state.outputs else None
    try:
        return {str(name): value for name, value in leaves(json.loads(data or b"{}"))}
    except (ValueError, RecursionError) as error:
        raise RestoreError(
            f"{state.name}: its {project.metrics} is no JSON; allowed: what the stage that writes it has written"
        ) from error


def _declared(trees: Trees) -> set[str]:
    """Return the files and folders that a stage of either pipeline declares; everything where that cannot be told."""
    found = {PIPELINE}
    try:
        for text in filter(None, trees.read(PIPELINE)):
            for stage in YAML(typ="safe", pure=True).load(text)["stages"].values():
                inner = stage.get("do", stage)
                for dep in inner.get("deps", ()):
                    path = dep if isinstance(dep, str) else next(iter(dep))
                    found.add(posixpath.normpath(posixpath.join(inner.get("wdir", "."), path)))
    except Exception:  # the parser lets many kinds escape; each means the same here
        return {"."}
    return {"."} if any("${" in path for path in found) else found


def _is_declared(path: str, declared: Iterable[str]) -> bool:
    return any(one == "." or path == one or path.startswith(f"{one}/") for one in declared)


def _environment(project: Project, states: Mapping[str, State], locks: Mapping[str, bytes]) -> dict[str, Pair]:
    """Return the versions that differ: those that a run says it was made with, else those of its lock file."""
    locked = {side: locked_versions(locks[side].decode(errors="replace")) for side in states}
    made_with = {side: _versions(project, state) for side, state in states.items()}
    pairs = _pairs({side: locked[side] | made_with[side] for side in states})
    both = {name for name in pairs if any(name in held for held in locked.values()) or len(pairs[name]) == 2}
    return {name: pair for name, pair in pairs.items() if name in both}


def _versions(project: Project, state: State) -> dict[str, str]:
    if state.name != HERE:
        return {name: version.partition("+")[0] for name, version in state.versions.items()}
    return {"python": platform.python_version()} | {name: installed_version(name) for name in project.tracked.packages}


def _files(root: Path, states: Mapping[str, State], which: str) -> list[Compared]:
    """Compare the inputs, or the outputs, of both states by their digests; of those that differ, the contents."""
    held: dict[str, Mapping[str, str]] = {side: getattr(state, which) for side, state in states.items()}
    return [_compare(root, states, path, pair) for path, pair in sorted(_pairs(held, equal=True).items())]


def _compare(root: Path, states: Mapping[str, State], path: str, digests: Pair) -> Compared:
    if _is_equal(digests):
        return Compared(path, digests, SAME, {}, {})
    if len(digests) == 1:
        return Compared(path, digests, ONLY.format(*digests), {}, {})
    contents = {
        side: data
        for side, state in states.items()
        if path in state.outputs and (data := state.recorded(root, path, LARGEST))
    }
    return Compared(path, digests, DIFFERENT, _apart(path, contents), contents)


def _apart(path: str, contents: Mapping[str, bytes]) -> dict[str, float]:
    """Return how far the numbers of a file are apart, those that are; empty where it differs in more than numbers."""
    try:
        return {name: far for name, far in distances(path, contents["a"], contents["b"]).items() if far}
    except (ValueError, TypeError, LookupError, RecursionError, SafetensorError, csv.Error):
        return {}
