"""An attention function of one's own, tried before anything is trained with it: what is wrong is told in one line.

A tiny example is enough, of sizes that are all different primes, so that no axis can pass for another.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from attention.functions.entry import AttentionFunction, Option, Options, Shapes
from attention.functions.normalizers import Values
from workbench.stage.errors import UserError, printable, show_value
from workbench.stage.streams import stream

if TYPE_CHECKING:
    from torch import Tensor

Features = Literal["one", "several", "real"]
SIZES = (3, 5, 7, 11, 13, 17, 19, 23, 1031)  # those that are the value of an option are left out
SEVERAL = 2  # features at a place


class FunctionError(UserError):
    """An attention function does not do what its entry says."""


def checked_entries(module: str, taken: Collection[str]) -> dict[str, AttentionFunction]:
    """Return the mapping FUNCTIONS of a module that is not among the laboratory's own; some names are taken.

    Raises:
        FunctionError: it cannot be imported, or holds something else.

    """
    file = f"{module.replace('.', '/')}.py"
    try:
        found = import_module(module).FUNCTIONS
    except UserError:
        raise
    except Exception as error:  # it can be anything: the code is the user's
        raise FunctionError(f"stages/{file}: {_told(error)}; mend it, or take the file away") from error
    wrong = (
        f"FUNCTIONS is {show_value(found)}; allowed: a mapping of names"
        if not isinstance(found, Mapping)
        else next((line for name, entry in found.items() if (line := _entry_problem(name, entry, taken))), None)
    )
    if wrong:
        raise FunctionError(f"stages/{file}: {wrong}; entry.py beside it says what an entry holds")
    return dict(found)


def _entry_problem(name: object, entry: object, taken: Collection[str]) -> str | None:
    if not isinstance(name, str) or not name.isidentifier():
        return f"got the name {show_value(name)}; allowed: a name like power"
    if not isinstance(entry, AttentionFunction):
        return f"{name}: got {show_value(entry)}; allowed: an AttentionFunction"
    if name in taken:
        return f"{name}: there is one of this name; allowed: another name"
    if not inspect.isfunction(entry.attend):
        return f"{name}: attend: got {show_value(entry.attend)}; allowed: a function written with def"
    if entry.values not in get_args(Values):
        return f"{name}: values: got {show_value(entry.values)}; allowed: one of: {', '.join(get_args(Values))}"
    for option, value in entry.options.items():
        if not option.isidentifier() or option == "attention":
            return f"{name}: got the option {show_value(option)}; allowed: a name like temperature"
        if not isinstance(value, Option) or not value.takes(value.default):
            return f"{name}: {option}: got {show_value(value)}; allowed: an Option whose default it takes"
    return None


def parameter_shapes(name: str, queries: int, keys: int, options: Options, function: AttentionFunction) -> Shapes:
    """Return the name and shape of each parameter.

    Raises:
        FunctionError: they cannot be had, or are no shapes.

    """
    try:
        shapes = {key: tuple(shape) for key, shape in function.shapes(queries, keys, **options).items()}
    except Exception as error:
        raise FunctionError(f"model.attention: {name}: shapes: {_told(error, function.shapes)}; mend it") from error
    if not all(isinstance(size, int) and size > 0 for shape in shapes.values() for size in shape):
        raise FunctionError(
            f"model.attention: {name}: shapes: got {show_value(shapes)}; allowed: whole numbers above 0 for each name"
        )
    return shapes


def draw_parameters(
    name: str, shapes: Shapes, random: np.random.Generator, seq_len: int, options: Options, function: AttentionFunction
) -> dict[str, NDArray[np.float32]]:
    """Draw each parameter as its entry says: standard normal where it says nothing.

    Raises:
        FunctionError: an initial value cannot be had, is of another shape or no finite number.

    """
    arrays = {}
    for key, shape in shapes.items():
        if (initial := function.initial.get(key)) is None:
            arrays[key] = random.standard_normal(shape).astype(np.float32)
            continue
        try:
            numbers = np.asarray(initial(random, shape, seq_len=seq_len, **options), np.float32)
        except Exception as error:
            raise FunctionError(f"model.attention: {name}: initial {key}: {_told(error, initial)}; mend it") from error
        if numbers.shape != shape or not np.isfinite(numbers).all():
            raise FunctionError(
                f"model.attention: {name}: initial {key}: got {show_value(numbers.tolist())}; "
                f"allowed: finite numbers of shape {shape}"
            )
        arrays[key] = numbers
    return arrays


def check_function(
    name: str,
    options: Options,
    function: AttentionFunction,
    queries: Features = "one",
    keys: Features | Literal["shared"] = "shared",
) -> None:
    """Attend to a tiny example with queries and keys of these kinds, as training does and as evaluation does.

    Raises:
        FunctionError: it fails, or what it returns is not the attention that its entry promises, or cannot be learned.

    """
    import torch

    random = stream(0, "check")
    sizes = [size for size in SIZES if size not in options.values()]
    n, queries_have, keys_have = sizes[:3]
    seq_len = next((size for size in sizes[3:] if not function.limits(options, size)), sizes[-1])
    keys_have = seq_len if keys == "shared" else keys_have

    def features(kind: str, things: tuple[int, ...], of: int) -> Tensor:
        if kind == "real":
            return torch.from_numpy(random.standard_normal((*things, of)).astype(np.float32))
        return torch.from_numpy(random.integers(0, of, things if kind == "one" else (*things, SEVERAL)))

    numbers = torch.arange(seq_len)
    query = features(queries, (n,), queries_have)
    key = numbers if keys == "shared" else features(keys, (n, seq_len), keys_have)
    noise = torch.from_numpy(random.random((n, seq_len), dtype=np.float32)) if function.takes_noise(options) else None
    shapes = parameter_shapes(name, queries_have, keys_have, options, function)
    parameters = {
        key: torch.from_numpy(array).requires_grad_()
        for key, array in draw_parameters(name, shapes, random, seq_len, options, function).items()
    }
    for drawn in (None,) if noise is None else (noise, None):
        try:
            attention = function.attend(parameters, query, key, positions=numbers.float(), noise=drawn, **options)
        except Exception as error:
            raise FunctionError(f"model.attention: {name}: attend: {_told(error, function.attend)}; mend it") from error
        if wrong := _wrong(attention, (n, seq_len), function.values_with(options)) or _unlearned(attention, parameters):
            raise FunctionError(f"model.attention: {name}: attend: {wrong}")


def _wrong(attention: Any, shape: tuple[int, int], values: str) -> str | None:
    import torch

    if not isinstance(attention, torch.Tensor):
        return f"returned {show_value(attention)}; allowed: a tensor"
    if attention.shape != shape:
        got = tuple(attention.shape)
        return f"returned the shape {got} for {shape[0]} queries and {shape[1]} positions; allowed: {shape}"
    if attention.dtype != torch.float32:
        return f"returned {attention.dtype} for float32; allowed: the parameters' own type"
    least, most, sums = attention.min().item(), attention.max().item(), attention.sum(-1)
    if not attention.isfinite().all():
        return f"returned {attention[~attention.isfinite()][0].item()}; allowed: finite numbers"
    if values != "any" and (least < 0 or most > 1 + 1e-5):
        return f"returned {least if least < 0 else most:.4g}; allowed: numbers in [0, 1], as its entry says"
    if values == "shares" and (sums - 1).abs().max() > 1e-4:
        return f"returned numbers that sum to {sums[0].item():.4g}; allowed: to 1, as its entry says (values: shares)"
    return None


def _unlearned(attention: Tensor, parameters: Mapping[str, Tensor]) -> str | None:
    import torch

    if not parameters:
        return None
    if not attention.requires_grad:
        return "has no gradient; allowed: operations of torch alone, none of them detached"
    found = torch.autograd.grad(attention.square().sum(), list(parameters.values()), allow_unused=True)
    for key, gradient in zip(parameters, found, strict=True):
        if gradient is not None and not gradient.isfinite().all():
            return f"has a gradient for {key} that is not finite; allowed: finite numbers"
    return None


def _told(error: Exception, code: Callable[..., object] | None = None) -> str:
    """Say in one line what an exception is, and in which line of the user's own file."""
    file = getattr(getattr(code, "__code__", None), "co_filename", None)
    lines = [frame.lineno for frame in extract_tb(error.__traceback__) if frame.filename == file]
    where = f"{Path(str(file)).name}, line {lines[-1]}: " if lines else ""
    return f"{where}{type(error).__name__}: {printable(str(error).strip().partition(chr(10))[0])}".rstrip(": ")
