"""The text of values: of an element, or of a vector of elements, at an index of each axis."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TypeVar

from attention.compiler.graph import MAPS, Node, Shape
from attention.compiler.indexing import LANE, Place, Terms, number, part, strides_of
from attention.compiler.loops import WIDTH, Bound
from attention.compiler.vectorization import Footprint

T = TypeVar("T")


class Expressions:
    """Writes each value where it is used, down to what has a place."""

    def __init__(self, inputs: Mapping[tuple[str, str], Place], hoisted: Callable[[str], str]) -> None:
        self.places: dict[Node, Place] = {}
        self.constants: dict[str, str] = {}  # the text of a constant array, and its name
        self._inputs = inputs  # by role and name
        self._hoisted = hoisted
        self._width = 1
        self._wide = False  # whether what was just written is a vector
        self._trial: Footprint | None = None

    def scalar(self, node: Node) -> str:
        """Return the text of a value that is one number."""
        self._width = 1
        return self.value(node, [Terms()] * len(node.shape))

    def vector(self, term: Callable[[Bound], T], bound: Bound, width: int) -> tuple[T, bool]:
        """Return what a term is in vectors of a width, and whether it is one: else a number for all elements."""
        self._width, self._wide = width, False
        return term(bound), self._wide

    @contextmanager
    def trial(self) -> Iterator[Footprint]:
        """Write nothing inside the block, and note what it would take."""
        before, self._trial = self._trial, Footprint()
        yield self._trial
        self._trial = before

    def value(self, node: Node, index: Sequence[Terms]) -> str:
        """Return the text of an element, or of a vector of elements."""
        if node in self.places:
            return self._element(self.places[node], index)
        if node.op == "input":
            return self._element(self._inputs[node.detail], index)
        if node.op == "constant":
            if node.uniform is not None:
                return _literal(node.uniform)
            name = self._constant([_literal(x) for x in node.numbers.ravel().tolist()], node.kind)  # type: ignore[union-attr]
            return self._element(Place(name, strides_of(node.shape)), index)
        if node.op == "affine":
            return self._counted(Place("", node.detail[1], number(node.detail[0])).at(index), node.kind)
        if node.op == "map":
            if self._trial:
                self._trial.apply(node.detail)
            texts = [atom(self.value(operand, index)) for operand in node.operands]
            if node.detail == "where" and all(each.uniform is not None for each in node.operands[1:]):
                texts[1] = f"convert({texts[1]}, {node.kind})"  # two plain numbers have no type of their own
            return MAPS[node.detail].format(*texts)
        return self.value(node.operands[0], self.mapped(node, node.operands[0].shape, index))

    def mapped(self, node: Node, table: Shape, index: Sequence[Terms]) -> list[Terms]:
        """Return where in its table an element of a `take` is read, or of a `put` added."""
        return [
            self._read_index(node.operands[spec], index, size)
            if isinstance(spec, int)
            else Place("", spec[1], number(spec[0])).at(index)
            for spec, size in zip(node.detail, table, strict=True)
        ]

    def _read_index(self, node: Node, index: Sequence[Terms], size: int) -> Terms:
        """Name an index that is read from an array."""
        if self._trial:
            with self.trial() as trial:
                self.value(node, index)
            self._trial.indices += trial.reads + trial.indices
            self._trial.cost += trial.cost
            return Terms()
        wide, self._wide = self._wide, False
        text = self.value(node, index)
        text = f"within({text if node.kind == 'int64' else f'convert({text}, int64)'}, {size})"
        if self._wide:
            raise AssertionError("an index for each element of a vector")
        self._wide = wide
        return Terms({self._hoisted(text): 1})

    def _element(self, place: Place, index: Sequence[Terms]) -> str:
        if place.strides is None:
            return place.name
        flat = place.at(index)
        if self._trial:
            self._trial.reads.append(flat)
            return "0"
        if flat.get(LANE, 0) < 0:
            raise AssertionError("a vector backwards")
        self._wide |= LANE in flat
        return part(place.name, flat, self._width)

    def _counted(self, flat: Terms, kind: str) -> str:
        """Return the text of integers that are an index."""
        if self._trial:
            return "0"
        step = flat.pop(LANE, 0)
        text = str(flat) if kind == "int64" else f"convert({flat}, {kind})"
        if not step or self._width == 1:
            return text if any(flat) else _literal(flat.get("", 0))
        self._wide = True
        steps = self._constant([str(n * step) for n in range(WIDTH)], kind)
        return f"{part(steps, Terms({LANE: 1}), self._width)} + {atom(text)}"

    def _constant(self, numbers: Sequence[str], kind: str) -> str:
        """Return the name of a constant array."""
        return self.constants.setdefault(f"array([{', '.join(numbers)}], {kind})", f"c{len(self.constants)}")


def _literal(value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "1e999" if value > 0 else "-1e999" if value < 0 else "(1e999 - 1e999)"
    return repr(value)


def atom(text: str) -> str:
    """Put an expression in parentheses, if it needs them beside an operator."""
    depth = 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == " " and depth == 0:
            return f"({text})"
    return f"({text})" if text[0] in "-~" else text
