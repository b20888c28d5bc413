"""The types of LLVM that programs use, and its constants."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from llvmlite import ir

INT, POINTER = ir.IntType(64), ir.PointerType()
TYPES: dict[str, Any] = {
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
    "int32": ir.IntType(32),
    "int64": INT,
    "bool8": ir.IntType(1),
}
BOOL, INT32 = TYPES["bool8"], TYPES["int32"]


def constant(kind: Any, value: float) -> Any:
    """Return a number in a type; in that of a vector, as often as it has elements."""
    if isinstance(kind, ir.VectorType):
        return ir.Constant(kind, [constant(kind.element, value)] * kind.count)
    if isinstance(kind, ir.FloatType):
        with np.errstate(over="ignore"):
            return ir.Constant(kind, float(np.float32(value)))
    return ir.Constant(kind, float(value) if isinstance(kind, ir.DoubleType) else int(value))


def shuffle(numbers: Sequence[int]) -> Any:
    """Return which elements a shuffle takes."""
    return ir.Constant(ir.VectorType(INT32, len(numbers)), list(numbers))


def stored(kind: Any) -> Any:
    """Return the type of an element in memory, where the smallest is a byte."""
    return ir.IntType(8) if kind == BOOL else kind


def element(kind: Any) -> Any:
    """Return the type of an element of a vector; of a number, its own."""
    return getattr(kind, "element", kind)


def is_float(kind: Any) -> bool:
    """Whether it is a type of floats, or of vectors of these."""
    return isinstance(element(kind), ir.FloatType | ir.DoubleType)


def of_width(kind: Any, like: Any) -> Any:
    """Return the type of as many elements as another type has."""
    return ir.VectorType(kind, like.count) if isinstance(like, ir.VectorType) else kind


def suffix(kind: Any) -> str:
    """Return how the names of LLVM's intrinsics end for a type."""
    one = element(kind)
    name = {ir.FloatType(): "f32", ir.DoubleType(): "f64"}.get(one) or f"i{one.width}"
    return f"v{kind.count}{name}" if isinstance(kind, ir.VectorType) else name
