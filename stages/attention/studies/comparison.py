"""Pairs of configurations compared, seed by seed: with one seed both have the same data.

Of each pair: in how many seeds the first one's error is the lower one, by what factor, and whether that could be
chance.
Where both diverged or have equal errors is a tie; where one diverged, the other one's error is lower.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from numpy.typing import NDArray

from attention.studies.groups import EFFECTIVE, Group, name_of
from attention.studies.statistics import ALPHA, Floats, difference_interval, holm, log10, share_interval, sign_test

AT_ONCE = 1_000_000  # differences in memory; results do not depend on it


@dataclass(frozen=True)
class Comparison:
    """Two configurations, the first one against the second.

    Attributes:
        first: the one that comes first in the grid.
        second: the other one, with the same seeds.
        lower: in how many seeds the first one's error is lower.
        higher: in how many it is higher; the others are ties.
        share: lower as a share of the seeds, and its 90 % interval.
        log10_error: median of log10(first error / second error), and its 90 % interval; NaN for fewer than 5 seeds.
        effective: the same of effective recovery, first minus second.
        p: of the sign test.
        p_holm: the same, corrected for all pairs of the table.

    """

    first: Group
    second: Group
    lower: int
    higher: int
    share: Floats
    log10_error: Floats
    effective: Floats
    p: float
    p_holm: float

    @property
    def differs(self) -> bool:
        """Whether chance alone would do this, in any pair of the table, in less than one study of 20."""
        return self.p_holm <= ALPHA

    @property
    def says(self) -> str:
        """The comparison as a sentence."""
        seeds, ties = len(self.first.seeds), len(self.first.seeds) - self.lower - self.higher
        (first, second), at = _told_apart(self.first.texts, self.second.texts)
        counts = f"of {seeds} seeds" + (f", {ties} ties" if ties else "")
        found = (self.first.found, self.second.found)
        if not self.differs:
            says = (
                f"{first} and {second}: no difference in error that {seeds} seeds show "
                f"(the first is lower in {self.lower} {counts}; p {show(self.p_holm)})"
            )
        else:
            log10, below = self.log10_error, self.lower
            if self.lower < self.higher:
                first, second, below, log10 = second, first, self.higher, -log10[[0, 2, 1]]
                found = found[::-1]
            factor, low, high = map(show_power, log10)
            interval = "" if np.isnan(log10[1]) else f", 90 % interval {low} to {high}"
            says = (
                f"{first} is below {second} in {below} {counts} "
                f"(median ratio of the errors {factor}{interval}; p {show(self.p_holm)})"
            )
        says += f"; truth found in {found[0]} and {found[1]}" if found[0] != found[1] else ""
        return f"{at}: {says}" if at else says


def pairs(groups: Sequence[Group], compare: str) -> list[tuple[int, int]]:
    """Return which are compared, in the order of the grid: neighbours, which differ in one key, all, or none."""
    if compare == "all":
        return list(itertools.combinations(range(len(groups)), 2))
    if compare == "none":
        return []
    alike: dict[tuple[tuple[str, str], ...], list[int]] = {}  # but for one key
    for number, each in enumerate(groups):
        texts = [*each.texts.items()]
        for place in range(len(texts)):
            alike.setdefault((*texts[:place], (texts[place][0], ""), *texts[place + 1 :]), []).append(number)
    return sorted(pair for numbers in alike.values() for pair in itertools.combinations(numbers, 2))


def compare_pairs(groups: Sequence[Group], which: Sequence[tuple[int, int]]) -> list[Comparison]:
    """Compare pairs of configurations whose trainings have the same seeds."""
    if not which:
        return []
    parts = list(_measured(groups, np.array(which)))
    lower, higher, log10_error, effective = (np.concatenate(each) for each in zip(*parts, strict=True))
    seeds = len(groups[0].seeds)
    p = sign_test(lower, higher, seeds)
    shares = np.column_stack([lower / seeds, *share_interval(lower, seeds)])
    rows = zip(
        lower.tolist(), higher.tolist(), shares, log10_error, effective, p.tolist(), holm(p).tolist(), strict=True
    )
    return [Comparison(groups[i], groups[j], *row) for (i, j), row in zip(which, rows, strict=True)]


def _measured(
    groups: Sequence[Group], which: NDArray[np.int64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64], Floats, Floats]]:
    """Yield lower, higher, and the differences (pairs, 3) of log10 error and of effective recovery, block by block."""
    errors = log10(np.stack([each.results[:, 0] for each in groups]))  # (configurations, seeds)
    effective = np.stack([each.results[:, EFFECTIVE] for each in groups])
    rows = max(1, AT_ONCE // errors.shape[1])
    for start in range(0, len(which), rows):
        i, j = which[start : start + rows].T
        lower, higher = (errors[i] < errors[j]).sum(axis=1), (errors[i] > errors[j]).sum(axis=1)
        with np.errstate(invalid="ignore"):
            ratio = np.where(errors[i] == errors[j], 0.0, errors[i] - errors[j])  # of two infinite ones, too
        yield lower, higher, _median_of(ratio), _median_of(effective[i] - effective[j])


def _median_of(differences: Floats) -> Floats:
    """Return the median and its interval (pairs, 3) of differences (pairs, seeds)."""
    ordered = np.sort(differences, axis=1)
    middle = ordered.shape[1] // 2
    with np.errstate(invalid="ignore"):
        median = np.where(ordered.shape[1] % 2, ordered[:, middle], (ordered[:, middle - 1] + ordered[:, middle]) / 2)
    between = np.where(np.isnan(median), 0.0, median)  # of one that is infinitely lower and one infinitely higher
    return np.column_stack([between, *difference_interval(differences.T)])


def _told_apart(first: Mapping[str, str], second: Mapping[str, str]) -> tuple[tuple[str, str], str]:
    """Return what to call two configurations by what differs, and what they have in common."""
    same = {key: text for key, text in first.items() if second[key] == text}
    own = [name_of({key: text for key, text in each.items() if key not in same}) for each in (first, second)]
    return (own[0], own[1]), name_of(same)


def show(number: float) -> str:
    """Show a number for people, in two digits, or all of those before the point."""
    return f"{number:,.0f}" if 99.5 <= number < 1e6 else f"{number:.2g}"


def show_power(exponent: float) -> str:
    """Show 10 to a power, which a float may not hold, and what is close to 1 in four digits.

    Decimal computes with whole numbers alone, not with the C library's pow.
    """
    power = Decimal(10) ** Decimal(float(exponent))
    if 300 < abs(exponent) < np.inf:
        return f"{power:.1e}"
    return f"{float(power):.4g}" if Decimal("0.9") < power < Decimal("1.1") else show(float(power))
