"""What the registry of attention functions holds: an entry for each function, and the options that they share.

torch itself is imported only by who calls a function: names, shapes, options and equations cost nothing to read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from workbench.stage.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Parameters = Mapping[str, "Tensor"]
Shapes = dict[str, tuple[int, ...]]
Options = Mapping[str, float]
Initial = Callable[..., NDArray[np.floating[Any]]]


class OptionError(UserError):
    """An attention function is asked for with an option that it does not have, or of a value that it cannot take."""


@dataclass(frozen=True)
class AttentionFunction:
    """How much each of S positions counts for a query, of which something is known, and of each position too: its key.

    Every callable is also given the function's options by name: it names those that it needs, and swallows the rest
    with `**_`.

    Attributes:
        attend: from the parameters, the queries of n examples and their keys, as features.py says, to the attention
            (n, S); by name it gets `positions`, which are 0.0, 1.0 … S - 1, and `noise`.
        shapes: from how many features queries and keys have to the name and shape of each parameter; singular names,
            because a few plural ones (keys, values) are methods of torch's ParameterDict.
        equation: what `attend` computes, for people.
        source: where it comes from.
        values: what is known of the attention: nothing, that it lies in [0, 1], or that these sum to 1 besides.
        options: the function's own default for each of its OPTIONS.
        initial: how a parameter starts where it is not standard normal: from a generator and the shape, and by
            name `seq_len` = S, to the numbers.
        noisy: whether training gives `attend` noise (n, S), uniform in [0, 1); elsewhere `noise` is None.

    """

    attend: Callable[..., Tensor]
    shapes: Callable[..., Shapes]
    equation: str
    source: str
    values: Literal["any", "in [0, 1]", "shares"] = "any"
    options: Options = field(default_factory=dict)
    initial: Mapping[str, Initial] = field(default_factory=dict)
    noisy: bool = False


@dataclass(frozen=True)
class Option:
    """A number that steers attention functions: `model.<name>` in params.yaml, null for a function's own default."""

    kind: type[int] | type[float]
    low: float
    high: float

    @property
    def allowed(self) -> str:
        """The values allowed, for people."""
        return f"a {'whole ' if self.kind is int else ''}number from {self.low:g} to {self.high:g}"

    def takes(self, value: object) -> bool:
        """Whether a value is of the kind and in the range."""
        kinds = (int,) if self.kind is int else (int, float)
        return type(value) in kinds and self.low <= value <= self.high  # type: ignore[operator]  # true is no 1


OPTIONS: Mapping[str, Option] = {
    "temperature": Option(float, 0.001, 1000),  # scores are divided by it
    "width": Option(int, 1, 1024),  # d, of queries and keys
    "heads": Option(int, 1, 1024),  # they share the width
    "window": Option(int, 1, 1024),  # D: positions at most so far from the centre count
    "beta": Option(float, 0.001, 1000),  # the sharpness that training starts from
}


def option_problems(function: AttentionFunction, given: Mapping[str, Any], seq_len: int) -> dict[str, str]:
    """Return what is wrong: from the name of an option to what it allows. None stands for the default."""
    problems = {}
    for name, value in given.items():
        if value is not None and name not in function.options:
            names = ", ".join(function.options) or "none"
            problems[name] = f"null, as the function has no such option (it has: {names}); set it to null"
        elif value is not None and not OPTIONS[name].takes(value):
            problems[name] = f"null, or {OPTIONS[name].allowed}"
    if problems:
        return problems
    options = _with_defaults(function, given)
    if "heads" in options and options["width"] % options["heads"]:
        problems["heads"] = f"a divisor of the width, {options['width']}; change heads or width"
    if "window" in options and options["window"] > seq_len:
        problems["window"] = f"at most the number of positions, {seq_len}; choose a smaller window"
    return problems


def resolve_options(function: AttentionFunction, given: Mapping[str, Any], seq_len: int) -> dict[str, float]:
    """Return all options of a function: those given, and the defaults of the others.

    Raises:
        OptionError: one line for each problem.

    """
    problems = option_problems(function, given, seq_len)
    if problems:
        lines = (f"{name}: got {given.get(name)!r}; allowed: {allowed}" for name, allowed in problems.items())
        raise OptionError("\n".join(lines))
    return _with_defaults(function, given)


def _with_defaults(function: AttentionFunction, given: Mapping[str, Any]) -> dict[str, float]:
    chosen = {name: default if given.get(name) is None else given[name] for name, default in function.options.items()}
    return {name: OPTIONS[name].kind(value) for name, value in chosen.items()}


def linear_uniform(random: np.random.Generator, shape: tuple[int, ...], **_: object) -> NDArray[np.float32]:
    """U(±1/√d) for the last axis d, as nn.Linear and nn.Bilinear begin."""
    bound = np.float32(1 / math.sqrt(shape[-1]))
    return (2 * random.random(shape, dtype=np.float32) - 1) * bound
