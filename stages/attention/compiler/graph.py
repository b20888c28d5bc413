"""What a program computes, as a graph of eight kinds of nodes, made simple as it is made.

    constant  equal numbers, or an array of numbers
    affine    integers that are an affine function of where they stand: what `arange` gives
    input     a parameter, or a field of the example
    map       a word of `primitives` or an operator, element by element, on operands of one shape
    take      out[i] = x[index(i)]: all views, broadcasts, gathers; an index is affine in i, or read from an operand
    put       zeros of a shape, to which values are added at index(i): what a gradient of `take` is
    reduce    total, largest or smallest along some axes
    reshape   the same elements in the same order, where no index is affine

Equal nodes are one node. What is constant is computed here, by the words that the program would have used.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attention.compiler import primitives

Shape = tuple[int, ...]
Affine = tuple[int, Shape]  # constant, and a factor for each axis of the result
FOLDED = 256  # elements: larger constant arrays are computed where they are used
KINDS = {"float32": np.float32, "float64": np.float64, "int64": np.int64, "int32": np.int32, "bool8": np.bool_}

MAPS: Mapping[str, str] = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "neg": "-{}",
    "not": "~{}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "gt": "{} > {}",
    "ge": "{} >= {}",
    "eq": "{} == {}",
    "ne": "{} != {}",
    "and": "{} & {}",
    "or": "{} | {}",
    "xor": "{} ^ {}",
    "shift": "{} >> {}",
    **{name: name + "({})" for name in ("exp", "log", "tanh", "sqrt", "abs", "bits")},
    **{name: name + "({})" for name in ("exp64", "log64", "tanh64")},
    **{name: name + "({}, {})" for name in ("larger", "smaller")},
    "where": "where({}, {}, {})",
    **{f"to {kind}": f"convert({{}}, {kind})" for kind in KINDS},
}


@dataclass(frozen=True, eq=False)
class Node:
    """One value: what makes it, from which operands, and its shape and type."""

    op: str
    operands: tuple["Node", ...]
    detail: Any
    shape: Shape
    kind: str

    @property
    def size(self) -> int:
        """The number of elements."""
        return int(np.prod(self.shape))

    @property
    def numbers(self) -> NDArray[Any] | None:
        """The elements of a constant; None of what is known only when the program runs."""
        if self.op == "affine" and self.size <= FOLDED:
            start, factors = self.detail
            grid = zip(factors, np.indices(self.shape), strict=True)
            numbers: NDArray[Any] = sum((f * axis for f, axis in grid), start=np.full(self.shape, start))
            return numbers.astype(KINDS[self.kind])
        if self.op != "constant":
            return None
        held: NDArray[Any] = np.frombuffer(self.detail, KINDS[self.kind])
        return np.broadcast_to(held.reshape(self.shape) if held.size == self.size else held[0], self.shape)

    @property
    def uniform(self) -> Any:
        """The number that a constant repeats, or None."""
        of = np.dtype(KINDS[self.kind])
        once = self.op == "constant" and len(self.detail) == of.itemsize
        return np.frombuffer(self.detail, of)[0].item() if once else None


class Graph:
    """Makes nodes."""

    def __init__(self) -> None:
        self._known: dict[Any, Node] = {}

    def _node(self, op: str, operands: Sequence[Node], detail: Any, shape: Sequence[int], kind: str) -> Node:
        key = (op, tuple(map(id, operands)), detail, tuple(shape), kind)
        return self._known.setdefault(key, Node(op, tuple(operands), detail, tuple(shape), kind))

    def input(self, role: str, name: str, shape: Sequence[int], kind: str) -> Node:
        """Return a parameter (`role` "parameter") or a field of the example ("example")."""
        return self._node("input", (), (role, name), shape, kind)

    def constant(self, numbers: Any, shape: Sequence[int], kind: str) -> Node:
        """Return numbers that broadcast to the shape; equal ones are held once."""
        array: NDArray[Any] = np.asarray(numbers).astype(KINDS[kind])
        flat = np.ascontiguousarray(np.broadcast_to(array, shape)).ravel()
        same = flat.size == 0 or (flat.view(np.uint8).reshape(flat.size, -1) == flat[:1].view(np.uint8)).all()
        return self._node("constant", (), (flat[:1] if same else flat).tobytes(), shape, kind)

    def iota(self, shape: Sequence[int], axis: int, kind: str = "int64") -> Node:
        """Return 0, 1, 2 … along an axis."""
        return self._node("affine", (), (0, tuple(int(each == axis) for each in range(len(shape)))), shape, kind)

    def map(self, op: str, *operands: Node, kind: str | None = None) -> Node:
        """Apply an operation element by element; operands are broadcast, and are of one type."""
        shape = np.broadcast_shapes(*(each.shape for each in operands))
        kind = kind or ("bool8" if op in ("lt", "le", "gt", "ge", "eq", "ne") else operands[-1].kind)
        operands = tuple(self.expand(each, shape) for each in operands)
        first, last = operands[0], operands[-1]
        uniform = all(each.uniform is not None for each in operands)
        if uniform or (all(each.numbers is not None for each in operands) and first.size <= FOLDED):
            words = {**vars(primitives), **{f"x{number}": each.numbers for number, each in enumerate(operands)}}
            with np.errstate(all="ignore"):
                computed = eval(MAPS[op].format(*(f"x{number}" for number in range(len(operands)))), words)  # noqa: S307
            return self.constant(computed, shape, kind)
        if op == f"to {first.kind}":
            return first
        if op == "where" and first.uniform is not None:
            return operands[1] if first.uniform else operands[2]
        neutral = {"add": 0, "sub": 0, "mul": 1, "div": 1}.get(op)
        if neutral is not None and last.uniform == neutral:
            return first
        if op in ("add", "mul") and first.uniform == neutral:
            return last
        return self._node("map", operands, op, shape, kind)

    def to(self, x: Node, kind: str) -> Node:
        """Convert to another type."""
        return self.map(f"to {kind}", x, kind=kind)

    def expand(self, x: Node, shape: Sequence[int]) -> Node:
        """Broadcast: axes of size 1, and new ones in front, are repeated."""
        own = axes(shape)[len(shape) - len(x.shape) :]
        nowhere = (0, (0,) * len(shape))
        return self.take(x, shape, [at if size > 1 else nowhere for at, size in zip(own, x.shape, strict=True)])

    def take(self, x: Node, shape: Sequence[int], index: Sequence[Affine | Node]) -> Node:
        """Return out[i] = x[index(i)]; a node gives its axis' index for each i: an integer, whatever its shape."""
        shape = tuple(shape)
        fixed, read = self._indices(index, shape)
        if x.op == "affine" and not read:
            return self._node("affine", (), _after(x.detail, fixed, len(shape)), shape, x.kind)  # type: ignore[arg-type]
        if x.op == "constant" and not read:
            grid = np.indices(shape)
            at = (start + sum(f * axis for f, axis in zip(factors, grid, strict=True)) for start, factors in fixed)  # type: ignore[misc]
            return self.constant(x.numbers[tuple(at)], shape, x.kind)  # type: ignore[index]
        if not read and fixed == axes(x.shape) and shape == x.shape:
            return x
        if x.op == "take" and not read:  # one after the other is one
            inner = []
            for each in x.detail:
                if isinstance(each, int):
                    inner.append(self.take(x.operands[each], shape, fixed))  # type: ignore[arg-type]
                else:
                    inner.append(_after(each, fixed, len(shape)))  # type: ignore[arg-type]
            return self.take(x.operands[0], shape, inner)
        return self._node("take", (x, *read), tuple(fixed), shape, x.kind)

    def put(self, values: Node, shape: Sequence[int], index: Sequence[Affine | Node]) -> Node:
        """Return zeros of a shape with each value added at its index."""
        fixed, read = self._indices(index, values.shape)
        if not read and fixed == axes(values.shape) and tuple(shape) == values.shape:
            return values
        return self._node("put", (values, *read), tuple(fixed), shape, values.kind)

    def _indices(self, index: Sequence[Affine | Node], shape: Shape) -> tuple[list[Affine | int], list[Node]]:
        fixed: list[Affine | int] = []
        read: list[Node] = []
        for each in index:
            found = each if isinstance(each, tuple) else _affine(self.expand(each, shape))
            if found is None and isinstance(each, Node):
                read.append(self.expand(each, shape))
            fixed.append(found or len(read))
        return fixed, read

    def reshape(self, x: Node, shape: Sequence[int]) -> Node:
        """Return the same elements in another shape: affine where axes are split, or joined with axes of size 1."""
        old = [(axis, size) for axis, size in enumerate(x.shape) if size > 1]
        new = [(axis, size) for axis, size in enumerate(shape) if size > 1]
        index: list[Affine] = [(0, (0,) * len(shape))] * len(x.shape)
        while old:
            axis, size = old.pop()
            factors, step = [0] * len(shape), 1
            while step < size:
                at, part = new.pop()
                factors[at] = step
                step *= part
            if step != size:  # axes are joined: through memory, in which they lie side by side
                return self._node("reshape", (x,), None, shape, x.kind)
            index[axis] = (0, tuple(factors))
        return self.take(x, shape, index)

    def reduce(self, op: str, x: Node, axes: Sequence[int], keep: bool = False) -> Node:
        """Combine along axes by `total`, `largest` or `smallest`."""
        gone = {axis % len(x.shape) for axis in axes} if x.shape else set()
        rest = [axis for axis in range(len(x.shape)) if axis not in gone]
        wide = [axis for axis in sorted(gone) if x.shape[axis] > 1]
        kept = [axis for axis in range(len(x.shape)) if axis not in wide]
        found = (
            x if not wide else self._node("reduce", (x,), (op, tuple(wide)), [x.shape[axis] for axis in kept], x.kind)
        )
        return self.reshape(
            found,
            [1 if axis in gone else size for axis, size in enumerate(x.shape)]
            if keep
            else [x.shape[axis] for axis in rest],
        )


def axes(shape: Sequence[int]) -> list[Any]:
    """Return the index of each axis that is the axis itself: of an axis of size 1 it is 0."""
    return [(0, tuple(int(row == axis and size > 1) for row in range(len(shape)))) for axis, size in enumerate(shape)]


def _after(outer: Affine, inner: Sequence[Affine], axes: int) -> Affine:
    """Return an affine index of axes that are affine themselves."""
    start, factors = outer
    total = [0] * axes
    for factor, (first, parts) in zip(factors, inner, strict=True):
        start += factor * first
        total = [sum(pair) for pair in zip(total, (factor * part for part in parts), strict=True)]
    return start, tuple(total)


def _affine(x: Node) -> Affine | None:
    """Return the affine function that a constant integer array is, if it is one."""
    if x.op == "affine":
        return x.detail  # type: ignore[no-any-return]
    numbers = x.numbers
    if numbers is None or not numbers.size:
        return None
    start = int(numbers.flat[0])
    factors = [0 if size == 1 else int(numbers.take(1, axis).flat[0]) - start for axis, size in enumerate(x.shape)]
    same = sum((f * axis for f, axis in zip(factors, np.indices(x.shape), strict=True)), start=np.full(x.shape, start))
    return (start, tuple(factors)) if np.array_equal(same, numbers) else None
