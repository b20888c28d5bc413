"""Where elements lie: an index as a sum of names times factors, and the strides of arrays."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from attention.compiler.graph import Shape

LANE = "@"  # in an index: which element of the vector


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


def strides_of(shape: Shape, last: int | None = None) -> Shape:
    """Return the strides of a dense array, whose elements along the last axis, or another, lie side by side."""
    strides, step = [0] * len(shape), 1
    for axis in sorted(range(len(shape)), key=lambda axis: (axis == last, axis), reverse=True):
        strides[axis] = step
        step *= shape[axis]
    return tuple(strides)


def part(name: str, index: Terms, width: int) -> str:
    """Return the text of an element of an array, or of the slice that a vector of this width is."""
    start = Terms(index)
    stride = start.pop(LANE, 0)
    if width == 1 or not stride:
        return f"{name}[{start}]"
    past = f"{start} + {stride * width}" if any(start) else start.get("", 0) + stride * width
    return f"{name}[{start} : {past}{f' : {stride}' if stride > 1 else ''}]"
