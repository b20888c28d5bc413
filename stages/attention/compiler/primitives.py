"""The words of the loop programs: what each means in plain Python, on numbers and slices of NumPy.

A program (source.py) is a restricted Python: `machine` compiles it, and Python itself runs it with these words, to the
same bits. Below are the functions of mathematics that programs use, written in the same words: no mathematical library
has a say, since its last bits differ from CPU to CPU. A slice of 8 elements is a vector of the processor.
"""

from typing import Any

import numpy as np

Number = Any  # a scalar or a vector of NumPy, of one of the types below

array, empty = np.array, np.empty
float32, float64, int32, int64, bool8 = np.float32, np.float64, np.int32, np.int64, np.bool_
sqrt = np.sqrt  # exactly rounded, on any processor


def where(condition: Number, yes: Number, no: Number) -> Number:
    """Choose element by element."""
    chosen: Number = np.where(condition, yes, no)
    return chosen[()]


def convert(x: Number, kind: type) -> Number:
    """Return a number as another type; from a float to an integer towards zero."""
    return np.asarray(x).astype(kind)[()]


def bits(x: Number) -> Number:
    """Return the bits of a float as an integer of its size."""
    return np.asarray(x).view(int32 if x.dtype == float32 else int64)[()]


def from_bits(x: Number) -> Number:
    """Return the float that has these bits."""
    return np.asarray(x).view(float32 if x.dtype == int32 else float64)[()]


def fill(width: int, value: Number, kind: type) -> Number:
    """Return a vector of equal numbers."""
    return np.full(width, value, kind)


def total(x: Number) -> Number:
    """Add the elements of a vector: its halves, then the halves of that."""
    while len(x) > 1:
        x = x[: len(x) // 2] + x[len(x) // 2 :]
    return x[0]


def largest(x: Number) -> Number:
    """Return the largest element of a vector, by halves."""
    while len(x) > 1:
        x = larger(x[: len(x) // 2], x[len(x) // 2 :])
    return x[0]


def smallest(x: Number) -> Number:
    """Return the smallest element of a vector, by halves."""
    while len(x) > 1:
        x = smaller(x[: len(x) // 2], x[len(x) // 2 :])
    return x[0]


# From here on in the restricted Python itself: these functions are compiled into every program that calls them.


def larger(x: Number, y: Number) -> Number:
    """Return the larger number; NaN if either is."""
    return where((x > y) | (x != x), x, y)


def smaller(x: Number, y: Number) -> Number:
    """Return the smaller number; NaN if either is."""
    return where((x < y) | (x != x), x, y)


def within(k: Number, n: Number) -> Number:
    """Return an index of a table of n rows: negative ones count from the end; none reaches beyond the table."""
    k = where(k < 0, k + n, k)
    return where(k < 0, 0, where(k < n, k, n - 1))


def exp(x: Number) -> Number:
    """e^x in float32, within 2 units in the last place; below the normal numbers (x < -87.33) it is 0.

    x = n·ln 2 + r with |r| <= ln 2 / 2, and e^r by the polynomial of Cephes' expf (S. Moshier). To add 1.5·2^23 rounds
    to a whole number, which then stands in the last bits.
    """
    z = where(x > -88.0, where(x < 89.0, x, 89.0), -88.0)
    t = z * 1.44269504088896341 + 12582912.0
    n = t - 12582912.0
    r = (z - n * 0.693359375) - n * -2.12194440e-4
    y = 1.9875691500e-4
    y = y * r + 1.3981999507e-3
    y = y * r + 8.3334519073e-3
    y = y * r + 4.1665795894e-2
    y = y * r + 1.6666665459e-1
    y = y * r + 5.0000001201e-1
    y = y * (r * r) + r + 1.0
    power = from_bits(bits(y) + (bits(t) << 23))  # y·2^n: n is added to the exponent
    return where(x >= -87.336, where(x > 88.72283, 1e39, power), where(x < 0.0, 0.0, x))  # else x is NaN


def tanh(x: Number) -> Number:
    """Hyperbolic tangent in float32, within 3 units in the last place: near 0 Cephes' polynomial, else by exp."""
    e = exp(-2.0 * abs(x))
    far = (1.0 - e) / (1.0 + e)
    z = x * x
    y = -5.70498872745e-3
    y = y * z + 2.06390887954e-2
    y = y * z + -5.37397155531e-2
    y = y * z + 1.33314422036e-1
    y = y * z + -3.33332819422e-1
    near = x + x * z * y
    return where(abs(x) > 0.625, where(x > 0.0, far, -far), near)


def log(x: Number) -> Number:
    """Natural logarithm in float32, within 2 units in the last place: Cephes' logf; of a negative number NaN.

    x = m·2^n with √½ <= m < √2: log x = n·ln 2 + log m.
    """
    small = x < 1.17549435e-38
    raised = bits(where(small, x * 8388608.0, x)) - 0x3F3504F3  # √½ is 0
    n = convert(raised >> 23, float32)
    n = where(small, n - 23.0, n)
    m = from_bits((raised & 0x7FFFFF) + 0x3F3504F3) - 1.0
    z = m * m
    y = 7.0376836292e-2
    y = y * m + -1.1514610310e-1
    y = y * m + 1.1676998740e-1
    y = y * m + -1.2420140846e-1
    y = y * m + 1.4249322787e-1
    y = y * m + -1.6668057665e-1
    y = y * m + 2.0000714765e-1
    y = y * m + -2.4999993993e-1
    y = y * m + 3.3333331174e-1
    y = y * m * z + n * -2.12194440e-4 - 0.5 * z
    y = m + y + n * 0.693359375
    y = where(x < 1e39, y, x)  # of infinity, infinity
    return where(x > 0.0, y, where(x == 0.0, -1e39, (x - x) / (x - x)))  # else NaN


# The same in float64, for gradients that tests compare with torch's.


def exp64(x: Number) -> Number:
    """e^x: as in float32, with the Taylor polynomial."""
    z = where(x > -709.0, where(x < 710.0, x, 710.0), -709.0)
    t = z * 1.44269504088896341 + 6755399441055744.0
    n = t - 6755399441055744.0
    r = (z - n * 0.693147180369123816) - n * 1.90821492927058770e-10
    y = 1.6059043836821613e-10
    y = y * r + 2.08767569878681e-09
    y = y * r + 2.505210838544172e-08
    y = y * r + 2.755731922398589e-07
    y = y * r + 2.7557319223985893e-06
    y = y * r + 2.48015873015873e-05
    y = y * r + 1.984126984126984e-04
    y = y * r + 1.388888888888889e-03
    y = y * r + 8.333333333333333e-03
    y = y * r + 4.1666666666666664e-02
    y = y * r + 1.6666666666666666e-01
    y = y * r + 0.5
    y = y * (r * r) + r + 1.0
    power = from_bits(bits(y) + (bits(t) << 52))
    return where(x >= -708.0, where(x > 709.78, 1e999, power), where(x < 0.0, 0.0, x))


def tanh64(x: Number) -> Number:
    """Hyperbolic tangent: near 0 Cephes' quotient of polynomials, else by exp."""
    e = exp64(-2.0 * abs(x))
    far = (1.0 - e) / (1.0 + e)
    z = x * x
    p = (z * -9.64399179425052238628e-1 - 9.92877231001918586564e1) * z - 1.61468768441708447952e3
    q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z + 4.84406305325125486048e3
    return where(abs(x) > 0.625, where(x > 0.0, far, -far), x + x * z * (p / q))


def log64(x: Number) -> Number:
    """Natural logarithm of a normal number: log m = 2 artanh((m - 1) / (m + 1)), by its series."""
    raised = bits(x) - 0x3FE6A09E667F3BCD
    n = convert(raised >> 52, float64)
    m = from_bits((raised & 0xFFFFFFFFFFFFF) + 0x3FE6A09E667F3BCD)
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    y = 0.047619047619047616
    y = y * z + 0.05263157894736842
    y = y * z + 0.058823529411764705
    y = y * z + 0.06666666666666667
    y = y * z + 0.07692307692307693
    y = y * z + 0.09090909090909091
    y = y * z + 0.1111111111111111
    y = y * z + 0.14285714285714285
    y = y * z + 0.2
    y = y * z + 0.3333333333333333
    y = n * 1.90821492927058770e-10 + 2.0 * (s + s * z * y) + n * 0.693147180369123816
    y = where(x < 1e999, y, x)
    return where(x > 0.0, y, where(x == 0.0, -1e999, (x - x) / (x - x)))
