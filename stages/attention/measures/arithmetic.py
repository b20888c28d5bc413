"""exp and log of float64 in additions, products and quotients alone: the same on any CPU, as NumPy's are not.

Both are within a few units of the last place.
"""

import math

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10  # fdlibm's: their sum is ln 2
LEAST = -700.0  # below, exp is not told from its value there


def exp(x: Floats) -> Floats:
    """Return eˣ for x up to 700: 2ᵏ times the Taylor series of what is left, of at most ln(2)/2."""
    x = np.maximum(x, LEAST)
    k = np.rint(x * (1 / math.log(2)))
    rest = (x - k * LN2_HIGH) - k * LN2_LOW
    total = np.ones_like(rest)
    for n in range(14, 0, -1):
        total = total * rest / n + 1
    return np.ldexp(total, k.astype(np.int64))


def log(x: Floats) -> Floats:
    """Return the natural logarithm of x > 0: of 2ᵏ·m, with m from √½ to √2, k ln 2 + 2 artanh((m - 1)/(m + 1))."""
    m, k = np.frexp(x)
    low = m < math.sqrt(0.5)
    m, k = np.where(low, 2 * m, m), k - low
    s = (m - 1) / (m + 1)
    square, total = s * s, np.zeros_like(s)
    for n in range(25, 0, -2):
        total = total * square + 1 / n
    found: Floats = 2 * s * total + k * LN2_LOW + k * LN2_HIGH
    return found
