"""A difference as plain data without secrets: what every way of showing it is made from."""

import math
import re
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from workbench.command.difference import Compared, Difference, Pair
from workbench.command.snapshot import HERE, State
from workbench.tracking.secrets import SECRET, without_secrets

LONGEST = 2_000  # characters of a line of a patch
MOST_PATCH = 2_000_000  # characters


def report(found: Difference) -> dict[str, Any]:
    """Return a difference as JSON can have it: numbers exact, NaN and infinity as null, secrets as ***."""
    patch = found.patch if len(found.patch) <= MOST_PATCH else f"({len(found.patch):,} characters, too many to show)"
    whole = {
        **{side: _state(state) for side, state in found.states.items()},
        "parameters": {key: _masked(key, pair) for key, pair in found.parameters.items()},
        "measures": {name: _with_difference(pair) for name, pair in found.measures.items()},
        "code": {"files": [asdict(one) for one in found.code], "patch": "\n".join(map(_line, patch.splitlines()))},
        "other_files": [asdict(one) for one in found.others],
        "environment": dict(found.environment),
        "inputs": _files(found.inputs),
        "outputs": _files(found.outputs),
    }
    clean: dict[str, Any] = _clean(whole)
    return clean


def _state(state: State) -> dict[str, Any]:
    return {
        "name": state.name,
        "commit": state.commit,
        "changed": bool(state.patch),
        "source": state.source,
        "outdated": list(state.outdated),
        "here": state.name == HERE,
    }


def _masked(key: str, pair: Pair) -> Pair:
    """Return the values of a parameter; a text or number under a name that says it is secret is not told."""
    secret = re.search(SECRET, key, re.IGNORECASE)
    return {side: "***" if secret and not isinstance(value, bool | None) else value for side, value in pair.items()}


def _with_difference(pair: Pair) -> Pair:
    if len(pair) < 2 or not all(isinstance(value, int | float) for value in pair.values()):
        return pair
    return {**pair, "difference": pair["b"] - pair["a"]}


def _line(line: str) -> str:
    return line if len(line) <= LONGEST else f"{line[:1]}(a line of {len(line):,} characters)"


def _files(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    return [{"path": one.path, **one.digests, "verdict": one.verdict, "apart": dict(one.apart)} for one in compared]


def _clean(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {without_secrets(str(key)): _clean(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_clean(value) for value in tree]
    if isinstance(tree, float) and not math.isfinite(tree):
        return None
    return tree if isinstance(tree, int | float) or tree is None else without_secrets(str(tree))
