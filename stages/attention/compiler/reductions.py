"""The text of sums, and of the largest and smallest of terms, in one fixed order.

Terms are combined in pairs, and these in pairs: no term waits for all others. Many are combined in blocks.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from attention.compiler.expressions import Expressions, atom
from attention.compiler.indexing import LANE, Terms, number, part
from attention.compiler.loops import WIDTH, Axis, Bound, Loops, vectors
from attention.compiler.vectorization import AT_ONCE

BLOCK = 8  # terms that one round of a loop combines
COMBINE = {"total": "{} + {}", "largest": "larger({}, {})", "smallest": "smaller({}, {})"}


@dataclass(frozen=True)
class Reduction:
    """Terms to be combined along axes, in vectors along one of these, or along another axis, or along none."""

    loops: Loops
    values: Expressions
    op: str
    kind: str
    term: Callable[[Bound], str]
    axes: Sequence[Axis]
    lane: str | None

    def write(self, bound: Bound, width: int) -> str:
        """Write the statements for one element, or for a vector of this width; return the text of the result."""
        along = next((axis for axis in self.axes if axis.name == self.lane), None)
        if along is None:
            return self._combined(bound, self.axes, width)
        others, results = [axis for axis in self.axes if axis is not along], []
        whole = along.count // WIDTH
        pieces = [Axis(along.name, whole, WIDTH)] if whole else []
        pieces += [Axis(along.name, 1, wide, first) for first, wide in vectors(whole * WIDTH, along.count)]
        for piece in pieces:
            vector = self._combined(bound, [*others, piece], piece.step)
            results.append(vector if piece.step == 1 else f"{self.op}({vector})")
        return self._tree(results)

    def _combined(self, bound: Bound, axes: Sequence[Axis], width: int) -> str:
        """Combine the terms along the axes element by element of the vectors."""

        def written(points: Iterable[Sequence[Terms]]) -> str:
            return self._written(bound, axes, points, width)

        if math.prod(axis.count for axis in axes) <= AT_ONCE:
            along = ([number(axis.first + n * axis.step) for n in range(axis.count)] for axis in axes)
            return written(itertools.product(*along))
        name = self.loops.new_name("s")
        self.loops.arrays.append(f"{name} = empty({width}, {self.kind})")
        result = part(name, Terms({LANE: 1}), width)
        self.loops.line(f"{result} = {_neutral(self.op, self.kind)}")
        *outer, last = axes
        before = [Terms({axis.name: 1}) if axis.count > 1 else number(axis.first) for axis in outer]

        def block(first: Terms, count: int) -> None:
            text = written([*before, first.plus(number(n * last.step))] for n in range(count))
            self.loops.line(f"{result} = {COMBINE[self.op].format(result, atom(text))}")

        def statement(_bound: Bound, _width: int) -> None:
            blocks, rest = divmod(last.count, BLOCK)
            if blocks > 1:
                with self.loops.loop(Axis(last.name, blocks, BLOCK * last.step, last.first)):
                    block(Terms({last.name: 1}), BLOCK)
            elif blocks:
                block(number(last.first), BLOCK)
            if rest:
                block(number(last.first + blocks * BLOCK * last.step), rest)

        self.loops.over([axis for axis in outer if axis.count > 1], None, statement)
        return result

    def _written(self, bound: Bound, axes: Sequence[Axis], points: Iterable[Sequence[Terms]], width: int) -> str:
        """Write the terms at some points one by one, and combine them."""
        texts = []
        for point in points:
            now = dict(bound)
            for axis, index in zip(axes, point, strict=True):
                now[axis.name] = index.plus({LANE: 1}) if axis.name == self.lane and width > 1 else index
            text, wide = self.values.vector(self.term, now, width)
            texts.append(text if wide or width == 1 else f"fill({width}, {text}, {self.kind})")
        if len(texts) == 1:
            return texts[0]
        names = [self.loops.new_name("a") for _ in texts]
        for name, text in zip(names, texts, strict=True):
            self.loops.line(f"{name} = {text}")
        return self._tree(names)

    def _tree(self, texts: Sequence[str]) -> str:
        """Combine in pairs, and the results in pairs."""
        while len(texts) > 1:
            pairs = itertools.zip_longest(texts[::2], texts[1::2])
            texts = [x if y is None else COMBINE[self.op].format(atom(x), atom(y)) for x, y in pairs]
        return texts[0]


def _neutral(op: str, kind: str) -> str:
    far = "1e999" if kind.startswith("float") else str(2**31 - 1)
    return {"total": "0", "largest": f"-{far}", "smallest": far}[op]
