"""Whether a run made again agrees with what is recorded: byte for byte or, where that cannot be promised, in numbers.

The compiled engine promises its bytes on any CPU. torch does not: which instructions its exp, tanh and sums take is the
CPU's choice, and 40,000 steps make much of a last bit. So files that torch computed may differ by a stated tolerance;
then the recorded ones take their place, and what follows from them is made again and must agree by itself. Pictures are
drawn without torch: theirs are always compared byte for byte.
"""

import csv
import io
import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load

from workbench.command.snapshot import State, digest, reproduce
from attention.training.engines import promises_bytes
from attention.weights import METADATA

EXACT = ("epoch", "context", "position", "truth")  # columns that no arithmetic of torch goes into


@dataclass(frozen=True)
class Tolerance:
    """How far numbers may be apart: squared errors, and all others (weights, attention, recovery)."""

    error: float
    other: float

    def of(self, name: str) -> float:
        """Return what is allowed for the number of that name."""
        if name in EXACT:
            return 0.0
        return self.error if name == "mse" or name.startswith("baseline.") else self.other


# Of a training through torch, and of an evaluation through torch of the same weights, which only rounds otherwise.
# `python benchmarks/trust.py torch` measures how far apart they really are.
TORCH = {"train": Tolerance(error=1e-4, other=0.25), "evaluate": Tolerance(error=1e-6, other=1e-5)}
FOLLOWS = {"train": "evaluate", "evaluate": "plot"}


@dataclass(frozen=True)
class Agreement:
    """One output: the digests, and the verdict: same, within the tolerance, or DIFFERENT with the reason."""

    path: str
    expected: str
    got: str
    verdict: str

    @property
    def holds(self) -> bool:
        """Whether the output may pass."""
        return not self.verdict.startswith("DIFFERENT")


def compare(state: State, root: Path, folder: Path) -> list[Agreement]:
    """Compare the outputs of a copy with those of its state, and bring it to the recorded bytes where torch's differ.

    Args:
        state: what is expected.
        root: the project, where the recorded files are looked for.
        folder: the copy, in which `dvc repro` has run.

    """
    found = {path: _bytes(path, state.outputs[path], folder) for path in sorted(state.outputs)}
    if all(one.holds for one in found.values()) or promises_bytes(engine_of(folder)):
        return list(found.values())
    replaced = False
    for stage, tolerance in TORCH.items():
        different = [path for path in _of_stage(found, stage) if found[path].verdict != "same"]
        for path in different:
            found[path] = _numbers(found[path], tolerance, state.recorded(root, path), folder)
        if not all(found[path].holds for path in different):
            break  # another training: what follows from it is another, too
        for path in different:
            replaced = True
            (folder / path).unlink()  # it may be a link into the cache
            (folder / path).write_bytes(state.recorded(root, path) or b"")
        if replaced:
            reproduce(folder, "--force", "--no-run-cache", "--single-item", FOLLOWS[stage])
            found |= {path: _bytes(path, state.outputs[path], folder) for path in _of_stage(found, FOLLOWS[stage])}
    if replaced:
        subprocess.run([sys.executable, "-m", "dvc", "commit", "--force", "--quiet"], cwd=folder, check=True)
    return list(found.values())


def engine_of(folder: Path) -> str:
    """Return the engine that trained the model of a copy, as its file says; empty where it does not."""
    try:
        return str(
            about((folder / "data/train/model.safetensors").read_bytes())["origin"]["parameters"]["train.engine"]
        )
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def distances(path: str, expected: bytes, got: bytes) -> dict[str, float]:
    """Return by name how far the numbers of two files are apart at most.

    Raises:
        ValueError: they differ in more than numbers.

    """
    one, other = (_contents(path, data) for data in (expected, got))
    if one.keys() != other.keys() or any(one[name].shape != other[name].shape for name in one):
        raise ValueError("in more than numbers")
    return {name: float(np.abs(one[name] - other[name]).max(initial=0.0)) for name in one}


def _bytes(path: str, expected: str, folder: Path) -> Agreement:
    got = digest(folder / path) if (folder / path).exists() else "missing"
    return Agreement(path, expected, got, "same" if got == expected else "DIFFERENT")


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
    except (ValueError, TypeError, LookupError, SafetensorError):
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
        described = json.dumps(about(data), sort_keys=True)
        return {name: array.astype(np.float64) for name, array in load(data).items()} | {described: np.zeros(0)}
    if path.endswith(".csv"):
        header, *rows = csv.reader(io.StringIO(data.decode()))
        return dict(_column(name, texts) for name, *texts in zip(header, *rows, strict=True))
    if path.endswith(".json"):
        return {name: np.array(float(value)) for name, value in _leaves(json.loads(data))}
    raise ValueError("no table, no JSON and no weights")


def _column(name: str, texts: list[str]) -> tuple[str, NDArray[np.float64]]:
    try:
        return name, np.array([float(text) for text in texts])
    except ValueError:
        return f"{name}: {', '.join(texts)}", np.zeros(0)


def _leaves(tree: Any, prefix: str = "") -> list[tuple[str, Any]]:
    if not isinstance(tree, dict):
        return [(prefix, tree)]
    return [leaf for name, value in tree.items() for leaf in _leaves(value, f"{prefix}.{name}" if prefix else name)]


def about(data: bytes) -> Any:
    """Return what the metadata of a safetensors file say of the network."""
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return json.loads(header["__metadata__"][METADATA])
