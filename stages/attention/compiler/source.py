"""From the graph to the text of a loop program (see `primitives` for its words).

Each value is written where it is used; what is used twice, or repeated along an axis, or a sum, gets a place of its
own: a name if it is one number, else an array whose last axis is the one along which it is computed in vectors.
"""

from collections.abc import Mapping, Sequence

from attention.compiler.expressions import Expressions, atom
from attention.compiler.graph import Node
from attention.compiler.indexing import Place, Terms, part, strides_of
from attention.compiler.loops import Axis, Bound, Loops
from attention.compiler.materialization import materialization
from attention.compiler.reductions import Reduction
from attention.compiler.vectorization import best_axis


class Body(Loops):
    """The statements that compute values of a graph, one after the other: at first what has to have a place."""

    def __init__(self, inputs: Mapping[tuple[str, str], Place], indent: int, roots: Sequence[Node]) -> None:
        super().__init__(indent)
        self.values = Expressions(inputs, self.hoisted)
        placed, self._sparse = materialization(roots)
        for node in placed:
            self.values.places[node] = self._place(node)

    def sparse(self, node: Node) -> bool:
        """Whether `write` only adds to some elements of a place, which was cleared before."""
        return node in self._sparse and node not in self.values.places

    def write(self, node: Node, place: Place, add: bool = False) -> None:
        """Write a value where it is to lie, or add it to what lies there; of a sparse one, each part."""
        if not self.sparse(node):
            self._nest(node, place, add)
        elif node.op == "put":
            self._nest(node.operands[0], place, True, node)
        else:
            for operand in node.operands:
                self.write(operand, place, True)

    def _place(self, node: Node) -> Place:
        """Write a value to a place of its own, and return that."""
        name = self.new_name("t")
        if node.size == 1 and node.op in ("map", "reduce"):
            return self._nest(node, Place(name, None))
        self.arrays.append(f"{name} = empty({max(1, node.size)}, {node.kind})")
        place = Place(name, strides_of(node.shape))
        if self.sparse(node):
            self.clear(place, node.size)
            self.write(node, place)
        elif node.op == "reshape":
            before = node.operands[0]
            self._nest(before, Place(name, strides_of(before.shape)))
        else:
            return self._nest(node, place, free=True)
        return place

    def _nest(self, node: Node, place: Place, add: bool = False, put: Node | None = None, free: bool = False) -> Place:
        """Write the loops that compute a node into a place; if it is `free`, its axes in the best order. Return it."""
        self.start_nest()
        reduced = node.op == "reduce" and node not in self.values.places
        read = node.operands[0] if reduced else node
        op, gone = node.detail if reduced else ("", ())
        outer = [Axis(f"i{axis}", size) for axis, size in enumerate(node.shape)]
        inner = [Axis(f"r{axis}", read.shape[axis]) for axis in gone]
        looped = [axis for axis in outer if axis.count > 1]

        def index_of(bound: Bound) -> list[Terms]:
            return [bound.get(axis.name, Terms()) for axis in outer]

        def term(bound: Bound) -> str:
            kept = iter(index_of(bound))
            index = [bound[f"r{axis}"] if axis in gone else next(kept) for axis in range(len(read.shape))]
            return self.values.value(read, index)

        def target(bound: Bound) -> Terms:
            index = index_of(bound)
            return place.at(self.values.mapped(put, put.shape, index) if put else index)

        each = {axis.name: Terms({axis.name: 1}) for axis in (*looped, *inner)}
        with self.values.trial() as footprint:
            term(each)
        with self.values.trial() as of_target:
            stored = target(each) if place.strides and not free else None
        lane = best_axis(looped, inner, footprint, of_target.indices, stored)
        if free:
            last = next((number for number, axis in enumerate(outer) if axis.name == lane), None)
            place = Place(place.name, strides_of(node.shape, last))
        reduction = Reduction(self, self.values, op, node.kind, term, inner, lane)

        def statement(bound: Bound, width: int) -> None:
            text = reduction.write(bound, width) if reduced else self.values.vector(term, bound, width)[0]
            if place.strides is None:
                self.line(f"{place.name} = {text}")
                return
            to = part(place.name, self.values.vector(target, bound, width)[0], width)
            self.line(f"{to} = {to} + {atom(text)}" if add else f"{to} = {text}")

        self.over(looped, lane, statement)
        return place
