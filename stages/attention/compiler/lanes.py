"""Products with rows whose length Numba knows when it compiles, so that each row is one vector of the processor.

A loop over the few elements of a row is too short to be vectorised where its length, or whether the arrays overlap,
is only known when it runs. Here the length is that of a tuple, which is part of its type. Elements are still added in
the order of a plain loop, so the bytes are the same.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, register_jitable
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Lanes = tuple[np.float32, ...]  # only its length counts

FLOAT, INDEX, LANE = ir.FloatType(), ir.IntType(64), ir.IntType(32)


@intrinsic
def combine_rows(
    _typing: Any, y: Any, y_at: Any, x: Any, x_at: Any, rows: Any, rows_at: Any, lanes: Any
) -> tuple[Any, Callable[..., Any]]:
    """Add Σ x_m rows_m to y; each argument is a flat array and where in it the vector or the square matrix starts."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        d = len(lanes)
        y, x, rows = _pointers(context, builder, signature, arguments)
        total = cgutils.alloca_once_value(builder, _load(builder, y, d))
        with cgutils.for_range(builder, ir.Constant(INDEX, d)) as loop:
            row = _load(builder, builder.gep(rows, [builder.mul(loop.index, ir.Constant(INDEX, d))]), d)
            product = builder.fmul(_repeat(builder, builder.load(builder.gep(x, [loop.index])), d), row)
            builder.store(builder.fadd(builder.load(total), product), total)
        _store(builder, builder.load(total), y, d)
        return context.get_dummy_value()

    return types.void(y, y_at, x, x_at, rows, rows_at, lanes), generate


@intrinsic
def add_outer(
    _typing: Any, rows: Any, rows_at: Any, x: Any, x_at: Any, y: Any, y_at: Any, lanes: Any
) -> tuple[Any, Callable[..., Any]]:
    """Add x_m y to each row m of a matrix."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        d = len(lanes)
        rows, x, y = _pointers(context, builder, signature, arguments)
        vector = _load(builder, y, d)
        with cgutils.for_range(builder, ir.Constant(INDEX, d)) as loop:
            row = builder.gep(rows, [builder.mul(loop.index, ir.Constant(INDEX, d))])
            product = builder.fmul(_repeat(builder, builder.load(builder.gep(x, [loop.index])), d), vector)
            _store(builder, builder.fadd(_load(builder, row, d), product), row, d)
        return context.get_dummy_value()

    return types.void(rows, rows_at, x, x_at, y, y_at, lanes), generate


@register_jitable
def transpose(rows: Floats, rows_at: int, columns: Floats, lanes: Lanes) -> None:
    """Set the first d² numbers of `columns` to the transposed matrix."""
    d = len(lanes)
    for m in range(d):
        for i in range(d):
            columns[i * d + m] = rows[rows_at + m * d + i]


def _pointers(context: Any, builder: Any, signature: Any, arguments: Any) -> list[Any]:
    """Return where each of the three pairs of array and start points."""
    return [
        builder.gep(context.make_array(signature.args[i])(context, builder, arguments[i]).data, [arguments[i + 1]])
        for i in (0, 2, 4)
    ]


def _load(builder: Any, pointer: Any, d: int) -> Any:
    return builder.load(builder.bitcast(pointer, ir.VectorType(FLOAT, d).as_pointer()), align=4)


def _store(builder: Any, vector: Any, pointer: Any, d: int) -> None:
    builder.store(vector, builder.bitcast(pointer, ir.VectorType(FLOAT, d).as_pointer()), align=4)


def _repeat(builder: Any, number: Any, d: int) -> Any:
    first = builder.insert_element(ir.Constant(ir.VectorType(FLOAT, d), ir.Undefined), number, ir.Constant(LANE, 0))
    return builder.shuffle_vector(
        first, ir.Constant(first.type, ir.Undefined), ir.Constant(ir.VectorType(LANE, d), [0] * d)
    )
