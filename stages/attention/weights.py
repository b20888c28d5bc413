"""The numbers of a network, without torch: drawing them, and their file."""

import functools
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.check import FunctionError, draw_parameters, parameter_shapes
from attention.functions.entry import AttentionFunction, OptionError, Options, Shapes, resolve_options
from attention.tasks.entry import TaskError
from attention.tasks.problem import Problem, make_problem
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
        arrays: `attention.…` as the function's shapes say, `linear.weight` (1, seq_len), `linear.bias` (1,),
            of classes (classes,).
        origin: all that determines the numbers: parameters by dotted key, and data digests by file name.
        options: every option of its function.
        n_keys: how many features its keys have; None: one a position.
        classes: how many classes the values are of; None: they are numbers.
        problem: the task that it is for; None: lookup, of which it knows no more than its sizes.

    """

    function: str
    n_contexts: int
    seq_len: int
    arrays: Arrays
    origin: Mapping[str, Any]
    options: Options = field(default_factory=dict)
    n_keys: int | None = None
    classes: int | None = None
    problem: Problem | None = None

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
    classes: int | None = None,
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
    for name, shape in _linear_shapes(seq_len, classes).items():
        arrays[name] = (2 * linear.random(shape, dtype=np.float32) - 1) * bound
    return Weights(function, n_contexts, seq_len, arrays, origin or {}, resolved, n_keys, classes)


def initial_weights(
    function: str,
    problem: Problem,
    seed: int,
    origin: Mapping[str, Any] | None = None,
    options: Mapping[str, float | None] | None = None,
) -> Weights:
    """Draw as `draw_weights` does, for the sizes of a task."""
    sized = sized_weights(function, problem, {})
    sizes = sized.n_contexts, sized.seq_len, seed, origin, options, sized.n_keys, sized.classes
    return replace(draw_weights(function, *sizes), problem=sized.problem)


def sized_weights(function: str, problem: Problem, options: Options) -> Weights:
    """Return a network for a task that has no numbers yet."""
    lookup = problem.task == "lookup"
    return Weights(
        function,
        problem.n_queries,
        problem.seq_len,
        {},
        {},
        options,
        None if lookup else problem.n_keys,
        problem.classes,
        None if lookup else problem,
    )


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
    if weights.classes is not None:
        about["classes"] = weights.classes
    if weights.problem is not None:
        about["problem"] = asdict(weights.problem)
    with writing(path) as beside:
        beside.write_bytes(save(weights.arrays, metadata={METADATA: _canonical(about)}))


def load_weights(path: str | Path, problem: Problem | None = None) -> Weights:
    """Read what `save_weights` wrote. Nothing in the file is ever executed.

    Raises:
        ModelError: the file is missing, no safetensors file, not one of ours, does not hold what its metadata says, or
            is not for that problem.

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
        classes, own = about.get("classes"), _problem_of(about)
        weights = Weights(about["function"], n, s, arrays, about["origin"], options, n_keys, classes, own)
        numbers = [n, s, *(one for one in (n_keys, classes) if one is not None)]
        if {type(one) for one in numbers} != {int}:  # 7.0 and true would pass for 7 and 1
            raise TypeError
        if own and (n, s, n_keys, classes) != _sizes_of(own):
            raise ValueError
        function = ATTENTION_FUNCTIONS[weights.function]
        if resolve_options(function, options, s) != options:
            raise ValueError
        key_holds = about["key"] == weights.key
        shapes = array_shapes(weights)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        ArithmeticError,
        RecursionError,
        FunctionError,
        OptionError,
        TaskError,
    ) as error:
        raise ModelError(f"{path}: its metadata does not describe a network; {_AGAIN}") from error
    if not key_holds:
        raise ModelError(f"{path}: its experiment key does not belong to its parameters; {_AGAIN}")
    if {name: array.shape for name, array in arrays.items()} != shapes:
        found = show_name({name: array.shape for name, array in sorted(arrays.items())}, 300)
        raise ModelError(f"{path}: got arrays {found}; allowed for {weights.function}: {shapes}; {_AGAIN}")
    for name, array in arrays.items():
        if array.dtype != np.float32 or not np.isfinite(array).all():
            raise ModelError(f"{path}: {name} must hold finite float32 numbers; {_AGAIN}")
    if problem and (got := _about_problem(weights)) != (wanted := _about_problem(problem)):
        raise ModelError(f"{path}: got a network of {got}; allowed: {wanted}, as the data have; {_AGAIN}")
    return weights


def _about_problem(of: Weights | Problem) -> str:
    """Say what a network is for, or a problem asks of one."""
    if isinstance(of, Weights):
        if of.problem:
            return _about_problem(of.problem)
        return f"{of.n_contexts} contexts and {of.seq_len} positions"
    if of.task == "lookup":
        return f"{of.n_queries} contexts and {of.seq_len} positions"
    sizes = "".join(f", {name} {size}" for name, size in of.sizes.items())
    return f"{of.task}{sizes}, keys {of.keys}"


_AGAIN = "`dvc repro -f train` writes it again"


def array_shapes(weights: Weights) -> dict[str, tuple[int, ...]]:
    """Return the name and shape of every array, in the order of the registry, in which compiled programs take them."""
    function, n_keys = ATTENTION_FUNCTIONS[weights.function], weights.n_keys or weights.seq_len
    options = tuple(weights.options.items())
    attention = _attention_shapes(weights.function, weights.n_contexts, n_keys, options, function)
    linear = _linear_shapes(weights.seq_len, weights.classes)
    return {f"attention.{name}": shape for name, shape in attention.items()} | linear


@functools.cache  # asked several times an epoch, which takes a third of a millisecond
def _attention_shapes(
    name: str, queries: int, keys: int, options: tuple[tuple[str, Any], ...], function: AttentionFunction
) -> Shapes:
    return parameter_shapes(name, queries, keys, dict(options), function)


def _linear_shapes(seq_len: int, classes: int | None) -> dict[str, tuple[int, ...]]:
    return {"linear.weight": (1, seq_len), "linear.bias": (classes or 1,)}


def _problem_of(about: Mapping[str, Any]) -> Problem | None:
    """Return the task that metadata describe."""
    if "problem" not in about:
        return None
    problem = make_problem(**about["problem"])
    if asdict(problem) != about["problem"] or problem.task == "lookup":
        raise ValueError("sizes left out")
    return problem


def _sizes_of(problem: Problem) -> tuple[int, int, int, int | None]:
    return problem.n_queries, problem.seq_len, problem.n_keys, problem.classes


def _canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
