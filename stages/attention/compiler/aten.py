"""What each operation of ATen is, in nodes of the graph: the table that tells which functions of torch can be compiled.

To add one: its name, and what it gives from the graph, shape and type of the result, and its arguments. An argument is
a node, a number, None, or a list of these.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from attention.compiler.graph import Graph, Node, Shape, axes


class Out(NamedTuple):
    """What the operation gives."""

    graph: Graph
    shape: Shape
    kind: str

    def number(self, x: Any, kind: str = "") -> Node:
        """Return a node or a number in a type: that of the result."""
        kind = kind or self.kind
        return self.graph.to(x, kind) if isinstance(x, Node) else self.graph.constant(x, (), kind)

    def map(self, op: str, *operands: Any, kind: str = "") -> Node:
        """Apply an operation to operands in one type, and give the result's."""
        nodes = [self.number(x, kind) for x in operands]
        return self.graph.map(op, *nodes)

    def function(self, name: str, x: Any) -> Node:
        """Apply a function of mathematics, of which there is one for each precision."""
        return self.map(name + "64" * (self.kind == "float64"), x)


Operation = Callable[..., Any]


def _map(op: str) -> Operation:
    return lambda out, *operands, **_: out.map(op, *operands)


def _function(name: str) -> Operation:
    return lambda out, x, **_: out.function(name, x)


def _compare(op: str) -> Operation:
    return lambda out, *operands, **_: out.map(op, *operands, kind=_common(*operands))


def _common(*operands: Any) -> str:
    kinds = [np.bool_ if x.kind == "bool8" else np.dtype(x.kind) for x in operands if isinstance(x, Node)]
    found = str(np.result_type(*kinds))
    fraction = any(isinstance(x, float) for x in operands)
    return "float32" if fraction and not found.startswith("float") else "bool8" if found == "bool" else found


def _scaled(op: str) -> Operation:
    def apply(out: Out, x: Any, y: Any, alpha: float = 1, **_: Any) -> Node:
        return out.map(op, x, y if alpha == 1 else out.map("mul", y, alpha))

    return apply


def _power(out: Out, x: Any, y: Any) -> Node:
    power = y if not isinstance(y, Node) else y.uniform
    if power is None or power != int(power) or abs(power) > 16:
        if power == 0.5:
            return out.map("sqrt", x)
        return out.function("exp", out.map("mul", y, out.function("log", x)))
    result = out.number(1)
    for _ in range(abs(int(power))):
        result = out.map("mul", result, x)
    return result if power >= 0 else out.map("div", 1, result)


def _clamp(out: Out, x: Node, low: Any = None, high: Any = None) -> Node:
    for bound, beyond in ((low, "lt"), (high, "gt")):
        if bound is not None:
            x = out.graph.map("where", out.map(beyond, x, bound), out.number(bound), out.number(x))
    return x


def _expm1(out: Out, x: Node) -> Node:
    t = out.function("tanh", out.map("div", x, 2))  # near 0 without loss of digits: 2 t / (1 - t)
    near = out.map("div", out.map("mul", t, 2), out.map("sub", 1, t))
    far = out.map("sub", out.function("exp", x), 1)
    return out.graph.map("where", out.map("gt", out.map("abs", x), 0.5), far, near)


def _log1p(out: Out, x: Node) -> Node:
    u = out.map("add", x, 1)
    d = out.map("sub", u, 1)  # what rounding left of x
    near = out.map("mul", out.function("log", u), out.map("div", x, d))
    return out.graph.map("where", out.map("eq", d, 0), out.number(x), near)


def _where(out: Out, condition: Node, x: Any, y: Any) -> Node:
    return out.graph.map("where", condition, out.number(x), out.number(y))


def _sign(out: Out, x: Node) -> Node:
    return out.map("sub", out.graph.to(out.map("gt", x, 0), out.kind), out.graph.to(out.map("lt", x, 0), out.kind))


# Views.


def _permute(out: Out, x: Node, order: Sequence[int]) -> Node:
    place, index = [axis % len(order) for axis in order], axes(out.shape)
    return out.graph.take(x, out.shape, [index[place.index(axis)] for axis in range(len(order))])


def _flip(out: Out, x: Node, turned: Sequence[int]) -> Node:
    index = axes(x.shape)
    for axis in turned:
        index[axis] = (x.shape[axis] - 1, tuple(-factor for factor in index[axis][1]))
    return out.graph.take(x, x.shape, index)


def _slice(out: Out, x: Node, axis: int = 0, start: int | None = None, end: Any = None, step: int = 1) -> Node:
    first = slice(start, end, step).indices(x.shape[axis])[0]
    return out.graph.take(x, out.shape, _along(out.shape, axis, first, step))


def _along(shape: Shape, axis: int, first: int, step: int) -> list[Any]:
    index = axes(shape)
    index[axis] = (first, tuple(step * factor for factor in index[axis][1]))
    return index


def _select(out: Out, x: Node, axis: int, at: Any) -> Node:
    index = axes(out.shape)
    index.insert(axis % len(x.shape), (at % x.shape[axis], (0,) * len(index)))
    return out.graph.take(x, out.shape, index)


def _select_backward(out: Out, slopes: Node, _sizes: Shape, axis: int, at: int) -> Node:
    where = axes(slopes.shape)
    where.insert(axis % len(out.shape), (at % out.shape[axis], (0,) * len(where)))
    return out.graph.put(slopes, out.shape, where)


def _slice_backward(out: Out, slopes: Node, _sizes: Shape, axis: int, start: int, end: int, step: int) -> Node:
    first = slice(start, end, step).indices(out.shape[axis])[0]
    return out.graph.put(slopes, out.shape, _along(slopes.shape, axis, first, step))


def _cat(out: Out, parts: Sequence[Node], axis: int = 0) -> Node:
    first, total, axis = 0, None, axis % len(out.shape)
    for part in parts:
        if part.size:
            put = out.graph.put(out.number(part), out.shape, _along(part.shape, axis, first, 1))
            total = put if total is None else out.graph.map("add", total, put)
            first += part.shape[axis]
    return total or out.graph.constant(0, out.shape, out.kind)


# Reductions.


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


def _cumsum(out: Out, x: Node, axis: int, **_: Any) -> Node:
    axis %= len(x.shape)
    last = [each for each in range(len(x.shape)) if each != axis]
    sums = _running(out.graph, _moved(out.graph, out.number(x), [*last, axis]))
    return _moved(out.graph, sums, np.argsort([*last, axis]).tolist())


def _moved(g: Graph, x: Node, order: Sequence[int]) -> Node:
    return _permute(Out(g, tuple(x.shape[axis] for axis in order), x.kind), x, order)


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


# Tables.


def _index(out: Out, x: Node, indices: Sequence[Node | None]) -> Node:
    return out.graph.take(x, out.shape, _places(out.graph, x.shape, indices, out.shape))


def _places(g: Graph, table: Shape, indices: Sequence[Node | None], shape: Shape) -> list[Any]:
    """Return where in a table each element of a result is: as torch, and NumPy, place advanced indices."""
    given = [axis for axis, each in enumerate(indices) if each is not None]
    inner = np.broadcast_shapes(*(each.shape for each in indices if each is not None))
    first = given[0] if given == list(range(given[0], given[-1] + 1)) else 0
    unit = axes(shape)
    rest = iter([*unit[:first], *unit[first + len(inner) :]])
    places: list[Any] = []
    for axis in range(len(table)):
        each = indices[axis] if axis < len(indices) else None
        if each is None:
            places.append(next(rest))
        else:
            whole = g.expand(_wrapped(g, each, table[axis]), inner)
            places.append(g.take(whole, shape, unit[first : first + len(inner)]))
    return places


def _wrapped(g: Graph, index: Node, size: int) -> Node:
    """Count negative ones from the end, where they are constant; a program does so as it reads others."""
    if index.kind == "bool8":
        raise NotImplementedError("a mask as index, whose result has no fixed size: `where` keeps the size")
    numbers = index.numbers
    return (
        index
        if numbers is None
        else g.constant(np.where(numbers < 0, numbers + size, numbers), index.shape, index.kind)
    )


def _index_put(out: Out, x: Node, indices: Sequence[Node | None], values: Node, accumulate: bool = False) -> Node:
    given = [each for each in indices if each is not None]
    inner = np.broadcast_shapes(*(each.shape for each in given))
    rest = [size for axis, size in enumerate(x.shape) if axis >= len(indices) or indices[axis] is None]
    first = next(axis for axis, each in enumerate(indices) if each is not None)
    shape = (*rest[:first], *inner, *rest[first:])
    put = out.graph.put(out.graph.expand(values, shape), x.shape, _places(out.graph, x.shape, indices, shape))
    if x.uniform != 0 and not accumulate:
        raise NotImplementedError("index_put into other than zeros")
    return put if x.uniform == 0 else out.map("add", x, put)


def _embedding_backward(out: Out, slopes: Node, index: Node, *_: Any) -> Node:
    return out.graph.put(slopes, out.shape, _places(out.graph, out.shape, [index], slopes.shape))


def _gather(out: Out, x: Node, axis: int, index: Node, **_: Any) -> Node:
    return out.graph.take(x, out.shape, _in_place_of(axis, index, x.shape))


def _in_place_of(axis: int, index: Node, table: Shape) -> list[Any]:
    places: list[Any] = axes(index.shape)
    places[axis % len(table)] = index
    return places


def _scatter(out: Out, x: Node, axis: int, index: Node, values: Any, **_: Any) -> Node:
    g, axis = out.graph, axis % len(x.shape)
    if (
        index.shape[axis] == 1
        and index.shape[:axis] == x.shape[:axis]
        and index.shape[axis + 1 :] == x.shape[axis + 1 :]
    ):
        return g.map("where", g.map("eq", g.iota(x.shape, axis), g.expand(index, x.shape)), out.number(values), x)
    if x.uniform != 0:
        raise NotImplementedError("scatter into other than zeros")
    return _scatter_add(out, x, axis, index, g.expand(out.number(values), index.shape))


def _scatter_add(out: Out, x: Node, axis: int, index: Node, values: Node) -> Node:
    own = out.graph.take(values, index.shape, axes(index.shape))
    put = out.graph.put(own, x.shape, _in_place_of(axis, index, x.shape))
    return put if x.uniform == 0 else out.map("add", x, put)


def _same(out: Out, x: Node, *_: Any, **__: Any) -> Node:
    return out.number(x)


def _full(out: Out, _like: Any, number: float = 0, **_: Any) -> Node:
    return out.graph.constant(number, out.shape, out.kind)


def _arange(out: Out, *bounds: float, **_: Any) -> Node:
    return out.graph.constant(np.arange(*bounds), out.shape, out.kind)


def _reshape(out: Out, x: Node, *_: Any, **__: Any) -> Node:
    return out.graph.reshape(x, out.shape)


OPERATIONS: dict[str, Operation] = {
    **{name: _function(name) for name in ("exp", "log", "tanh")},
    **{name: _map(name) for name in ("mul", "div", "neg", "sqrt", "abs")},
    **{name: _compare(name) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    **dict.fromkeys(("_to_copy", "alias", "clone", "lift_fresh_copy"), _same),
    **dict.fromkeys(("view", "unsqueeze", "squeeze", "squeeze_"), _reshape),
    **dict.fromkeys(("full", "full_like"), _full),
    "scalar_tensor": lambda out, number, **_: out.number(number),
    "arange": _arange,
    "add": _scaled("add"),
    "sub": _scaled("sub"),
    "reciprocal": lambda out, x: out.map("div", 1, x),
    "sigmoid": lambda out, x: out.map("div", 1, out.map("add", 1, out.function("exp", out.map("neg", x)))),
    "rsqrt": lambda out, x: out.map("div", 1, out.map("sqrt", x)),
    "relu": lambda out, x: _clamp(out, x, 0),
    "clamp": _clamp,
    "maximum": _map("larger"),
    "minimum": _map("smaller"),
    "pow": _power,
    "sign": _sign,
    "expm1": _expm1,
    "log1p": _log1p,
    "where": _where,
    "logical_not": lambda out, x: out.graph.map("not", out.number(x)),
    "bitwise_not": _map("not"),
    **{f"{kind}_{name}": _map(name) for kind in ("logical", "bitwise") for name in ("and", "or")},
    "permute": _permute,
    "expand": lambda out, x, *_, **__: out.graph.expand(x, out.shape),
    "copy": lambda out, _, x, **__: out.graph.expand(out.number(x), out.shape),
    "flip": _flip,
    "select": _select,
    "slice": _slice,
    "slice_backward": _slice_backward,
    "select_backward": _select_backward,
    "cat": _cat,
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
    "cumsum": _cumsum,
    "sort": _sort,
    "index": _index,
    "index_put": _index_put,
    "embedding_dense_backward": _embedding_backward,
    "gather": _gather,
    "scatter": _scatter,
    "scatter_add": _scatter_add,
}
