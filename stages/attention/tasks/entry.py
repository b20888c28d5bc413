"""What the registry of tasks holds: an entry for each, what it draws, and what of it a network is given.

A task draws plain facts, the columns of its table. What tells where to look (queries and keys, as features) and what is
there to be said (values) is made of them. The law of a task: what tells where to look must not tell what to say.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.stage.errors import UserError
from workbench.stage.streams import stream

Array = NDArray[Any]
Columns = Mapping[str, Array]  # by name, (n,) or for each position (n, seq_len)
Sizes = Mapping[str, Any]
Positions = NDArray[np.int64]


class TaskError(UserError):
    """A task is asked for that there is not, or of sizes that it cannot have."""


class Streams:
    """The generators that the examples of a split are drawn from, one for each purpose."""

    def __init__(self, seed: int, split: str) -> None:
        self._seed, self._split = seed, split
        self._begun: dict[str, np.random.Generator] = {}

    def __getitem__(self, purpose: str) -> np.random.Generator:
        """Return the generator of a purpose, where the last draw has left it."""
        if purpose not in self._begun:
            self._begun[purpose] = stream(self._seed, f"{self._split} {purpose}")
        return self._begun[purpose]

    def uniform(self, purpose: str, *shape: int) -> NDArray[np.float32]:
        """Return numbers from U[0, 1) of 24 random bits, which are the same on any CPU."""
        return self[purpose].random(shape, dtype=np.float32)

    def whole(self, purpose: str, below: int, *shape: int) -> NDArray[np.int64]:
        """Return whole numbers from 0 up to, not including, `below`."""
        return self[purpose].integers(0, below, shape)

    def shuffled(self, purpose: str, rows: int, below: int) -> NDArray[np.int64]:
        """Return 0 … below - 1 in a random order in each row."""
        return self.uniform(purpose, rows, below).argsort(axis=1, kind="stable")  # else ties would depend on the CPU


class Column(NamedTuple):
    """A column of a task's table, or one for each position: `x_0`, `x_1` …."""

    name: str
    below: int | None = None  # whole numbers from 0 up to, not including, this; None: real ones from 0 up to 1
    by_position: bool = False


class Feature(NamedTuple):
    """What is known of a query or of each key: which of `number` features it has, or how much of each.

    Attributes:
        number: from the sizes to how many features there are.
        of: from the columns and sizes to the number of the feature, from 0: (n,) for queries, (n, seq_len) for keys.
            With one axis more: of several features each, -1 in the place of one that is not there; or, if `real`, how
            much there is of every feature.
        real: whether `of` gives real numbers.

    """

    number: Callable[[Sizes], int]
    of: Callable[[Columns, Sizes], Array]
    real: bool = False


@dataclass(frozen=True)
class Size:
    """A whole number that a task is made with: `data.<name>` in params.yaml, null for the task's own default."""

    default: Any
    low: int = 1
    high: int = 1024

    @property
    def allowed(self) -> str:
        """The values allowed, for people."""
        return f"a whole number from {self.low} to {self.high}"

    def takes(self, value: object) -> bool:
        """Whether a value is of the kind and in the range."""
        return type(value) is int and self.low <= value <= self.high


class TrueAttention(Size):
    """A size that is a list: the position that each context of `lookup` reads; or the word random, to draw them."""

    allowed = "the word random, or a list with a position (from 0 to data.seq_len - 1) for each context"

    def takes(self, value: object) -> bool:
        """Whether a value is the word, or a list of whole numbers."""
        return value == "random" or (type(value) is list and all(type(one) is int for one in value))


POSITION = "position"  # a key that says only where it is: the same for all examples


@dataclass(frozen=True)
class Task:
    """What is to be learned. Of `seq_len` positions one is the true one, and the target is the value there.

    Every callable is also given the task's sizes, as a mapping by name.

    Attributes:
        equation: what the target is, for people.
        source: the case that it stands for, and where it comes from.
        teaches: what it adds to the others, and what cannot do it.
        sizes: its own sizes by name.
        seq_len: the number of positions.
        columns: those of its table, besides the target and the truth.
        draw: from the streams and a number to the columns of the next examples, about so many; what is drawn of an
            example does not depend on how many are drawn at once.
        truth: from the columns to the true position (n,) of each example; -1 where there is none.
        values: the column that holds the values. Real numbers are learned with the squared error, of whole numbers,
            which are classes, each a one-hot vector, the cross-entropy.
        queries: what is known of the query.
        keys: what may be known of the keys; `data.keys` chooses of it, joined by a +.
        default_keys: what it chooses where it is null.
        kind: what the kinds of cases are called by which recovery is told, and from the columns and the truth to the
            kind (n,) of each.
        problems: from the sizes to what is wrong with some together: what each allows.
        settled: from the seed and the sizes to the sizes, where one of them may be drawn.

    """

    equation: str
    source: str
    teaches: str
    sizes: Mapping[str, Size]
    seq_len: Callable[[Sizes], int]
    columns: Callable[[Sizes], Sequence[Column]]
    draw: Callable[[Streams, int, Sizes], Columns]
    truth: Callable[[Columns, Sizes], Positions]
    queries: Feature
    keys: Mapping[str, Feature]
    default_keys: str
    kind: tuple[str, Callable[[Columns, Positions, Sizes], Positions]]
    values: str = "x"
    problems: Callable[[Sizes], Mapping[str, str]] = field(default=lambda _: {})
    settled: Callable[[int, Sizes], Sizes] = field(default=lambda _, sizes: sizes)

    @property
    def real_keys(self) -> bool:
        """Whether keys are real numbers, which stand alone."""
        return any(feature.real for feature in self.keys.values())


def true_position(_columns: Columns, truth: Positions, _sizes: Sizes) -> Positions:
    """Return the kind of a case that is nothing but where its truth is."""
    return truth


def sequence(sizes: Sizes) -> int:
    """Return the length of a sequence, of a task that has this size."""
    return int(sizes["seq_len"])


def constant(number: int) -> Callable[[Sizes], int]:
    """Return a number of features that no size changes."""
    return lambda _: number


def matching(names: NDArray[np.int64], wanted: NDArray[np.int64]) -> Positions:
    """Return the first position (n,) of names (n, seq_len) that is the one wanted (n,); -1 where none is."""
    found = names == wanted[:, None]
    return np.where(found.any(axis=1), found.argmax(axis=1), -1)
