"""The study's statistics against SciPy's and against hand-computed numbers, and how often they are right."""

import math

import numpy as np
import pytest
from scipy import stats

from attention.studies.statistics import (
    at_most,
    difference_interval,
    holm,
    log10,
    median_interval,
    share_interval,
    sign_test,
    spread,
)

SIZES = (1, 2, 4, 5, 8, 10, 31, 100, 401)


@pytest.mark.parametrize("n", SIZES)
def test_the_interval_of_the_median_is_scipy_s(n: int) -> None:
    values = np.random.default_rng(n).standard_cauchy((n, 3))
    wanted = [stats.quantile_test(column, q=0, p=0.5).confidence_interval(0.9) for column in values.T]
    assert np.array_equal(median_interval(values).T, np.array(wanted), equal_nan=True)
    assert np.isnan(median_interval(values)).all() == np.isnan(difference_interval(values)).all() == (n < 5)


@pytest.mark.parametrize("n", SIZES)
def test_shares_and_signs_are_scipy_s(n: int) -> None:
    counts = np.arange(n + 1)
    tests = [stats.binomtest(count, n) for count in counts.tolist()]
    wanted = np.array([test.proportion_ci(0.9, method="wilson") for test in tests])
    assert np.allclose(share_interval(counts, n).T, wanted, rtol=1e-12, atol=1e-15)
    assert np.allclose(sign_test(counts, n - counts, n), [test.pvalue for test in tests], rtol=1e-10)
    assert np.allclose(at_most(n), stats.binom.cdf(counts, n, 0.5), rtol=1e-10)


def test_the_spread_of_nine_numbers_by_hand() -> None:
    """P(Bin(9, 1/2) < 2) is 10/512, less than 5 %, and P(B < 3) is 46/512: from the second to the eighth."""
    values = np.array([[9, 1, 8, 2, 7, 3, 6, 4, 5], [5.0] * 9]).T
    assert spread(values).T.tolist() == [[5, 3, 7, 2, 8], [5, 5, 5, 5, 5]]
    assert spread(np.array([1.0, 2.0, 3.0, 4.0]))[:3].tolist() == [2.5, 1.5, 3.5]


def test_trainings_that_diverged_are_the_largest_errors() -> None:
    """P(Bin(6, 1/2) < 1) is 1/64 and P(B < 2) is 7/64: the interval goes from end to end."""
    assert spread(np.array([1.0, math.inf, 2.0, 3.0, math.inf, 4.0])).tolist() == [3.5, 2, math.inf, 1, math.inf]
    few = difference_interval(np.array([-math.inf, 1.0, 2.0, 3.0, math.inf, math.inf]))
    assert few.tolist() == [-math.inf, math.inf]


def test_ties_belong_to_both_sides_and_the_odd_one_to_the_smaller() -> None:
    """Of 5 with 3 below, 0 above and 2 ties: as 4 of 5, P = 2·(5 + 1)/32. With 3 ties, 2 below: as 3 of 5, P = 1."""
    lower, higher = np.array([3, 2, 5, 0]), np.array([0, 0, 0, 5])
    assert sign_test(lower, higher, 5).tolist() == pytest.approx([0.375, 1.0, 0.0625, 0.0625])


def test_holm_by_hand() -> None:
    """The smallest of three times 3, the next times 2 and not below the one before, the last as it is."""
    assert holm(np.array([0.04, 0.01, 0.03])).tolist() == pytest.approx([0.06, 0.03, 0.06])
    assert holm(np.array([0.9, 0.6])).tolist() == [1.0, 1.0]


def test_the_logarithm_is_numpy_s_to_some_bits_and_knows_0_and_infinity() -> None:
    values = np.concatenate([np.exp(np.random.default_rng(1).uniform(-700, 700, 10_001)), [1e-320, 1.0, 0.7, 0.71]])
    assert np.allclose(log10(values), np.log10(values), rtol=1e-14)
    assert log10(np.array([0.0, 1.0, 1000.0, math.inf])).tolist() == [-math.inf, 0.0, pytest.approx(3), math.inf]


@pytest.mark.parametrize("n", [5, 10, 32])
def test_intervals_hold_the_median_as_often_as_they_say(n: int) -> None:
    values = np.random.default_rng(3).lognormal(size=(n, 4001))  # its median is 1
    exact, near = (
        np.mean((low <= 1) & (high >= 1)) for low, high in (median_interval(values), difference_interval(values))
    )
    assert 0.89 < near < 0.91
    assert exact > 0.9
