"""Adam as torch computes it, in the program of a training: the bias corrections of a block, and a step."""

import math

from attention.compiler.graph import Shape
from attention.compiler.indexing import Place, Terms, part
from attention.compiler.loops import Axis, Bound, Loops

STEPS_AHEAD = 256  # how many steps' bias corrections are computed together
# Arithmetic on numbers below 1e-38 takes a hundred times as long. A mean below LEAST counts as none, as it moves no
# parameter: Adam divides by 1e-8 at least. So does a root of the squares of UNFELT, which keeps them above 1e-38.
LEAST, UNFELT = "1e-30", "5e-18"

BIAS_CORRECTIONS = f"""\
            steps = smaller({STEPS_AHEAD}, (n - block + batch - 1) // batch)
            power[0] = powers[0]
            power[1] = powers[1]
            for t in range(steps):
                power[0] = larger(power[0] * 0.9, 1e-300)
                power[1] = power[1] * 0.999
                rates[t] = power[0]
                scales[t] = power[1]
            powers[0] = power[0]
            powers[1] = power[1]
            for t in range(0, {STEPS_AHEAD}, 8):
                rates[t : t + 8] = learning_rate / (1.0 - rates[t : t + 8])
                scales[t : t + 8] = 1.0 / sqrt(1.0 - scales[t : t + 8])"""


def adam(step: Loops, shape: Shape, offset: Terms, clear: bool, single: bool) -> None:
    """Write a step of torch's Adam for one parameter, in the vectors in which the traced function reads it."""
    columns = shape[-1] if shape and shape[-1] % 8 else math.prod(shape)
    rows = math.prod(shape) // columns
    place = Place("", (columns, 1), offset)

    def statement(bound: Bound, width: int) -> None:
        flat = place.at([bound.get(axis, Terms()) for axis in ("row", "k")])
        g, m, v, p = (part(array, flat, width) for array in "gmvp")
        for line in (
            f"slope = {g}{'' if single else ' / count'}",
            f"mean = {m} + (slope - {m}) * 0.1",
            f"felt = slope + {UNFELT}",
            f"square = {v} * 0.999 + felt * felt * 0.001",
            f"{p} = {p} - rate * mean / (sqrt(square) * scale + 1e-08)",
            f"{m} = where(abs(mean) < {LEAST}, 0.0, mean)",
            f"{v} = square",
            *([f"{g} = 0.0"] if clear else []),
        ):
            step.line(line)

    axes = [Axis("row", rows), Axis("k", columns)]
    step.over([axis for axis in axes if axis.count > 1] or axes[1:], "k", statement)
