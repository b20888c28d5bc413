"""What the numbers of some seeds say of all seeds: medians, shares and pairs, each with an interval.

One theory serves all: whether a number lies below the true median, or one configuration below another, is a throw of a
coin, and of n throws the binomial distribution knows the rest. Nothing is assumed of how the numbers are distributed,
and an infinite one, the error of a training that diverged, is as good as any.

SciPy has the same tests and intervals, and the tests hold these against it. But it calls the C library's exp and log,
whose last bits depend on the processor, and these numbers go into files whose bytes must not: here are sums, products,
quotients and roots alone.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

LEVEL = 0.9  # of every interval
TAIL = (1 - LEVEL) / 2
QUANTILE = 1.6448536269514722  # of the normal distribution, at 1 - TAIL
LN_2, LN_10 = 0.6931471805599453, 2.302585092994046
ALPHA = 0.05  # how often "differs" may be said in a whole table where nothing does
SPREAD = ("median", "q1", "q3", "low", "high")  # the quartiles are of the trainings, the interval of the median


def spread(values: Floats) -> Floats:
    """Return the numbers of SPREAD: (n, …) -> (5, …).

    Quartiles are Tukey's hinges, the medians of the lower and of the upper half. One is infinite if either of its two
    middle numbers is.
    """
    ordered, half = np.sort(values, axis=0), (len(values) + 1) // 2
    quarters = [np.median(part, axis=0) for part in (ordered, ordered[:half], ordered[-half:])]
    return np.concatenate([quarters, median_interval(values)])


def median_interval(values: Floats) -> Floats:
    """Return the exact interval of the median: (n, …) -> (2, …), NaN for fewer than 5 numbers.

    Its ends are the k-th smallest and the k-th largest number, for the largest k with P(B < k) ≤ 5 %, B ~ Bin(n, 1/2):
    it holds the median in at least 90 % of all cases, whatever the distribution (David and Nagaraja 2003, 7.1).
    """
    k, _ = _rank(len(values))
    if not k:
        return np.full((2, *values.shape[1:]), np.nan)
    ordered = np.sort(values, axis=0)
    return np.stack([ordered[k - 1], ordered[-k]])


def difference_interval(values: Floats) -> Floats:
    """Return the interval of the median of paired differences: (n, …) -> (2, …), NaN for fewer than 5.

    The exact interval holds the median in more than 90 % of all cases, in 95 % with 32 seeds. This one lies between it
    and the next narrower one, so that about 90 % are left (Hettmansperger and Sheather 1986).
    """
    n = len(values)
    k, share = _rank(n)
    if not k:
        return np.full((2, *values.shape[1:]), np.nan)
    ordered = np.sort(values, axis=0)
    inward = (n - k) * share / (k + (n - 2 * k) * share)
    outer, inner = np.stack([ordered[k - 1], ordered[-k]]), np.stack([ordered[k], ordered[-k - 1]])
    with np.errstate(invalid="ignore"):
        between = (1 - inward) * outer + inward * inner
    ends: Floats = np.where(np.isfinite(between), between, outer)
    return ends


def _rank(n: int) -> tuple[int, float]:
    """Return the largest k with P(Bin(n, 1/2) < k) ≤ 5 %, and which share of P(B = k) is left up to 5 %."""
    below = at_most(n)
    k = int(np.searchsorted(below, TAIL, side="right"))
    return k, float((TAIL - below[k - 1]) / (below[k] - below[k - 1])) if k else 0.0


@cache
def at_most(n: int) -> Floats:
    """Return P(Bin(n, 1/2) ≤ k) for k = 0, 1 … n: binomial coefficients from the middle outwards, added one by one."""
    middle = n // 2
    up = np.cumprod((n - np.arange(middle, n)) / np.arange(middle + 1, n + 1))
    down = np.cumprod(np.arange(middle, 0, -1) / (n + 1 - np.arange(middle, 0, -1)))
    sums = np.cumsum(np.concatenate([down[::-1], [1.0], up]))
    chances: Floats = sums / sums[-1]
    return chances


def share_interval(count: NDArray[np.int64] | int, n: int) -> Floats:
    """Return the interval (2, …) of a share of which `count` of `n` were seen (Wilson 1927)."""
    share, square = np.asarray(count) / n, QUANTILE**2 / n
    centre, half = share + square / 2, QUANTILE * np.sqrt(share * (1 - share) / n + square / n / 4)
    ends = np.stack([np.where(share > 0, centre - half, 0.0), np.where(share < 1, centre + half, 1 + square)])
    interval: Floats = ends / (1 + square)
    return interval


def sign_test(lower: NDArray[np.int64], higher: NDArray[np.int64], n: int) -> Floats:
    """Return the p of as uneven a count where each side is as likely; ties are shared between both.

    Of an odd number of ties the last one goes to the smaller side, which makes p larger.
    """
    more = np.maximum(lower, higher) + (n - lower - higher) // 2
    p: Floats = np.minimum(1.0, 2 * at_most(n)[n - more])
    return p


def log10(values: Floats) -> Floats:
    """Return the decimal logarithm of numbers from 0 to ∞, by the series 2·artanh(s), s = (m - 1) / (m + 1)."""
    mantissa, exponent = np.frexp(values)  # values = mantissa · 2^exponent, 0.5 ≤ mantissa < 1
    near_one = np.where(mantissa < math.sqrt(0.5), 2 * mantissa, mantissa)
    with np.errstate(invalid="ignore"):
        s = (near_one - 1) / (near_one + 1)
        series = np.zeros_like(s)
        for odd in range(25, 0, -2):
            series = series * (s * s) + 1 / odd
        natural = 2 * s * series + (exponent - (mantissa < math.sqrt(0.5))) * LN_2
    return np.where(values == 0, -np.inf, np.where(np.isinf(values), np.inf, natural / LN_10))


def holm(p: Floats) -> Floats:
    """Return p corrected for how many are looked at: "p ≤ 5 %" is then wrong in no table but one of 20 (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return corrected
