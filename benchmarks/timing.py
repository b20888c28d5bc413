"""Times of programs side by side, on a machine that others use too."""

import time
from collections.abc import Callable, Mapping, Sequence

import numpy as np

UNDISTURBED = 1.25  # the upper to the lower quartile of a contender's times in a round
MOST = 3  # times as many rounds as asked for

Seconds = dict[str, list[float]]


def seconds_of(run: Callable[[], object]) -> float:
    """Return how long a program of one thread ran: its processor's time where others held the processor meanwhile."""
    wall, busy = time.perf_counter(), time.process_time()
    run()
    return min(time.perf_counter() - wall, time.process_time() - busy)


def side_by_side(runs: Mapping[str, Callable[[], object]], rounds: int, turns: int = 5) -> tuple[Seconds, int]:
    """Time programs in turn, A B C A B C, in rounds; a round that was disturbed is run again, three times at most.

    Returns:
        The times of each, of a turn at the same index; and how many rounds were run again.

    """
    kept: Seconds = {name: [] for name in runs}
    again = 0
    for _ in range(rounds):
        for attempt in range(MOST):
            times: Seconds = {name: [] for name in runs}
            for _ in range(turns):
                for name, run in runs.items():
                    times[name].append(seconds_of(run))
            if all(spread_of(each) <= UNDISTURBED for each in times.values()):
                break
            again += attempt < MOST - 1
        for name, each in times.items():
            kept[name] += each
    return kept, again


def spread_of(times: Sequence[float]) -> float:
    """Return the upper to the lower quartile."""
    low, high = np.quantile(times, [0.25, 0.75])
    return float(high / low)


def quartiles(values: Sequence[float], form: str) -> str:
    """Show the median, and the quartiles in brackets."""
    low, middle, high = (format(value, form) for value in np.quantile(values, [0.25, 0.5, 0.75]))
    return f"{middle} ({low} to {high})"


def ratios(of: Sequence[float], to: Sequence[float]) -> list[float]:
    """Return the ratio of each turn."""
    return [a / b for a, b in zip(of, to, strict=True)]
