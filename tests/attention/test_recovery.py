"""The measures of recovery, by hand."""

import numpy as np
import pytest

from attention.measures.recovery import recovery, shares

ATTENTION = np.array([[3, -1, 0, 0], [-2, 6, -2, 0], [0, 0, 0, 0]], np.float32)
OUTPUT = np.array([2, -6, 0, 5], np.float32)


def test_shares_are_sizes_over_their_sum() -> None:
    assert shares(ATTENTION).tolist() == [[0.75, 0.25, 0, 0], [0.2, 0.6, 0.2, 0], [0, 0, 0, 0]]


def test_shares_may_be_scaled_by_position() -> None:
    scaled = shares(ATTENTION, OUTPUT)
    assert scaled.tolist() == [[0.5, 0.5, 0, 0], [0.1, 0.9, 0, 0], [0, 0, 0, 0]]


def test_shares_of_the_largest_and_smallest_numbers_stay_finite() -> None:
    limits = np.finfo(np.float32)
    big = np.full((2, 5), limits.max, np.float32)
    assert np.allclose(shares(big, np.full(5, limits.max, np.float32)), 0.2)
    assert np.allclose(shares(np.full((2, 5), limits.smallest_subnormal, np.float32)), 0.2)


def test_recovery_looks_at_the_true_position() -> None:
    found = recovery(ATTENTION, OUTPUT, np.array([0, 1, 3]))
    assert found.normalized.tolist() == [0.75, 0.6, 0]
    assert found.effective.tolist() == [0.5, 0.9, 0]
    assert found.accuracy.tolist() == [1, 1, 0]


@pytest.mark.parametrize(("truth", "accuracy"), [([0, 0, 3], [1, 0, 0]), ([1, 1, 1], [0, 1, 0])])
def test_accuracy_is_1_where_the_largest_size_is_true(truth: list[int], accuracy: list[int]) -> None:
    assert recovery(ATTENTION, OUTPUT, np.array(truth)).accuracy.tolist() == accuracy


def test_means_are_over_the_contexts() -> None:
    means = recovery(ATTENTION, OUTPUT, np.array([0, 1, 3])).means()
    assert means == pytest.approx({"normalized": 0.45, "effective": 1.4 / 3, "accuracy": 2 / 3}, rel=1e-15)
    assert list(means) == ["normalized", "effective", "accuracy"]


def test_what_has_been_learned_perfectly_has_recovery_1() -> None:
    perfect = np.eye(4, dtype=np.float32)[[3, 0, 1]]
    found = recovery(-7 * perfect, np.full(4, -3, np.float32), np.array([3, 0, 1]))
    assert set(found.means().values()) == {1.0}


def test_several_networks_at_once_give_each_its_own_measures_to_the_last_bit() -> None:
    random = np.random.default_rng(0)
    attention = random.standard_normal((5, 17, 11)).astype(np.float32)
    output = random.standard_normal((5, 11)).astype(np.float32)
    truth = random.integers(0, 11, 17)
    together = recovery(attention, output, truth)
    for number in range(5):
        alone = recovery(attention[number], output[number], truth)
        for one, other in zip(together, alone, strict=True):
            assert one[number].tobytes() == other.tobytes()
            assert one.mean(axis=-1)[number] == other.mean()
