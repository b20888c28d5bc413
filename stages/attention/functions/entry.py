"""What the registry of attention functions holds: an entry for each function, with the options that it takes.

torch itself is imported only by who calls a function: names, shapes, options and equations cost nothing to read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from attention.functions.normalizers import NORMALIZERS, Values
from workbench.stage.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

Parameters = Mapping[str, "Tensor"]
Shapes = dict[str, tuple[int, ...]]
Options = Mapping[str, Any]  # of each option's own kind
Initial = Callable[..., NDArray[np.floating[Any]]]


class OptionError(UserError):
    """An attention function is asked for with an option that it does not have, or of a value that it cannot take."""


@dataclass(frozen=True)
class Option:
    """What steers an attention function: `model.<name>` in params.yaml, where null stands for the default.

    Attributes:
        default: a whole number, a number or a word; other values are of the same kind.
        low: the least that a number may be.
        high: the largest.
        words: all that a word may be.

    """

    default: int | float | str
    low: float = -math.inf
    high: float = math.inf
    words: tuple[str, ...] = ()

    @property
    def allowed(self) -> str:
        """The values allowed, for people."""
        if isinstance(self.default, str):
            return f"one of: {', '.join(self.words)}"
        return f"a {'whole ' if isinstance(self.default, int) else ''}number from {self.low:g} to {self.high:g}"

    def takes(self, value: object) -> bool:
        """Whether a value is of the kind and in the range."""
        if isinstance(self.default, str):
            return value in self.words
        kinds = (int,) if isinstance(self.default, int) else (int, float)
        return type(value) in kinds and self.low <= value <= self.high  # type: ignore[operator]  # true is no 1

    def convert(self, value: Any) -> Any:
        """Return a value as one of the kind: 2 as 2.0, where numbers need not be whole."""
        return type(self.default)(value)


WIDTH = Option(8, 1, 1024)  # d, of queries and keys
TEMPERATURE = Option(1.0, 0.001, 1000)  # τ: scores are divided by it
NORMALIZED = {"normalizer": Option("softmax", words=tuple(NORMALIZERS)), "temperature": TEMPERATURE}


def _no_limits(_options: Options, _seq_len: int) -> dict[str, str]:
    return {}


@dataclass(frozen=True, eq=False)
class AttentionFunction:
    """How much each of S positions counts for a query, of which something is known, and of each position too: its key.

    Every callable but `limits` is given the function's options by name: it names those that it needs, and swallows the
    rest with `**_`.

    Attributes:
        attend: from the parameters, the queries of n examples and their keys, as features.py says, to the attention
            (n, S); by name it gets `positions`, which are 0.0, 1.0 … S - 1, and `noise`.
        shapes: from how many features queries and keys have to the name and shape of each parameter; singular names,
            because a few plural ones (keys, values) are methods of torch's ParameterDict.
        equation: what `attend` computes, for people.
        source: where it comes from.
        values: what is known of the attention: nothing, that it lies in [0, 1], or that these sum to 1 besides. With
            another normalizer than its own, shares are what that one gives.
        options: from the name of each option to what it takes, and its default.
        limits: from all options and S to what is wrong with them together: what an option allows, by its name.
        initial: how a parameter starts where it is not standard normal: from a generator and the shape, and by
            name `seq_len` = S, to the numbers.
        noisy: whether training gives `attend` noise (n, S), uniform in [0, 1); elsewhere `noise` is None. A normalizer
            that is noisy has it given, too.
        ordered: whether where a position stands means something: `attend` reads `positions`, or the
            neighbours of one. Else attention follows the keys, in whatever order they come.

    """

    attend: Callable[..., Tensor]
    shapes: Callable[..., Shapes]
    equation: str
    source: str
    values: Values = "any"
    options: Mapping[str, Option] = field(default_factory=dict)
    limits: Callable[[Options, int], dict[str, str]] = _no_limits
    initial: Mapping[str, Initial] = field(default_factory=dict)
    noisy: bool = False
    ordered: bool = False

    def takes_noise(self, options: Options) -> bool:
        """Whether training gives noise to the function with these options."""
        return self.noisy or ("normalizer" in options and NORMALIZERS[options["normalizer"]].noisy)

    def values_with(self, options: Options) -> Values:
        """Return what is known of the attention with these options."""
        shared = self.values == "shares" and "normalizer" in options
        return NORMALIZERS[options["normalizer"]].values if shared else self.values


def option_problems(function: AttentionFunction, given: Mapping[str, Any], seq_len: int) -> dict[str, str]:
    """Return what is wrong: from the name of an option to what it allows. None stands for the default."""
    problems = {}
    for name, value in given.items():
        if value is not None and name not in function.options:
            names = ", ".join(function.options) or "none"
            problems[name] = f"null, as the function has no such option (it has: {names}); set it to null"
        elif value is not None and not function.options[name].takes(value):
            problems[name] = f"null, or {function.options[name].allowed}"
    return problems or function.limits(with_defaults(function, given), seq_len)


def resolve_options(function: AttentionFunction, given: Mapping[str, Any], seq_len: int) -> dict[str, Any]:
    """Return all options of a function: those given, and the defaults of the others.

    Raises:
        OptionError: one line for each problem.

    """
    problems = option_problems(function, given, seq_len)
    if problems:
        lines = (f"{name}: got {given.get(name)!r}; allowed: {allowed}" for name, allowed in problems.items())
        raise OptionError("\n".join(lines))
    return with_defaults(function, given)


def with_defaults(function: AttentionFunction, given: Mapping[str, Any]) -> dict[str, Any]:
    """Return all options of a function, unchecked."""
    return {
        name: option.default if given.get(name) is None else option.convert(given[name])
        for name, option in function.options.items()
    }


def linear_uniform(random: np.random.Generator, shape: tuple[int, ...], **_: object) -> NDArray[np.float32]:
    """U(±1/√d) for the last axis d, as nn.Linear and nn.Bilinear begin."""
    bound = np.float32(1 / math.sqrt(shape[-1]))
    return (2 * random.random(shape, dtype=np.float32) - 1) * bound
