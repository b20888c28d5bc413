"""One seed, many streams."""

from itertools import product

import numpy as np
import pytest

from workbench.stage.streams import stream

# What each purpose draws first from seed 0. It is part of every result that was ever made: it never changes, whatever
# purposes come to be.
FIRST: dict[str, int] = {
    "truth": 33073,
    "train inputs": 565595,
    "train contexts": 388995,
    "test inputs": 901266,
    "test contexts": 73420,
    "attention weights": 729527,
    "linear weights": 586032,
    "shuffle": 117555,
    "gumbel noise": 340053,
}


@pytest.mark.parametrize("purpose", FIRST)
def test_the_numbers_of_a_stream_never_change(purpose: str) -> None:
    assert stream(0, purpose).integers(0, 10**6) == FIRST[purpose]


def test_the_orders_of_the_epochs_never_change() -> None:
    assert stream(11, "shuffle", 0).permutation(7).tolist() == [3, 2, 4, 1, 0, 5, 6]
    assert stream(11, "shuffle", 3).permutation(7).tolist() == [5, 3, 2, 0, 6, 1, 4]


def test_no_two_streams_draw_the_same() -> None:
    indices: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (2,))
    firsts = [
        stream(seed, purpose, *index).integers(0, 2**62)
        for seed, purpose, index in product((0, 1, 2, 2**32, 2**63 - 1), FIRST, indices)
    ]
    assert len(set(firsts)) == 5 * len(FIRST) * 4


def test_a_stream_starts_again_each_time_it_is_asked_for() -> None:
    assert stream(3, "shuffle", 1).random(4).tolist() == stream(3, "shuffle", 1).random(4).tolist()


def test_streams_of_one_seed_are_uncorrelated() -> None:
    drawn = np.array([stream(0, purpose).random(10_007) for purpose in FIRST])
    correlations = np.corrcoef(drawn) - np.eye(len(FIRST))
    assert np.abs(correlations).max() < 0.05  # five standard deviations
