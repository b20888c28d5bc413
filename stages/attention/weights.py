"""The numbers of a network, without torch: drawing them, and their file."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.check import draw_parameters, parameter_shapes
from attention.functions.entry import OptionError, Options, resolve_options
from workbench.stage.errors import UserError, show_name
from workbench.stage.inputs import from_json, regular
from workbench.stage.outputs import writing
from workbench.stage.streams import stream
from workbench.tracking.tracked import experiment_key

Arrays = dict[str, NDArray[np.float32]]
MOST_FILE, MOST_HEADER = 1_000_000_000, 1_000_000  # bytes
METADATA = "attention"  # one entry: safetensors writes several in an order that changes from process to process


class ModelError(UserError):
    """A model file is missing, damaged, or not one of ours."""


@dataclass(frozen=True)
class Weights:
    """A network as plain arrays.

    Attributes:
        function: the name of its attention function.
        n_contexts, seq_len: how many features its queries have, and how many positions there are.
        arrays: `attention.…` as the function's shapes say, `linear.weight` (1, seq_len), `linear.bias` (1,).
        origin: all that determines the numbers: parameters by dotted key, and data digests by file name.
        options: every option of its function.
        n_keys: how many features its keys have; None: one a position.

    """

    function: str
    n_contexts: int
    seq_len: int
    arrays: Arrays
    origin: Mapping[str, Any]
    options: Options = field(default_factory=dict)
    n_keys: int | None = None

    @property
    def key(self) -> str:
        """The experiment key: equal for two networks exactly when their origins are."""
        return experiment_key(self.origin)

    @property
    def output(self) -> NDArray[np.float32]:
        """The weights (seq_len,) of the linear output."""
        output: NDArray[np.float32] = self.arrays["linear.weight"][0]
        return output

    def with_arrays(self, arrays: Arrays) -> "Weights":
        """Return the same network with other numbers."""
        return replace(self, arrays=arrays)


def draw_weights(
    function: str,
    n_contexts: int,
    seq_len: int,
    seed: int,
    origin: Mapping[str, Any] | None = None,
    options: Mapping[str, float | str | None] | None = None,
    n_keys: int | None = None,
) -> Weights:
    """Draw initial weights with torch's distributions, from NumPy streams so that the bytes do not depend on the CPU.

    Attention parameters are standard normal (as in nn.Embedding) where the registry does not say otherwise, the linear
    layer uniform in ±1/√seq_len (nn.Linear).

    Raises:
        OptionError: the function cannot have these options.
        FunctionError: its entry does not say how they are drawn.

    """
    entry = ATTENTION_FUNCTIONS[function]
    resolved = resolve_options(entry, options or {}, seq_len)
    attention, linear = stream(seed, "attention weights"), stream(seed, "linear weights")
    bound = np.float32(1 / math.sqrt(seq_len))
    shapes = parameter_shapes(function, n_contexts, n_keys or seq_len, resolved, entry)
    drawn = draw_parameters(function, shapes, attention, seq_len, resolved, entry)
    arrays = {f"attention.{name}": numbers for name, numbers in drawn.items()}
    for name, shape in _linear_shapes(seq_len).items():
        arrays[name] = (2 * linear.random(shape, dtype=np.float32) - 1) * bound
    return Weights(function, n_contexts, seq_len, arrays, origin or {}, resolved, n_keys)


def save_weights(path: str | Path, weights: Weights) -> None:
    """Write a safetensors file whose metadata rebuilds the network; equal weights give equal bytes."""
    about = {
        "function": weights.function,
        "n_contexts": weights.n_contexts,
        "seq_len": weights.seq_len,
        "origin": weights.origin,
        "key": weights.key,
    }
    if weights.options:
        about["options"] = weights.options
    if weights.n_keys is not None:
        about["n_keys"] = weights.n_keys
    with writing(path) as beside:
        beside.write_bytes(save(weights.arrays, metadata={METADATA: _canonical(about)}))


def load_weights(path: str | Path, n_contexts: int | None = None, seq_len: int | None = None) -> Weights:
    """Read what `save_weights` wrote. Nothing in the file is ever executed.

    Raises:
        ModelError: the file is missing, no safetensors file, not one of ours, does not hold what its metadata says, or
            is not of the sizes asked for.

    """
    try:
        with regular(path, MOST_FILE).open("rb") as start:
            if int.from_bytes(start.read(8), "little") > MOST_HEADER:
                raise ValueError("a header larger than any of ours")
        with safe_open(path, framework="numpy") as file:
            metadata = (file.metadata() or {}).get(METADATA)
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); `dvc repro train` writes it") from error
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ModelError(f"{path}: not a safetensors file; {_AGAIN}") from error
    if metadata is None:
        raise ModelError(f"{path}: has no {METADATA!r} metadata, so it is not a network of this project; {_AGAIN}")
    try:
        about = from_json(metadata)
        n, s, options, n_keys = about["n_contexts"], about["seq_len"], about.get("options", {}), about.get("n_keys")
        weights = Weights(about["function"], n, s, arrays, about["origin"], options, n_keys)
        if not {type(n), type(s), type(s if n_keys is None else n_keys)} == {int}:  # 7.0 and true would pass for 7, 1
            raise TypeError
        function = ATTENTION_FUNCTIONS[weights.function]
        if resolve_options(function, options, s) != options:
            raise ValueError
        key_holds = about["key"] == weights.key
        shapes = array_shapes(weights)
    except (ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError, OptionError) as error:
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


def array_shapes(weights: Weights) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every array, in the order of the registry, in which compiled programs take them."""
    function = ATTENTION_FUNCTIONS[weights.function]
    n_keys = weights.n_keys or weights.seq_len
    attention = parameter_shapes(weights.function, weights.n_contexts, n_keys, weights.options, function)
    return {f"attention.{name}": shape for name, shape in attention.items()} | _linear_shapes(weights.seq_len)


def _linear_shapes(seq_len: int) -> dict[str, tuple[int, ...]]:
    return {"linear.weight": (1, seq_len), "linear.bias": (1,)}


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
