"""Code that only MLflow holds is shown, and runs only if the user says so: who can write there may have made it."""

import sys
from dataclasses import replace
from pathlib import Path

from ruamel.yaml import YAML

from workbench.command.snapshot import State, require_commit
from workbench.stage.errors import RestoreError
from workbench.tracking.git import committed
from workbench.tracking.patches import changes

REACHING_OUT = ("compute", "tracking")  # sections of params.yaml that no result depends on: where a study is computed
MOST_SHOWN = 40


def consent(state: State, root: Path, *, yes: bool) -> State:
    """Return the state as far as the user agrees to run it: all of it, or an experiment without its run's new files.

    Raises:
        RestoreError: they do not agree to a run's code, or cannot be asked.

    """
    require_commit(state, root)
    brought = [*changes(root, state.commit, state.patch), *_sections(state, root)] if state.source else []
    if state.source:
        print(f"{state.name}: {state.source}{'' if brought else ', of this repository alone'}")
    if not brought or yes:
        return state
    for line in [*brought[:MOST_SHOWN], *([f"and {len(brought) - MOST_SHOWN} more"] * (len(brought) > MOST_SHOWN))]:
        print(f"  {line}")
    told = f"{state.name}: {len(brought)} changes are in no commit here, only in MLflow ({state.source})"
    asked = sys.stdin.isatty()
    if asked and _answer("Run this code? [y/N] ") in ("y", "yes"):
        return state
    if state.params is None:  # an experiment is its commit
        print(f"warning: {told}; they are left out, `--yes` takes them", file=sys.stderr)
        return replace(state, patch=b"", source="")
    why = "not run" if asked else "not run, because there is no terminal to ask on"
    raise RestoreError(f"{told}; {why}; look at them, then add `--yes`; nothing was changed")


def _answer(question: str) -> str:
    try:
        return input(question).strip().lower()
    except EOFError:
        return ""


def _sections(state: State, root: Path) -> list[str]:
    """Return which sections of a run's parameters are not the commit's and steer more than results."""
    yaml = YAML(typ="safe", pure=True)
    try:
        own, theirs = (yaml.load(text) for text in (committed(root, state.commit, "params.yaml"), state.params or b""))
        if state.params is None:
            return []
        return [f"params.yaml: {name}" for name in REACHING_OUT if own.get(name) != theirs.get(name)]
    except Exception as error:  # the parser lets many kinds escape; each means the same to a user
        raise RestoreError(
            f"{state.name}: params.yaml of its run or its commit is no valid YAML; run it again"
        ) from error
