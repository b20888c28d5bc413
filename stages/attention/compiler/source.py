"""From the graph to the text of a loop program (see `primitives` for its words).

Each value is written where it is used; what is used twice, or repeated along an axis, or a sum, gets a place of its
own: a name if it is one number, else an array whose last axis is the one along which it is computed in vectors. Terms
of a sum are added in pairs, and these in pairs: a fixed order in which no term waits for all others.
"""

import itertools
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from attention.compiler.graph import MAPS, Node, Shape

WIDTH = 8  # elements of a vector
AT_ONCE = 16  # terms that are written out one by one; more make a loop
LANE = "@"  # in an index: which element of the vector
COSTS = {"exp": 14, "log": 20, "tanh": 24, "sqrt": 4, "div": 4}  # in additions, roughly
COMBINE = {"total": "{} + {}", "largest": "larger({}, {})", "smallest": "smaller({}, {})"}


class Terms(dict[str, int]):
    """An index: a sum of names times factors; the constant is the factor of the name ""."""

    def plus(self, other: Mapping[str, int], factor: int = 1) -> "Terms":
        """Return self + factor · other."""
        names = {**self, **other}
        both = {name: self.get(name, 0) + factor * other.get(name, 0) for name in names}
        return Terms({name: total for name, total in both.items() if total})

    def __str__(self) -> str:
        parts = [name if factor == 1 else f"{name} * {factor}" for name, factor in self.items() if name]
        return " + ".join([*parts, *([str(self.get("", 0))] if self.get("") or not parts else [])])


def number(n: int) -> Terms:
    """Return a constant index."""
    return Terms({"": n} if n else {})


@dataclass(frozen=True)
class Place:
    """Where a value lies: in an array, at strides from an offset; or, without strides, under a name."""

    name: str
    strides: Shape | None
    offset: Terms = field(default_factory=Terms)

    def at(self, index: Iterable[Terms]) -> Terms:
        """Return where in the array an element is."""
        flat = self.offset
        for stride, each in zip(self.strides or (), index, strict=True):
            flat = flat.plus(each, stride)
        return flat


@dataclass(frozen=True)
class Axis:
    """An axis to loop over: `count` times from `first` in steps."""

    name: str
    count: int
    step: int = 1
    first: int = 0


class NotAlikeError(Exception):
    """Elements do not lie evenly, so that they make no vector."""


class Body:
    """The statements that compute values of a graph, one after the other."""

    def __init__(self, inputs: Mapping[tuple[str, str], Place], indent: int) -> None:
        self.lines: list[str] = []
        self.arrays: list[str] = []  # statements that make arrays, to stand before all loops
        self.constants: dict[str, str] = {}  # the text of a constant array, and its name
        self._inputs = inputs  # by role and name
        self._places: dict[Node, Place] = {}
        self._indent = self._base = indent
        self._names = itertools.count()
        self._start = 0  # the first line of the present loops
        self._loops: list[str] = []  # their variables
        self._rows: dict[str, str] = {}  # an index that was read from an array, and its name
        self._width = 1
        self._wide = False  # whether what was just written is a vector
        self._reads: list[Terms] | None = None  # where a trial reads
        self._indices: list[Terms] = []  # where it reads indices
        self._cost = 0

    def compute(self, roots: Sequence[Node]) -> None:
        """Write all that the roots need and that has to have a place."""
        order, uses = _reachable(roots)
        inside = {
            x for node in order if _is_sum(node) for x in node.operands if uses.get(x) == 1 and _scatters(x, uses)
        }
        self._scattered = {
            node for node in order if node.op == "put" or any(x in inside for x in node.operands if _is_sum(node))
        }
        for node in order:
            if (
                node in self._places
                or node in inside
                or (node in self._scattered and node in roots and uses[node] == 1)
            ):
                continue
            shared = node.op == "map" and (uses[node] > 1 or node.size == 1)
            if shared or node.op in ("reduce", "reshape") or node in self._scattered:
                self._give_place(node)

    def text(self, node: Node) -> str:
        """Return the text of a value that is one number."""
        self._width = 1
        return self._value(node, [Terms()] * len(node.shape))

    def scattered(self, node: Node) -> bool:
        """Whether `write` only adds to some elements of a place, which was cleared before."""
        return node in self._scattered and node not in self._places

    def write(self, node: Node, place: Place, add: bool = False) -> None:
        """Write a value where it is to lie, or add it to what lies there; of a scattered one, each part."""
        if not self.scattered(node):
            self._nest(node, place, add)
        elif node.op == "put":
            self._nest(node.operands[0], place, True, node)
        else:
            for operand in node.operands:
                self.write(operand, place, True)

    def clear(self, place: Place, size: int) -> None:
        """Fill an array with zeros."""
        for index, width in self._chunks(Axis("k", size)):
            flat = place.offset.plus(index)
            flat.pop(LANE, None)
            self.line(f"{part(place.name, flat, 1, width)} = 0")

    def _give_place(self, node: Node) -> None:
        name = f"t{next(self._names)}"
        if node.size == 1 and node.op in ("map", "reduce"):
            self._nest(node, Place(name, None), False)
            self._places[node] = Place(name, None)
            return
        self.arrays.append(f"{name} = empty({max(1, node.size)}, {node.kind})")
        place = Place(name, strides_of(node.shape))
        if self.scattered(node):
            self.clear(place, node.size)
            self.write(node, place)
        elif node.op == "reshape":
            before = node.operands[0].shape
            self._nest(node.operands[0], Place(name, strides_of(before)), False)
        else:
            place = self._nest(node, place, False, free=True)
        self._places[node] = place

    # Loops.

    def _nest(self, node: Node, place: Place, add: bool, put: Node | None = None, free: bool = False) -> Place:
        """Write the loops that compute a node into a place; if it is `free`, its axes in the best order. Return it."""
        self._start, self._rows = len(self.lines), {}
        summed = node if node.op == "reduce" and node not in self._places else None
        outer = [Axis(f"i{axis}", size) for axis, size in enumerate(node.shape)]
        op, gone = summed.detail if summed else ("", ())
        wide = summed.operands[0].shape if summed else ()
        inner = [Axis(f"r{axis}", wide[axis]) for axis in gone]

        def index_of(bound: Mapping[str, Terms]) -> list[Terms]:
            return [bound.get(axis.name, Terms()) for axis in outer]

        def term(bound: Mapping[str, Terms]) -> str:
            if not summed:
                return self._value(node, index_of(bound))
            kept = iter(index_of(bound))
            index = [bound[f"r{axis}"] if axis in gone else next(kept) for axis in range(len(wide))]
            return self._value(summed.operands[0], index)

        def target(bound: Mapping[str, Terms]) -> Terms:
            index = index_of(bound)
            return place.at(self._mapped(put, put.shape, index) if put else index)

        lane = self._best_lane(
            [axis for axis in outer + inner if axis.count > 1],
            term,
            target if place.strides and not free else None,
            inner,
        )
        if free:
            last = next((number for number, axis in enumerate(outer) if axis.name == lane), None)
            place = Place(place.name, strides_of(node.shape, last))

        def statement(bound: dict[str, Terms], width: int) -> None:
            text = (
                self._sum(op, term, bound, inner, lane, width, node.kind) if summed else self._term(term, bound, width)
            )
            if place.strides is None:
                self.line(f"{place.name} = {text}")
                return
            self._width = width
            to = part(place.name, *laned(target(bound), width))
            self.line(f"{to} = {to} + {_atom(text)}" if add else f"{to} = {text}")

        self.over([axis for axis in outer if axis.count > 1], lane, {}, statement)
        return place

    def over(
        self,
        axes: Sequence[Axis],
        lane: str | None,
        bound: dict[str, Terms],
        statement: Callable[[dict[str, Terms], int], None],
    ) -> None:
        """Loop over the axes, that of the vectors innermost."""
        others = [axis for axis in axes if axis.name != lane]
        if others:
            with self.loop(others[0]):
                rest = [axis for axis in axes if axis is not others[0]]
                self.over(rest, lane, {**bound, others[0].name: Terms({others[0].name: 1})}, statement)
        elif axes:
            for index, width in self._chunks(axes[0]):
                statement({**bound, axes[0].name: index}, width)
        else:
            statement(bound, 1)

    def _chunks(self, axis: Axis) -> Iterator[tuple[Terms, int]]:
        """Yield index and width of each vector along an axis, in a loop where there are many."""
        whole = axis.count // WIDTH * WIDTH
        if whole > 4 * WIDTH:
            with self.loop(Axis(axis.name, whole // WIDTH, WIDTH)):
                yield Terms({axis.name: 1, LANE: 1}), WIDTH
            start = whole
        else:
            start = 0
        for first, width in _parts(start, axis.count):
            yield number(first).plus({LANE: 1} if width > 1 else {}), width

    @contextmanager
    def loop(self, axis: Axis) -> Iterator[None]:
        """Write the head of a loop; what is written inside the block is its body."""
        last, step = axis.first + axis.count * axis.step, "" if axis.step == 1 else f", {axis.step}"
        start = f"{axis.first}, " if axis.first or step else ""
        self.line(f"for {axis.name} in range({start}{last}{step}):")
        self._indent += 1
        self._loops.append(axis.name)
        rows, self._rows = self._rows, {**self._rows}
        yield
        self._rows = rows
        self._loops.pop()
        self._indent -= 1

    def _best_lane(
        self,
        axes: Sequence[Axis],
        term: Callable[[Mapping[str, Terms]], str],
        target: Callable[[Mapping[str, Terms]], Terms] | None,
        inner: Sequence[Axis],
    ) -> str | None:
        """Return the axis along which vectors cost least, by a trial that writes nothing; None: none can be made."""
        self._reads, self._indices, self._cost = [], [], 1
        bound = {axis.name: Terms({axis.name: 1}) for axis in axes}
        bound |= {axis.name: Terms() for axis in inner if axis.count == 1}
        term(bound)
        reads, cost = self._reads, self._cost
        stored = target(bound) if target else None
        banned = {name for index in self._indices for name in index}
        self._reads = None
        domain = math.prod(axis.count for axis in axes)
        outer = {axis.name: axis.count for axis in axes if axis not in inner}
        terms = {axis.name: axis.count for axis in axes if axis in inner}
        best, least = None, domain * float(cost + len(reads))
        for axis in axes:
            if axis.name in banned or any(read.get(axis.name, 0) < 0 for read in reads):
                continue
            if stored is not None and axis.name in outer and stored.get(axis.name, 0) != 1:
                continue
            loops = outer.keys() - {axis.name}
            alike = math.prod(outer[name] for name in loops)  # how many rounds can do with what was read in the first
            if axis.count > 4 * WIDTH or math.prod(terms.values()) > AT_ONCE:  # what is not written out has a loop
                alike = 1
            each = float(cost)
            for read in reads:
                stride = read.get(axis.name, 0)
                gathered = 8 if read.keys() & loops else 8 / alike  # element by element
                each += 0.5 if stride == 0 else 1 if stride == 1 else 1 + gathered
            total = domain // axis.count * len([*_parts(0, axis.count)]) * each
            if axis.name in terms:
                total += 10 * math.prod(outer.values())  # the elements of a vector are summed
            if total < least:
                best, least = axis.name, total
        return best

    # Sums.

    def _sum(
        self,
        op: str,
        term: Callable[[Mapping[str, Terms]], str],
        bound: dict[str, Terms],
        axes: Sequence[Axis],
        lane: str | None,
        width: int,
        kind: str,
    ) -> str:
        """Write what combines the terms along the axes; return the result."""
        along = next((axis for axis in axes if axis.name == lane), None)
        if along is None:
            return self._combined(op, term, bound, axes, width, kind)
        others, results = [axis for axis in axes if axis is not along], []
        whole = along.count // WIDTH
        pieces = [Axis(along.name, whole, WIDTH)] if whole else []
        for first, wide in _parts(whole * WIDTH, along.count):
            pieces.append(Axis(along.name, 1, wide, first))
        for piece in pieces:
            vector = self._combined(op, term, bound, [*others, piece], piece.step, kind, lane)
            results.append(vector if piece.step == 1 else f"{op}({vector})")
        return self._tree(op, results)

    def _combined(
        self,
        op: str,
        term: Callable[[Mapping[str, Terms]], str],
        bound: dict[str, Terms],
        axes: Sequence[Axis],
        width: int,
        kind: str,
        lane: str | None = None,
    ) -> str:
        def at(axis: Axis, index: Terms) -> Terms:
            return index.plus({LANE: 1}) if axis.name == lane and width > 1 else index

        def written(points: Iterable[Sequence[Terms]]) -> str:
            texts = []
            for point in points:
                now = {**bound, **{axis.name: at(axis, index) for axis, index in zip(axes, point, strict=True)}}
                text = self._term(term, now, width)
                texts.append(text if self._wide or width == 1 else f"fill({width}, {text}, {kind})")
            if len(texts) == 1:
                return texts[0]
            names = [f"a{next(self._names)}" for _ in texts]
            for name, text in zip(names, texts, strict=True):
                self.line(f"{name} = {text}")
            return self._tree(op, names)

        if math.prod(axis.count for axis in axes) <= AT_ONCE:
            return written(
                itertools.product(*([number(axis.first + n * axis.step) for n in range(axis.count)] for axis in axes))
            )
        name = f"s{next(self._names)}"
        self.arrays.append(f"{name} = empty({width}, {kind})")
        sum_ = part(name, Terms(), 1, width)
        self.line(f"{sum_} = {_neutral(op, kind)}")
        *outer, last = axes

        def block(first: Terms, count: int) -> None:
            before = [Terms({axis.name: 1}) if axis.count > 1 else number(axis.first) for axis in outer]
            text = written([*before, first.plus(number(n * last.step))] for n in range(count))
            self.line(f"{sum_} = {COMBINE[op].format(sum_, _atom(text))}")

        def over(left: Sequence[Axis]) -> None:
            if left:
                if left[0].count == 1:
                    over(left[1:])
                else:
                    with self.loop(left[0]):
                        over(left[1:])
                return
            blocks = last.count // 8
            if blocks > 1:
                with self.loop(Axis(last.name, blocks, 8 * last.step, last.first)):
                    block(Terms({last.name: 1}), 8)
            elif blocks:
                block(number(last.first), 8)
            if last.count % 8:
                block(number(last.first + blocks * 8 * last.step), last.count % 8)

        over(outer)
        return sum_

    def _tree(self, op: str, texts: Sequence[str]) -> str:
        """Combine in pairs, and the results in pairs."""
        while len(texts) > 1:
            pairs = itertools.zip_longest(texts[::2], texts[1::2])
            texts = [x if y is None else COMBINE[op].format(_atom(x), _atom(y)) for x, y in pairs]
        return texts[0]

    # Values.

    def _term(self, term: Callable[[Mapping[str, Terms]], str], bound: Mapping[str, Terms], width: int) -> str:
        self._width, self._wide = width, False
        return term(bound)

    def _value(self, node: Node, index: Sequence[Terms]) -> str:
        """Return the text of an element, or of a vector of elements."""
        if node in self._places:
            return self._element(self._places[node], index)
        if node.op == "input":
            return self._element(self._inputs[node.detail], index)
        if node.op == "constant":
            if node.uniform is not None:
                return _literal(node.uniform)
            text = f"array([{', '.join(_literal(x) for x in node.numbers.ravel().tolist())}], {node.kind})"  # type: ignore[union-attr]
            name = self.constants.setdefault(text, f"c{len(self.constants)}")
            return self._element(Place(name, strides_of(node.shape)), index)
        if node.op == "affine":
            return self._counted(Place("", node.detail[1], number(node.detail[0])).at(index), node.kind)
        if node.op == "map":
            self._cost += COSTS.get(node.detail.removesuffix("64"), 1)
            texts = [_atom(self._value(operand, index)) for operand in node.operands]
            if node.detail == "where" and all(each.uniform is not None for each in node.operands[1:]):
                texts[1] = f"convert({texts[1]}, {node.kind})"  # two plain numbers have no type of their own
            return MAPS[node.detail].format(*texts)
        return self._value(node.operands[0], self._mapped(node, node.operands[0].shape, index))

    def _counted(self, flat: Terms, kind: str) -> str:
        """Return the text of integers that are an index."""
        if self._reads is not None:
            return "0"
        flat, step, width = laned(flat, self._width)
        text = str(flat) if kind == "int64" else f"convert({flat}, {kind})"
        if not step or width == 1:
            return text if any(flat) else _literal(flat.get("", 0))
        self._wide = True
        steps = f"array([{', '.join(str(n * step) for n in range(WIDTH))}], {kind})"
        name = self.constants.setdefault(steps, f"c{len(self.constants)}")
        return f"{part(name, Terms(), 1, width)} + {_atom(text)}"

    def _mapped(self, node: Node, table: Shape, index: Sequence[Terms]) -> list[Terms]:
        """Return where in its table an element of a `take` is read, or of a `put` added."""
        found = []
        for spec, size in zip(node.detail, table, strict=True):
            found.append(
                self._row(node.operands[spec], index, size)
                if isinstance(spec, int)
                else Place("", spec[1], number(spec[0])).at(index)
            )
        return found

    def _row(self, node: Node, index: Sequence[Terms], size: int) -> Terms:
        """Name an index that is read from an array."""
        if self._reads is not None:
            reads, self._reads = self._reads, []
            self._value(node, index)
            self._indices += self._reads
            self._reads = reads
            return Terms()
        wide, self._wide = self._wide, False
        text = self._value(node, index)
        text = f"within({text if node.kind == 'int64' else f'convert({text}, int64)'}, {size})"
        if self._wide:
            raise NotAlikeError
        self._wide = wide
        if text not in self._rows:
            self._rows[text] = name = f"k{next(self._names)}"
            if any(re.search(rf"\b{loop}\b", text) for loop in self._loops):
                self.line(f"{name} = {text}")
            else:  # the same in all rounds
                self.lines.insert(self._start, f"{'    ' * self._base}{name} = {text}")
        return Terms({self._rows[text]: 1})

    def _element(self, place: Place, index: Sequence[Terms]) -> str:
        if place.strides is None:
            return place.name
        flat = place.at(index)
        if self._reads is not None:
            self._reads.append(flat)
            return "0"
        flat, stride, width = laned(flat, self._width)
        if stride < 0:
            raise NotAlikeError
        self._wide |= stride > 0 and width > 1
        return part(place.name, flat, stride, width if stride else 1)

    def line(self, text: str) -> None:
        """Write a statement."""
        if self._reads is None:
            self.lines.append("    " * self._indent + text)


def _reachable(roots: Sequence[Node]) -> tuple[list[Node], dict[Node, int]]:
    """Return all nodes that the roots need, operands first; and how often each is read, views left out."""
    uses: dict[Node, int] = {}
    order: list[Node] = []

    def read(node: Node, times: int = 1) -> None:
        while node.op == "take":
            for index in node.operands[1:]:
                read(index, 2)  # each element may be read for many
            visit(node)
            times = times + 1 if node.size > node.operands[0].size else times
            node = node.operands[0]
        uses[node] = uses.get(node, 0) + times
        visit(node)

    seen: set[Node] = set()

    def visit(node: Node) -> None:
        if node in seen:
            return
        seen.add(node)
        if node.op != "take":
            for operand in node.operands:
                read(operand)
            order.append(node)

    for root in roots:
        read(root)
    return order, uses


def _is_sum(node: Node) -> bool:
    return node.op == "map" and node.detail == "add"


def _scatters(node: Node, uses: Mapping[Node, int]) -> bool:
    """Whether a node is added to a table here and there."""
    return node.op == "put" or (_is_sum(node) and any(uses.get(x) == 1 and _scatters(x, uses) for x in node.operands))


def strides_of(shape: Shape, last: int | None = None) -> Shape:
    """Return the strides of a dense array, whose elements along the last axis, or another, lie side by side."""
    strides, step = [0] * len(shape), 1
    for axis in sorted(range(len(shape)), key=lambda axis: (axis == last, axis), reverse=True):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def _parts(first: int, last: int) -> Iterator[tuple[int, int]]:
    """Yield start and width of vectors that make up a range: as wide as may be, a power of two each."""
    while first < last:
        width = min(WIDTH, 1 << ((last - first).bit_length() - 1))
        yield first, width
        first += width


def laned(flat: Terms, width: int) -> tuple[Terms, int, int]:
    """Return an index without what depends on the element of the vector, its stride, and the width."""
    flat = Terms(flat)
    return flat, flat.pop(LANE, 0), width


def part(name: str, flat: Terms, stride: int, width: int) -> str:
    """Return an element of an array, or a slice."""
    if width == 1:
        return f"{name}[{flat}]"
    past, start = stride * width, Terms(flat)
    if not any(start):
        return f"{name}[{flat} : {start.get('', 0) + past}{f' : {stride}' if stride > 1 else ''}]"
    text = str(flat)
    return f"{name}[{text} : {text} + {past}{f' : {stride}' if stride > 1 else ''}]"


def _literal(value: float) -> str:
    if isinstance(value, float) and not math.isfinite(value):
        return "1e999" if value > 0 else "-1e999" if value < 0 else "(1e999 - 1e999)"
    return repr(value)


def _neutral(op: str, kind: str) -> str:
    far = "1e999" if kind.startswith("float") else str(2**31 - 1)
    return {"total": "0", "largest": f"-{far}", "smallest": far}[op]


def _atom(text: str) -> str:
    """Put an expression in parentheses, if it needs them beside an operator."""
    depth = 0
    for letter in text:
        depth += (letter in "([") - (letter in ")]")
        if letter == " " and depth == 0:
            return f"({text})"
    return f"({text})" if text[0] in "-~" else text
