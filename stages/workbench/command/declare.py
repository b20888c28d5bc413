"""Declare in dvc.yaml what the stages use: they are seen at work in a copy."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from workbench.command.edit import edit_pipeline
from workbench.command.use import WRITTEN, DeclareError, Stage, Use, describe_pipeline, names
from workbench.stage.errors import show_name, show_value
from workbench.tracking.git import git

if TYPE_CHECKING:
    from pydantic import BaseModel

PIPELINE, PARAMETERS = "dvc.yaml", "params.yaml"
PACKAGES = "requirements.lock"  # no stage opens it and each depends on it: the packages that it runs with
CHECKING = "workbench.stage.params"
Overrides = Mapping[str, Any]


def declare(
    root: Path,
    *,
    schema: "type[BaseModel]",
    loading: Sequence[str] = (),
    exempt: Iterable[str] = (),
    variants: Sequence[Overrides] = (),
    write: bool = False,
) -> int:
    """Show where dvc.yaml does not declare what the stages use; status 1 where it differs and `write` is not asked.

    The stages run in a copy: the project's data stay as they are. With `write`, dvc.yaml says what was seen.

    Args:
        root: the project's folder.
        schema: the pydantic model of params.yaml.
        loading: the project's modules or packages that read parameters only to check them.
        exempt: sections of params.yaml that no result depends on.
        variants: other parameters, by dotted key, with which the stages open modules that they otherwise do not.
        write: whether to change dvc.yaml.

    Raises:
        DeclareError: not on Linux, a stage that is no Python script, or one that fails.

    """
    from workbench.stage.params import known_keys

    stages = read_stages(root)
    with tempfile.TemporaryDirectory(prefix="declare-") as parent:
        copy = _copy(root, stages, Path(parent) / "copy")
        used = watch_stages(copy, stages, variants, schema=schema, loading=loading)
    pipeline = describe_pipeline(root, stages, used.values(), exempt, known_keys(schema))
    changes = {name: pipeline.changes(stages[name], used[name]) for name in stages}
    for name, kinds in changes.items():
        for kind, (more, less) in kinds.items():
            lines = [f"  + {show_name(one)}" for one in more] + [f"  - {show_name(one)}" for one in less]
            print("\n".join([f"{name}: {kind}", *lines]))
    differ = sum(bool(kinds) for kinds in changes.values())
    if not differ:
        print(f"{PIPELINE}: its {len(stages)} stages declare what they use")
    elif write:
        edit_pipeline(root / PIPELINE, changes)
        print(f"{PIPELINE}: {differ} of {len(stages)} stages changed")
    else:
        print(f"{PIPELINE}: {differ} of {len(stages)} stages differ from what they use; --write writes it so")
    return int(differ and not write)


def read_stages(root: Path) -> dict[str, dict[str, Any]]:
    """Return the stages of dvc.yaml, each of which must be a Python script."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        stages: dict[str, dict[str, Any]] = YAML(typ="safe").load(root / PIPELINE)["stages"]
        for stage in stages.values():
            if not all(isinstance(stage.get(kind, []), list) for kind in ("deps", "params", *WRITTEN)):
                raise TypeError
    except (YAMLError, LookupError, TypeError, AttributeError) as error:
        raise DeclareError(f"{PIPELINE}: no stages can be read from it; `dvc status` tells what is wrong") from error
    for name, stage in stages.items():
        _script(name, stage)
    return stages


def watch_stages(
    root: Path,
    stages: Mapping[str, Stage],
    variants: Sequence[Overrides],
    *,
    schema: "type[BaseModel]",
    loading: Sequence[str] = (),
    environment: Mapping[str, str] = MappingProxyType({}),
) -> dict[str, Use]:
    """Run all stages in order, with each variant's parameters and at last with the project's own; return what they use.

    Their folder is theirs: its outputs are written anew, and it should have neither git nor bytecode in it.
    """
    if sys.platform != "linux":
        raise DeclareError(
            f"declare: got platform {sys.platform}; allowed: linux, whose kernel tells which files are used"
        )
    parameters = (root / PARAMETERS).read_bytes()
    used = dict.fromkeys(stages, Use())
    for overrides in (*variants, {}):
        (root / PARAMETERS).write_bytes(parameters)
        if overrides:
            _override(root / PARAMETERS, overrides)
        for name, stage in stages.items():
            print(f"declare: {name} {show_value(dict(overrides)) if overrides else ''}".rstrip(), file=sys.stderr)
            used[name] |= _watch(root, name, _script(name, stage), schema, loading, environment)
    return used


def _watch(
    root: Path,
    name: str,
    script: Sequence[str],
    schema: "type[BaseModel]",
    loading: Sequence[str],
    environment: Mapping[str, str],
) -> Use:
    """Run one stage with an MLflow store that does not exist yet."""
    with tempfile.TemporaryDirectory(prefix="watch-") as folder:
        report = Path(folder) / "report.json"
        model = f"{schema.__module__}:{schema.__qualname__}"
        done = subprocess.run(
            [
                sys.executable,
                str(Path(__file__).with_name("watch.py")),
                str(report),
                model,
                ",".join((CHECKING, *loading)),
                *script,
            ],
            cwd=root,
            env={
                **{k: v for k, v in os.environ.items() if not k.startswith("DVC_")},
                "PYTHONDONTWRITEBYTECODE": "1",
                "MLFLOW_TRACKING_URI": f"sqlite:///{folder}/mlflow.db",
                **environment,
            },
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            last = done.stderr.strip().rpartition("\n")[2] or f"status {done.returncode}"
            raise DeclareError(f"{name}: the stage failed, so that what it uses is not known: {show_name(last, 300)}")
        seen = {key: frozenset(values) for key, values in json.loads(report.read_text(encoding="utf-8")).items()}
    packages = {PACKAGES} if (root / PACKAGES).exists() else set()
    return Use(seen["opened"] | packages, seen["written"], seen["read"])


def _script(name: str, stage: Stage) -> list[str]:
    command = stage.get("cmd")
    words = shlex.split(command) if isinstance(command, str) else []
    if len(words) < 2 or words[0] not in ("python", "python3") or not words[1].endswith(".py"):
        raise DeclareError(
            f"{PIPELINE}: {name}: cmd: got {show_value(command)}; allowed: python SCRIPT.py [ARGUMENT …]"
        )
    if "wdir" in stage:
        raise DeclareError(
            f"{PIPELINE}: {name}: wdir: got {show_value(stage['wdir'])}; allowed: none, the project's folder"
        )
    return words[1:]


def _copy(root: Path, stages: Mapping[str, Stage], folder: Path) -> Path:
    """Copy what git knows of a project, committed or not, and its outputs."""
    listed = git(root, "ls-files", "--cached", "--others", "--exclude-standard", "-z").split("\0")
    outputs = names(one for stage in stages.values() for kind in WRITTEN for one in stage.get(kind, []))
    for name in {*listed, *outputs} - {""}:
        source, target = root / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif source.exists():
            shutil.copyfile(source, target)
    return folder


def _override(path: Path, overrides: Overrides) -> None:
    from ruamel.yaml import YAML

    yaml = YAML()
    tree = yaml.load(path.read_text(encoding="utf-8"))
    for key, value in overrides.items():
        *sections, leaf = key.split(".")
        section = tree
        for one in sections:
            section = section[one]
        section[leaf] = value
    yaml.dump(tree, path)
