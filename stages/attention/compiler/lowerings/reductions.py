"""Operations that combine elements along axes."""

import math
from typing import Any

from attention.compiler.graph import Node, axes
from attention.compiler.lowerings.out import Operation, Out


def _gone(x: Node, gone: Any) -> list[int]:
    found = [gone] if isinstance(gone, int) else gone
    return list(found) if found else list(range(len(x.shape)))


def _reduce(op: str) -> Operation:
    def apply(out: Out, x: Node, gone: Any = None, keep: bool = False, **_: Any) -> Node:
        return out.graph.reduce(op, out.number(x), _gone(x, gone), keep)

    return apply


def _mean(out: Out, x: Node, gone: Any = None, keep: bool = False, **_: Any) -> Node:
    count = math.prod(x.shape[axis] for axis in _gone(x, gone))
    return out.map("div", _reduce("total")(out, x, gone, keep), count)


def _product(out: Out, x: Node, y: Node) -> Node:
    """(…, i, k) @ (…, k, j)."""
    *batch, rows, inner = x.shape
    columns, g = y.shape[-1], out.graph
    wide = (*batch, rows, columns, inner)
    *of_batch, i, j, k = axes(wide)
    left, right = g.take(x, wide, [*of_batch, i, k]), g.take(y, wide, [*of_batch, k, j])
    return g.reduce("total", g.map("mul", left, right), [-1])


def _best(op: str) -> Operation:
    def apply(out: Out, x: Node, axis: int | None = None, keep: bool = False) -> Node:
        """Return the first index of the largest or smallest; NaN counts as beyond all."""
        g = out.graph
        if axis is None:
            x, axis = g.reshape(x, [x.size]), 0
        best = g.reduce(op, x, [axis], True)
        found = g.map("or", g.map("eq", x, best), g.map("ne", x, x))
        size = x.shape[axis]
        place = g.map("where", found, g.iota(x.shape, axis % len(x.shape)), g.constant(size - 1, (), "int64"))
        return g.reduce("smallest", place, [axis], keep)

    return apply


def _best_and_where(op: str) -> Operation:
    def apply(out: Out, x: Node, axis: int | None = None, keep: bool = False) -> Any:
        if axis is None:
            return out.graph.reduce(op, x, range(len(x.shape)))
        return out.graph.reduce(op, x, [axis], keep), _best(op)(out, x, axis, keep)

    return apply


REDUCTIONS: dict[str, Operation] = {
    "sum": _reduce("total"),
    "amax": _reduce("largest"),
    "amin": _reduce("smallest"),
    "mean": _mean,
    "mm": _product,
    "bmm": _product,
    "argmax": _best("largest"),
    "argmin": _best("smallest"),
    "max": _best_and_where("largest"),
    "min": _best_and_where("smallest"),
}
