"""Operations whose result at a place depends on its neighbours along an axis: running sums, and sorting."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from attention.compiler.graph import Graph, Node, axes
from attention.compiler.lowerings.out import Operation, Out
from attention.compiler.lowerings.views import permute


def _cumsum(out: Out, x: Node, axis: int, **_: Any) -> Node:
    axis %= len(x.shape)
    last = [each for each in range(len(x.shape)) if each != axis]
    sums = _running(out.graph, _moved(out.graph, out.number(x), [*last, axis]))
    return _moved(out.graph, sums, np.argsort([*last, axis]).tolist())


def _moved(g: Graph, x: Node, order: Sequence[int]) -> Node:
    return permute(Out(g, tuple(x.shape[axis] for axis in order), x.kind), x, order)


def _running(g: Graph, x: Node, block: int = 8) -> Node:
    """Add those before and at each place of the last axis: in blocks, then all blocks before."""
    *rest, size = x.shape
    unit = axes(x.shape)
    if size <= block:
        wide = (*x.shape, size)
        every = g.take(x, wide, [*((0, (*row[1], 0)) for row in unit[:-1]), (0, (0,) * len(unit) + (1,))])
        before = g.map("le", g.iota(wide, len(unit)), g.iota(wide, len(unit) - 1))
        return g.reduce("total", g.map("where", before, every, g.constant(0, (), x.kind)), [-1])
    blocks = -(-size // block)
    whole = x if size % block == 0 else g.put(x, (*rest, blocks * block), unit)
    inside = _running(g, g.reshape(whole, (*rest, blocks, block)))
    ends = g.take(inside, (*rest, blocks), [*unit, (block - 1, (0,) * len(unit))])
    until = g.take(_running(g, ends), (*rest, blocks - 1), unit)
    before = g.put(until, (*rest, blocks), [*unit[:-1], (1, unit[-1][1])])
    sums = g.reshape(
        g.map("add", inside, g.take(before, inside.shape, [(0, (*row[1], 0)) for row in unit])), whole.shape
    )
    return g.take(sums, x.shape, unit)


def _sort(out: Out, x: Node, axis: int = -1, descending: bool = False, **_: Any) -> tuple[Node, Node]:
    """Put each number at its rank: how many come before it. NaN is the largest, and equal ones keep their order."""
    g, axis = out.graph, axis % len(x.shape)
    wide = (*x.shape, x.shape[axis])
    unit = axes(wide)
    keys = _ordered(g, x)
    own = g.take(keys, wide, unit[:-1])
    other = g.take(keys, wide, [unit[-1] if each == axis else unit[each] for each in range(len(x.shape))])
    earlier = g.to(g.map("lt", g.iota(wide, len(x.shape), "int32"), g.iota(wide, axis, "int32")), keys.kind)
    step, beyond = ("sub", "gt") if descending else ("add", "lt")  # of equal ones, the earlier come before
    before = g.map(beyond, other, g.map(step, own, earlier))
    rank = g.reduce("total", g.to(before, "int32"), [-1])
    places: list[Any] = [(0, row[1][:-1]) for row in unit[:-1]]
    places[axis] = rank
    return g.put(x, x.shape, places), g.put(g.iota(x.shape, axis), x.shape, places)


def _ordered(g: Graph, x: Node) -> Node:
    """Return integers in the order of floats, so that each has a rank, NaN too; none is the least or largest."""
    if not x.kind.startswith("float"):
        return x if x.kind != "bool8" else g.to(x, "int32")
    kind, size = ("int32", 32) if x.kind == "float32" else ("int64", 64)
    number = g.map("bits", g.map("add", x, g.constant(0.0, (), x.kind)), kind=kind)  # of -0 those of 0
    most = g.constant(2 ** (size - 1) - 1, (), kind)  # all bits but the sign
    turned = g.map("xor", number, g.map("and", g.map("shift", number, g.constant(size - 1, (), kind)), most))
    return g.map("where", g.map("ne", x, x), g.constant(2 ** (size - 1) - 2, (), kind), turned)


SCANS: dict[str, Operation] = {
    "cumsum": _cumsum,
    "sort": _sort,
}
