"""The numbers of a network, without torch: drawing them, and their file."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from attention.errors import ModelError, show_name
from attention.functions import ATTENTION_FUNCTIONS
from attention.outputs import writing
from attention.streams import stream

Arrays = dict[str, NDArray[np.float32]]
_METADATA = "attention"  # one entry: safetensors writes several in an order that changes from process to process


@dataclass(frozen=True)
class Weights:
    """A network as plain arrays.

    Attributes:
        function: the name of its attention function.
        n_contexts, seq_len: its sizes.
        arrays: `attention.…` as the function's shapes say, `linear.weight` (1, seq_len), `linear.bias` (1,).
        origin: all that determines the numbers: parameters by dotted key, and data digests by file name.

    """

    function: str
    n_contexts: int
    seq_len: int
    arrays: Arrays
    origin: Mapping[str, Any]

    @property
    def key(self) -> str:
        """The experiment key: equal for two networks exactly when their origins are."""
        return hashlib.sha256(_canonical(self.origin).encode()).hexdigest()[:32]

    def with_arrays(self, arrays: Arrays) -> "Weights":
        """Return the same network with other numbers."""
        return replace(self, arrays=arrays)


def draw_weights(
    function: str, n_contexts: int, seq_len: int, seed: int, origin: Mapping[str, Any] | None = None
) -> Weights:
    """Draw initial weights with torch's distributions, from NumPy streams so that the bytes do not depend on the CPU.

    Attention parameters are standard normal (as in nn.Embedding), the linear layer uniform in ±1/√seq_len (nn.Linear).
    """
    attention, linear = stream(seed, "attention weights"), stream(seed, "linear weights")
    bound = np.float32(1 / math.sqrt(seq_len))
    arrays = {
        f"attention.{name}": attention.standard_normal(shape).astype(np.float32)
        for name, shape in ATTENTION_FUNCTIONS[function].shapes(n_contexts, seq_len).items()
    }
    for name, shape in _linear_shapes(seq_len).items():
        arrays[name] = (2 * linear.random(shape, dtype=np.float32) - 1) * bound
    return Weights(function, n_contexts, seq_len, arrays, origin or {})


def save_weights(path: str | Path, weights: Weights) -> None:
    """Write a safetensors file whose metadata rebuilds the network; equal weights give equal bytes."""
    about = {
        "function": weights.function,
        "n_contexts": weights.n_contexts,
        "seq_len": weights.seq_len,
        "origin": weights.origin,
        "key": weights.key,
    }
    with writing(path) as beside:
        beside.write_bytes(save(weights.arrays, metadata={_METADATA: _canonical(about)}))


def load_weights(path: str | Path, n_contexts: int | None = None, seq_len: int | None = None) -> Weights:
    """Read what `save_weights` wrote. Nothing in the file is ever executed.

    Raises:
        ModelError: the file is missing, no safetensors file, not one of ours, does not hold what its metadata says, or
            is not of the sizes asked for.

    """
    try:
        Path(path).open("rb").close()  # what safetensors says of a missing file has neither errno nor strerror
        with safe_open(path, framework="numpy") as file:
            metadata = (file.metadata() or {}).get(_METADATA)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); `dvc repro train` writes it") from error
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: not a safetensors file; {_AGAIN}") from error
    if metadata is None:
        raise ModelError(f"{path}: has no {_METADATA!r} metadata, so it is not a network of this project; {_AGAIN}")
    try:
        about = json.loads(metadata)
        weights = Weights(about["function"], about["n_contexts"], about["seq_len"], arrays, about["origin"])
        if not type(weights.n_contexts) is type(weights.seq_len) is int:  # 7.0 and true would pass for 7 and 1
            raise TypeError
        function = ATTENTION_FUNCTIONS[weights.function]
        key_holds = about["key"] == weights.key
        shapes = {
            f"attention.{name}": shape for name, shape in function.shapes(weights.n_contexts, weights.seq_len).items()
        }
        shapes |= _linear_shapes(weights.seq_len)
    except (ValueError, TypeError, KeyError, ArithmeticError, RecursionError) as error:
        raise ModelError(f"{path}: its metadata does not describe a network; {_AGAIN}") from error
    if not key_holds:
        raise ModelError(f"{path}: its experiment key does not belong to its parameters; {_AGAIN}")
    if {name: array.shape for name, array in arrays.items()} != shapes:
        found = show_name({name: array.shape for name, array in sorted(arrays.items())}, 300)
        raise ModelError(f"{path}: got arrays {found}; allowed for {weights.function}: {shapes}; {_AGAIN}")
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ModelError(f"{path}: {name} must hold finite float32 numbers; {_AGAIN}")
    wanted = (n_contexts or weights.n_contexts, seq_len or weights.seq_len)
    if wanted != (weights.n_contexts, weights.seq_len):
        raise ModelError(
            f"{path}: got a network of {weights.n_contexts} contexts and {weights.seq_len} positions; "
            f"allowed: {wanted[0]} and {wanted[1]}, as the data have; {_AGAIN}"
        )
    return weights


_AGAIN = "`dvc repro -f train` writes it again"


def _linear_shapes(seq_len: int) -> dict[str, tuple[int, ...]]:
    return {"linear.weight": (1, seq_len), "linear.bias": (1,)}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
