"""Operations that move elements or copy them, and those that make tensors: none computes."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from attention.compiler.graph import Node, Shape, axes
from attention.compiler.lowerings.out import Operation, Out


def permute(out: Out, x: Node, order: Sequence[int]) -> Node:
    """Return the axes in another order."""
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


def _same(out: Out, x: Node, *_: Any, **__: Any) -> Node:
    return out.number(x)


def _full(out: Out, _like: Any, number: float = 0, **_: Any) -> Node:
    return out.graph.constant(number, out.shape, out.kind)


def _arange(out: Out, *bounds: float, **_: Any) -> Node:
    return out.graph.constant(np.arange(*bounds), out.shape, out.kind)


def _reshape(out: Out, x: Node, *_: Any, **__: Any) -> Node:
    return out.graph.reshape(x, out.shape)


VIEWS: dict[str, Operation] = {
    **dict.fromkeys(("_to_copy", "alias", "clone", "lift_fresh_copy"), _same),
    **dict.fromkeys(("view", "unsqueeze", "squeeze", "squeeze_"), _reshape),
    **dict.fromkeys(("full", "full_like"), _full),
    "scalar_tensor": lambda out, number, **_: out.number(number),
    "arange": _arange,
    "permute": permute,
    "expand": lambda out, x, *_, **__: out.graph.expand(x, out.shape),
    "copy": lambda out, _, x, **__: out.graph.expand(out.number(x), out.shape),
    "flip": _flip,
    "select": _select,
    "slice": _slice,
    "slice_backward": _slice_backward,
    "select_backward": _select_backward,
    "cat": _cat,
}
