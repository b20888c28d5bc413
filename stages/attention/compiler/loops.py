"""The text of loops: statements one below the other, and the vectors in which an axis is gone through."""

import itertools
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from attention.compiler.indexing import LANE, Place, Terms, number, part

WIDTH = 8  # elements of a vector
UNROLLED = 4  # vectors along an axis that are written out; more make a loop
Bound = dict[str, Terms]  # the index along each axis, by the axis' name


@dataclass(frozen=True)
class Axis:
    """An axis to loop over: `count` times from `first` in steps."""

    name: str
    count: int
    step: int = 1
    first: int = 0


class Loops:
    """Statements, and the loops around them."""

    def __init__(self, indent: int) -> None:
        self.lines: list[str] = []
        self.arrays: list[str] = []  # statements that make arrays, to stand before all loops
        self._indent = self._base = indent
        self._numbers = itertools.count()
        self._start = 0  # the first line of the present nest of loops
        self._loops: list[str] = []  # their variables
        self._hoisted: dict[str, str] = {}  # the text of a number, and its name

    def new_name(self, prefix: str) -> str:
        """Return a name that nothing has."""
        return f"{prefix}{next(self._numbers)}"

    def line(self, text: str) -> None:
        """Write a statement."""
        self.lines.append("    " * self._indent + text)

    def start_nest(self) -> None:
        """Begin a nest of loops."""
        self._start, self._hoisted = len(self.lines), {}

    def hoisted(self, text: str) -> str:
        """Return the name of a number: computed here, or before the nest if no loop changes it."""
        if text not in self._hoisted:
            self._hoisted[text] = name = self.new_name("k")
            if any(re.search(rf"\b{loop}\b", text) for loop in self._loops):
                self.line(f"{name} = {text}")
            else:
                self.lines.insert(self._start, f"{'    ' * self._base}{name} = {text}")
        return self._hoisted[text]

    @contextmanager
    def loop(self, axis: Axis) -> Iterator[None]:
        """Write the head of a loop; what is written inside the block is its body."""
        last, step = axis.first + axis.count * axis.step, "" if axis.step == 1 else f", {axis.step}"
        start = f"{axis.first}, " if axis.first or step else ""
        self.line(f"for {axis.name} in range({start}{last}{step}):")
        self._indent += 1
        self._loops.append(axis.name)
        before, self._hoisted = self._hoisted, {**self._hoisted}
        yield
        self._hoisted = before
        self._loops.pop()
        self._indent -= 1

    def over(
        self,
        axes: Sequence[Axis],
        lane: str | None,
        statement: Callable[[Bound, int], None],
        bound: Bound | None = None,
    ) -> None:
        """Loop over the axes, that of the vectors innermost."""
        bound = bound or {}
        others = [axis for axis in axes if axis.name != lane]
        if others:
            with self.loop(others[0]):
                rest = [axis for axis in axes if axis is not others[0]]
                self.over(rest, lane, statement, {**bound, others[0].name: Terms({others[0].name: 1})})
        elif axes:
            for index, width in self._vectors(axes[0]):
                statement({**bound, axes[0].name: index}, width)
        else:
            statement(bound, 1)

    def clear(self, place: Place, size: int) -> None:
        """Fill an array with zeros."""
        for index, width in self._vectors(Axis("k", size)):
            self.line(f"{part(place.name, place.offset.plus(index), width)} = 0")

    def _vectors(self, axis: Axis) -> Iterator[tuple[Terms, int]]:
        """Yield index and width of each vector along an axis, in a loop where there are many."""
        start = 0
        if axis.count // WIDTH > UNROLLED:
            start = axis.count // WIDTH * WIDTH
            with self.loop(Axis(axis.name, axis.count // WIDTH, WIDTH)):
                yield Terms({axis.name: 1, LANE: 1}), WIDTH
        for first, width in vectors(start, axis.count):
            yield number(first).plus({LANE: 1} if width > 1 else {}), width


def vectors(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield start and width of vectors that make up a range: as wide as may be, a power of two each."""
    while first < last:
        width = min(WIDTH, 1 << ((last - first).bit_length() - 1))
        yield first, width
        first += width
