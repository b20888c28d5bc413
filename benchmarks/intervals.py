"""How often a study is right about what it cannot know: python benchmarks/intervals.py [--studies N].

Simulates studies whose true medians are known, hands them to the code of the stage `study`, and counts how often its
90 % intervals hold the truth, and how often it says "differs" where nothing does. Writes
benchmarks/results/intervals.{csv,md}.
"""

import argparse
from collections.abc import Callable, Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray

from attention.params import load_params
from attention.params.schema import Params
from attention.studies.comparison import compare_pairs, pairs
from attention.studies.groups import MEASURES, Group
from attention.studies.trainings import Outcome
from report import write_report

SEEDS = (5, 10, 20, 32, 100)
RATIO = 0.25  # of the errors' medians, in the pairs that differ
CONFIGURATIONS = 6  # that differ in nothing: 15 pairs
Floats = NDArray[np.float64]
Draw = Callable[[np.random.Generator, tuple[int, ...]], Floats]


def two_humps(random: np.random.Generator, shape: tuple[int, ...]) -> Floats:
    """Draw from 5/6 N(m, 0.3²) + 1/6 N(m + 4, 0.3²), whose median is 0: of the first hump 0.6 lie below."""
    missed = random.random(shape) < 1 / 6
    return 0.3 * (random.standard_normal(shape) - 0.2533471031357997) + 4 * missed


# Of log10 errors, each with the median 0: as smooth as it gets, with heavy tails, skewed, and as those of trainings
# that mostly settle and sometimes miss the truth.
SHAPES: dict[str, Draw] = {
    "normal": lambda random, shape: random.standard_normal(shape),
    "Cauchy": lambda random, shape: random.standard_cauchy(shape),
    "exponential": lambda random, shape: random.exponential(size=shape) - np.log(2),
    "two humps, one training in six misses": two_humps,
}


def main() -> None:
    """Simulate, count, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--studies", type=int, default=2000)
    studies = parser.parse_args().studies
    rows = []
    for seeds in SEEDS:
        for shape, draw in SHAPES.items():
            random = np.random.default_rng([seeds, list(SHAPES).index(shape)])
            held = np.mean([list(_held(random, draw, seeds)) for _ in range(studies)], axis=0)
            said = np.mean([_said(random, draw, seeds) for _ in range(studies)])
            rows.append(
                {
                    "seeds": str(seeds),
                    "log10 errors": shape,
                    "median of a configuration": f"{held[0]:.1%}",
                    "ratio of a pair": f"{held[1]:.1%}",
                    "share of the lower one": f"{held[2]:.1%}",
                    '"differs" where nothing does': f"{said:.1%}",
                }
            )
            print(*rows[-1].values(), sep=", ", flush=True)
    title = (
        f"How often 90 % intervals hold the truth, and a table of 15 pairs a difference that is none: {studies} studies"
    )
    write_report("intervals", rows, title)


def _held(random: np.random.Generator, draw: Draw, seeds: int) -> Iterator[bool]:
    """Simulate two configurations whose errors differ by RATIO; tell of each interval whether it holds the truth.

    The paired difference has the shape, too; the seeds share what makes some data harder than others.
    """
    second = draw(random, (seeds,))
    difference = np.log10(RATIO) + draw(random, (seeds,))
    groups = [_configuration("first", second + difference), _configuration("second", second)]
    (pair,) = compare_pairs(groups, [(0, 1)])
    low, high = groups[1].spread[MEASURES[0]][3:]
    yield low <= 1 <= high
    yield pair.log10_error[1] <= np.log10(RATIO) <= pair.log10_error[2]
    yield pair.share[1] <= _below(draw) <= pair.share[2]


@cache
def _below(draw: Draw) -> float:
    """Return the chance that the first configuration is the lower one, from a million draws."""
    return float(np.mean(np.log10(RATIO) + draw(np.random.default_rng(0), (1_000_000,)) < 0))


def _said(random: np.random.Generator, draw: Draw, seeds: int) -> bool:
    """Simulate configurations that differ in nothing; tell whether "differs" is said of any pair."""
    errors = draw(random, (seeds,)) + draw(random, (CONFIGURATIONS, seeds))
    groups = [_configuration(str(number), own) for number, own in enumerate(errors)]
    return any(pair.differs for pair in compare_pairs(groups, pairs(groups, "all")))


@cache
def _params() -> Params:
    return load_params()


def _configuration(name: str, log10_errors: Floats) -> Group:
    errors = 10.0 ** log10_errors.clip(-300, 300)
    outcomes = [Outcome([[error] * len(MEASURES)], error, True) for error in errors.tolist()]
    return Group({"model.attention": name}, _params(), range(len(outcomes)), outcomes)


if __name__ == "__main__":
    main()
