"""What a dvc.lock says: which outputs were made, from which inputs, with which parameters."""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any

from ruamel.yaml import YAML

from workbench.stage.errors import RestoreError


def locked_outputs(lock: str) -> dict[str, str]:
    """Return the digest of each output by its path, from the text of a dvc.lock."""
    try:
        return {out["path"]: out["md5"] for stage in _stages(lock).values() for out in stage.get("outs", ())}
    except Exception as error:  # the parser lets many kinds escape; each means the same to a user
        raise RestoreError(
            "dvc.lock: is not as DVC writes it; `git checkout dvc.lock` brings the committed one back"
        ) from error


def locked_inputs(lock: str) -> dict[str, str]:
    """Return the digest of each input that no stage makes and that is neither code nor a lock file."""
    made = locked_outputs(lock)
    used = {dep["path"]: dep.get("md5", "") for stage in _stages(lock).values() for dep in stage.get("deps", ())}
    return {path: digest for path, digest in used.items() if path not in made and not _is_code(path)}


def stale_stages(lock: str, params: str) -> list[str]:
    """Return the stages whose outputs in a dvc.lock were made with other parameters than those of a params.yaml."""
    try:
        stages, tree = _stages(lock), YAML(typ="safe", pure=True).load(params)
        tree.get("")
    except Exception as error:  # the parser lets many kinds escape; each means the same to a user
        raise RestoreError(
            "params.yaml or dvc.lock: of this state is not valid YAML; allowed: a state in which the pipeline ran"
        ) from error

    def value(key: str) -> Any:
        section, _, name = key.partition(".")
        found = tree.get(section)
        return found.get(name) if name and isinstance(found, dict) else found

    used = {name: stage.get("params", {}).get("params.yaml", {}) for name, stage in stages.items()}
    return [name for name, keys in used.items() if any(value(key) != was for key, was in keys.items())]


def outdated_stages(lock: str, params: str, changed: Iterable[str] = ()) -> list[str]:
    """Return the stages that ran with other parameters, or on other files than the stages before them have made.

    `dvc exp run STAGE` leaves what the commit before had of the stages after that one. Stages that are known to be
    `changed` in another way count, too, and those after them.
    """
    stages, made = _stages(lock), locked_outputs(lock)
    makers = {out["path"]: name for name, stage in stages.items() for out in stage.get("outs", ())}
    outdated = {*stale_stages(lock, params), *changed}
    while more := {*_after(stages, made, makers, outdated)} - outdated:
        outdated |= more
    return [name for name in stages if name in outdated]


def maker(lock: str, path: str) -> str:
    """Return the stage that makes an output; empty where none does."""
    return next((name for name, stage in _stages(lock).items() if path in _paths(stage)), "")


def _after(
    stages: Mapping[str, Any], made: Mapping[str, str], makers: Mapping[str, str], outdated: set[str]
) -> Iterator[str]:
    for name, stage in stages.items():
        for dep in stage.get("deps", ()):
            path, used = dep["path"], dep.get("md5")
            if made.get(path, used) != used or makers.get(path) in outdated:
                yield name


def _paths(stage: Mapping[str, Any]) -> list[str]:
    return [out["path"] for out in stage.get("outs", ())]


def _is_code(path: str) -> bool:
    parts = PurePosixPath(path).parts
    return parts[:1] == ("stages",) or path.endswith(".lock")


@lru_cache(maxsize=4)  # it takes tenths of a second
def _stages(lock: str) -> Mapping[str, Any]:
    stages: Mapping[str, Any] = YAML(typ="safe", pure=True).load(lock)["stages"]
    return stages
