"""The measures of recovery, by hand."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from attention.measures.cases import recovery_by_kind, recovery_of
from attention.measures.recovery import effect, entropy, recovery, shares
from attention.tasks.problem import Examples, draw_examples, make_problem

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


def test_how_even_attention_is_by_hand() -> None:
    attention = np.array([[0, -3, 0], [1, 1, 1], [0.5, 0, -0.5], [0, 0, 0]], np.float32)
    assert entropy(attention) == pytest.approx([0, math.log(3), math.log(2), 0], abs=1e-15)


def test_of_classes_a_position_speaks_for_the_target_by_what_it_adds_to_the_right_logit_less_their_mean() -> None:
    values = np.zeros((1, 3, 4), np.float32)
    values[0, [0, 1, 2], [2, 1, 2]] = 1
    nothing = np.zeros(1, np.int64)
    examples = Examples(values, nothing, np.arange(3), np.array([2]), nothing, nothing)
    added = effect(examples)
    assert np.array_equal(added, [[0.75, -0.25, 0.75]])
    attention, output = np.array([[0.5, 0.25, 0.25]], np.float32), np.array([2, 4, -1], np.float32)
    found = recovery(attention, output, np.array([0]), added)
    assert found.effective == pytest.approx([0.75 / (0.75 + 0.25 + 0.1875)])
    assert found.normalized.tolist() == [0.5]


def test_recovery_by_kind_is_the_mean_over_its_cases_however_they_come_in_blocks() -> None:
    problem = make_problem("neighbour")
    random = np.random.default_rng(7)
    (whole,) = draw_examples(problem, 0, "test", 211)
    paid = random.normal(size=(211, 25)).astype(np.float32)
    place = {row.tobytes(): number for number, row in enumerate(whole.values)}

    def attend(block: Examples) -> NDArray[np.float32]:
        return paid[[place[row.tobytes()] for row in block.values]]

    output = random.normal(size=25).astype(np.float32)
    overall, by_kind = recovery_by_kind(attend, output, [whole])
    parts = [whole.take(slice(0, 100)), whole.take(slice(100, 211))]
    again, same = recovery_by_kind(attend, output, parts)
    every = recovery(paid, output, whole.truth)
    assert by_kind["kind"].tolist() == [1, 2]
    assert by_kind["cases"].tolist() == [(whole.kinds == 1).sum(), (whole.kinds == 2).sum()]
    for name, values in every._asdict().items():
        assert overall[name] == pytest.approx(values.mean())
        assert again[name] == pytest.approx(overall[name])
        assert by_kind[name] == pytest.approx([values[whole.kinds == kind].mean() for kind in (1, 2)])
        assert same[name] == pytest.approx(by_kind[name])
    assert recovery_of(attend, output, parts).effective == pytest.approx(every.effective)
