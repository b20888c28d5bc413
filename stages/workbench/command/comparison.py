"""Whether a run made again agrees with what is recorded: byte for byte or, where that cannot be promised, in numbers.

A stage that promises its bytes is compared byte for byte. Another one may differ by a tolerance of the project's; then
 the recorded files take the place of its own, and what follows from them is made again and must agree by itself.
"""

import csv
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from workbench.command.clone import reproduce, write_plainly
from workbench.command.dvc import dvc, last_line
from workbench.command.dvc_lock import locked_outputs
from workbench.command.snapshot import State
from workbench.project import Project, Tolerance
from workbench.stage.errors import RestoreError, printable
from workbench.stage.outputs import md5

NOT_RECORDED = "not recorded"


@dataclass(frozen=True)
class Agreement:
    """One output: the digests, and the verdict: same, within the tolerance, DIFFERENT with the reason, not recorded."""

    path: str
    expected: str
    got: str
    verdict: str

    @property
    def holds(self) -> bool:
        """Whether the output may pass."""
        return not self.verdict.startswith("DIFFERENT")


def compare(
    project: Project, state: State, root: Path, folder: Path, say: Callable[[str], None] = lambda _: None
) -> list[Agreement]:
    """Compare every output of a copy with those of its state; what a tolerance allows is replaced by what was recorded.

    Args:
        project: what tolerances there are.
        state: what is expected.
        root: the project, where the recorded files are looked for.
        folder: the copy, in which `dvc repro` has run.
        say: told what is done now.

    """
    made = locked_outputs((folder / "dvc.lock").read_text(encoding="utf-8"))
    found = {path: _bytes(path, state.outputs.get(path, ""), folder) for path in sorted({*made, *state.outputs})}
    if all(one.holds for one in found.values()) or _promises_bytes(project, folder):
        return list(found.values())
    replaced = False
    for stage, tolerance in project.tolerances.items():
        different = [path for path in _of_stage(found, stage) if found[path].verdict == "DIFFERENT"]
        for path in different:
            found[path] = _numbers(found[path], tolerance, state.recorded(root, path), folder)
        if not all(found[path].holds for path in different):
            break  # another training: what follows from it is another, too
        for path in different:
            replaced = True
            write_plainly(folder / path, state.recorded(root, path) or b"")  # there may be a link into the cache
        if replaced:
            follows = project.shown[project.shown.index(stage) + 1]
            reproduce(folder, say, "--force", "--no-run-cache", "--single-item", follows)
            found |= {path: _bytes(path, state.outputs.get(path, ""), folder) for path in _of_stage(found, follows)}
    if replaced and (done := dvc(folder, "commit", "--force", "--quiet")).returncode:
        raise RestoreError(f"{folder}: `dvc commit` failed: {printable(last_line(done))}; mend what it says")
    return list(found.values())


def _promises_bytes(project: Project, folder: Path) -> bool:
    """Whether what made the result of a copy gives the same bytes anywhere; not where the result does not say."""
    try:
        return project.promises_bytes(project.origin((folder / project.result).read_bytes()).params)
    except (OSError, ValueError):
        return False


def distances(path: str, expected: bytes, got: bytes) -> dict[str, float]:
    """Return by name how far the numbers of two files are apart at most.

    Raises:
        ValueError: they differ in more than numbers.

    """
    one, other = (_contents(path, data) for data in (expected, got))
    if one.keys() != other.keys() or any(one[name].shape != other[name].shape for name in one):
        raise ValueError("in more than numbers")
    with np.errstate(invalid="ignore"):  # of two infinite ones
        return {
            name: float(np.where(one[name] == other[name], 0.0, np.abs(one[name] - other[name])).max(initial=0.0))
            for name in one
        }


def _bytes(path: str, expected: str, folder: Path) -> Agreement:
    got = _digest(folder / path) if (folder / path).exists() else "missing"
    verdict = ("same" if got == expected else "DIFFERENT") if expected else NOT_RECORDED
    return Agreement(path, expected or "-", got, verdict)


def _of_stage(found: Mapping[str, Agreement], stage: str) -> list[str]:
    return [path for path in found if path.startswith(f"data/{stage}/")]


def _numbers(one: Agreement, tolerance: Tolerance, recorded: bytes | None, folder: Path) -> Agreement:
    """Judge a file whose bytes differ by its numbers."""
    if one.got == "missing":
        return one
    if recorded is None:
        return replace(one, verdict="DIFFERENT; the recorded file is nowhere here, so its numbers are not known")
    try:
        apart = distances(one.path, recorded, (folder / one.path).read_bytes())
    except (ValueError, TypeError, LookupError, SafetensorError, csv.Error):
        return replace(one, verdict="DIFFERENT; in more than numbers")
    far = {name: distance for name, distance in apart.items() if not distance <= tolerance.of(name)}
    if far:
        told = ", ".join(f"{name} by {distance:.1e}, allowed {tolerance.of(name):g}" for name, distance in far.items())
        return replace(one, verdict=f"DIFFERENT; {told}")
    widest = max(apart, key=lambda name: apart[name] / (tolerance.of(name) or 1))
    return replace(one, verdict=f"within {tolerance.of(widest):g}: {widest} by {apart[widest]:.1e}")


def _contents(path: str, data: bytes) -> dict[str, NDArray[np.float64]]:
    """Return all numbers of a file by name; what is no number must be equal and so becomes part of a name."""
    if path.endswith(".safetensors"):
        numbers = {name: array.astype(np.float64) for name, array in load(data).items()}
        return numbers | {_described(data): np.zeros(0)}
    if path.endswith(".csv"):
        header, *rows = csv.reader(io.StringIO(data.decode()))
        return dict(_column(name, texts) for name, *texts in zip(header, *rows, strict=True))
    if path.endswith(".json"):
        return {name: np.array(float(value)) for name, value in leaves(json.loads(data))}
    raise ValueError("no table, no JSON and no weights")


def _column(name: str, texts: list[str]) -> tuple[str, NDArray[np.float64]]:
    try:
        return name, np.array([float(text) for text in texts])
    except ValueError:
        return f"{name}: {', '.join(texts)}", np.zeros(0)


def leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Return the values of nested dictionaries by their dotted keys."""
    if not isinstance(tree, dict):
        return [(prefix, tree)]
    return [leaf for name, value in tree.items() for leaf in leaves(value, f"{prefix}.{name}" if prefix else name)]


def _described(data: bytes) -> str:
    """Return the metadata of a safetensors file."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.dumps(header["__metadata__"], sort_keys=True)


def _digest(path: Path) -> str:
    """Return the digest of a file or folder as DVC writes it to dvc.lock."""
    if path.is_file():
        return md5(path)
    files = sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())
    entries = [{"md5": md5(path / file), "relpath": file} for file in files]
    return hashlib.md5(json.dumps(entries, sort_keys=True).encode(), usedforsecurity=False).hexdigest() + ".dir"
