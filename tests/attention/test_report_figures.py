"""The pictures of a training: what was learned is what the function computes, and cases show where the truth is."""

import math

import numpy as np
import pytest
import torch
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.entry import with_defaults
from attention.report.figures import PANELS, cases_figure, figures_of, in_order, learned_figure, learned_scores
from attention.tasks.problem import CASES, cases_of, make_problem
from attention.weights import Weights, draw_weights

WIDTH, QUERIES, KEYS = 8, 5, 11
SCALES = {"scaled_dot": math.sqrt(WIDTH), "multihead": math.sqrt(WIDTH)}


def learned_arrays(name: str) -> dict[str, NDArray[np.float32]]:
    random = np.random.default_rng(71)
    options = with_defaults(ATTENTION_FUNCTIONS[name], {"heads": 1} if name == "multihead" else {})
    shapes = ATTENTION_FUNCTIONS[name].shapes(QUERIES, KEYS, **options)
    return {one: random.normal(size=shape).astype(np.float32) for one, shape in shapes.items()}


@pytest.mark.parametrize(
    "name", sorted({"embedding", "softmax", "dot", "scaled_dot", "bilinear", "additive", "cosine", "multihead"})
)
def test_the_learned_scores_are_what_the_function_makes_its_attention_of(name: str) -> None:
    arrays, entry = learned_arrays(name), ATTENTION_FUNCTIONS[name]
    options = with_defaults(entry, {"heads": 1} if name == "multihead" else {})
    scores = learned_scores(name, {f"attention.{one}": array for one, array in arrays.items()})
    assert scores is not None
    assert scores.shape == (QUERIES, KEYS)
    parameters = {one: torch.tensor(array) for one, array in arrays.items()}
    attention = entry.attend(
        parameters,
        torch.arange(QUERIES),
        torch.arange(KEYS),
        positions=torch.arange(KEYS, dtype=torch.float32),
        noise=None,
        **options,
    )
    if name == "embedding":
        expected = torch.tensor(scores)
    else:
        sharp = np.exp(arrays["log_beta"])[:, None] if name == "cosine" else 1 / SCALES.get(name, 1)
        expected = torch.tensor(scores * sharp).softmax(-1)
    assert torch.allclose(attention.double(), expected.double(), atol=1e-5)


def test_a_function_that_scores_no_pairs_has_a_picture_that_says_so() -> None:
    assert learned_scores("gaussian", {"attention.centre": np.ones(3, np.float32)}) is None
    (said,) = learned_figure(draw_weights("gaussian", 3, 7, 0)).texts
    assert said.get_text() == "gaussian scores no pairs of features"


def random_final(cases: int, positions: int, truth: NDArray[np.int64]) -> dict[str, NDArray[np.float64]]:
    random = np.random.default_rng(73)
    normalized, effective = random.dirichlet(np.ones(positions), (2, cases))
    return {"truth": np.eye(positions)[truth], "normalized": normalized, "effective": effective}


@pytest.mark.parametrize("task", ["caption", "neighbour"])
def test_cases_are_squares_with_a_frame_on_the_true_cell(task: str) -> None:
    problem = make_problem(task)
    cases = cases_of(problem, 3)
    normalized = random_final(CASES, problem.seq_len, cases.truth)["normalized"]
    figure = cases_figure(problem, cases, normalized)
    side = math.isqrt(problem.seq_len)
    for case, panel in enumerate(figure.axes[:PANELS]):
        assert np.array_equal(np.asarray(panel.images[0].get_array()).ravel(), normalized[case])
        frames = [one for one in panel.patches if isinstance(one, Rectangle)]
        place = {(one.get_x() + 0.5, one.get_y() + 0.5) for one in frames}
        assert place == {(cases.truth[case] % side, cases.truth[case] // side)}
        mass = f"{normalized[case, cases.truth[case]]:.2f}"
        says = f", say {cases.targets[case]}" if task == "caption" else ""
        assert panel.get_title() == f"{problem.entry.kind[0]} {cases.kinds[case]}{says}: {mass}"
        assert len(panel.texts) == (problem.seq_len if task == "caption" else 0)


@pytest.mark.parametrize("task", ["recall", "caption"])
def test_maps_of_cases_are_sorted_by_the_true_position(task: str) -> None:
    problem = make_problem(task)
    truth = cases_of(problem, 3).truth
    final = random_final(CASES, problem.seq_len, truth)
    assert np.array_equal(truth[in_order(final["truth"])], np.sort(truth))
    weights = Weights("softmax", 1, problem.seq_len, {}, {"parameters": {"seed": 3}}, problem=problem)
    history = {name: np.array([0.25, 0.5]) for name in ("normalized", "effective", "accuracy")}
    figures = figures_of(weights, history, np.zeros((2, CASES, problem.seq_len)), final)
    assert {*figures} == {"attention", "map", "growth", "learned"}
    drawn = np.asarray(figures["map"].axes[1].images[0].get_array())
    assert np.array_equal(drawn, final["normalized"][np.argsort(truth, kind="stable")])
    assert [line.get_label() for line in figures["growth"].axes[0].lines] == ["normalized", "effective", "accuracy"]
