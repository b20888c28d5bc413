"""The choice of the axis along which a nest of loops is computed in vectors, by what each would cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from attention.compiler.indexing import Terms
from attention.compiler.loops import UNROLLED, WIDTH, Axis, vectors

AT_ONCE = 16  # terms of a sum that are written out one by one; more make a loop
COSTS = {"exp": 14, "log": 20, "tanh": 24, "sqrt": 4, "div": 4}  # in additions, roughly


@dataclass
class Footprint:
    """What one element takes: where it reads, where it reads indices, and what its operations cost."""

    reads: list[Terms] = field(default_factory=list)
    indices: list[Terms] = field(default_factory=list)
    cost: int = 0

    def apply(self, op: str) -> None:
        """Add the cost of an operation."""
        self.cost += COSTS.get(op.removesuffix("64"), 1)


def best_axis(
    outer: Sequence[Axis], inner: Sequence[Axis], term: Footprint, indices: Sequence[Terms], stored: Terms | None
) -> str | None:
    """Return the axis along which vectors cost least; None: single numbers cost less, or no vectors can be made.

    A term has the axes `outer` and `inner`, and is summed along the latter; `indices` are read to know where the result
    is `stored`, which, unless None, has to be side by side.
    """
    loops = {axis.name: axis.count for axis in outer}
    rounds, terms = math.prod(loops.values()), math.prod(axis.count for axis in inner)
    banned = {name for index in (*term.indices, *indices) for name in index}
    best, least = None, rounds * terms * float(1 + term.cost + len(term.reads))
    for axis in (*outer, *inner):
        if axis.name in banned or any(read.get(axis.name, 0) < 0 for read in term.reads):
            continue
        if stored is not None and axis.name in loops and stored.get(axis.name, 0) != 1:
            continue
        others = loops.keys() - {axis.name}
        alike = math.prod(loops[name] for name in others)  # how many rounds can do with what was read in the first
        if axis.count > UNROLLED * WIDTH or terms > AT_ONCE:  # what is not written out has a loop
            alike = 1
        each = float(1 + term.cost)
        for read in term.reads:
            stride = read.get(axis.name, 0)
            gathered = 8 if read.keys() & others else 8 / alike  # element by element
            each += 0.5 if stride == 0 else 1 if stride == 1 else 1 + gathered
        total = rounds * terms // axis.count * len([*vectors(0, axis.count)]) * each
        if axis.name not in loops:
            total += 10 * rounds  # the elements of a vector are summed
        if total < least:
            best, least = axis.name, total
    return best
