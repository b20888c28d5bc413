"""Operations that read a table at indices, or add to it there."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from attention.compiler.graph import Graph, Node, Shape, axes
from attention.compiler.lowerings.out import Operation, Out


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


TABLES: dict[str, Operation] = {
    "index": _index,
    "index_put": _index_put,
    "embedding_dense_backward": _embedding_backward,
    "gather": _gather,
    "scatter": _scatter,
    "scatter_add": _scatter_add,
}
