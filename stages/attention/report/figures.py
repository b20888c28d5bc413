"""The pictures of a training; of a task whose attention is another one in each example: cases, and means of them."""

import math
from collections.abc import Mapping
from functools import reduce
from operator import add

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from attention.measures.arithmetic import exp
from attention.pictures.colours import EFFECTIVE, GREY, RAW, TRUTH
from attention.pictures.figures import attention_figure, attention_maps, count_epochs, growth_figure
from attention.tasks.problem import Examples, Problem, cases_of
from attention.weights import Arrays, Weights

Floats = NDArray[np.float64]

SQUARES = ("caption", "neighbour")  # tasks whose positions are the cells of a square
PAIRED = ("dot", "scaled_dot", "bilinear", "additive", "cosine", "multihead")  # functions whose scores are of pairs
PANELS, COLUMNS = 12, 4
CASE = "case, by its true position"


def figures_of(
    weights: Weights, history: Mapping[str, Floats], attention: Floats, final: Mapping[str, Floats]
) -> dict[str, Figure]:
    """Return the pictures of a training by name.

    Args:
        weights: the network after the last epoch.
        history: by column of history.csv.
        attention: of all epochs, (epochs, cases, seq_len).
        final: truth, normalized and effective after the last epoch, (cases, seq_len) each.

    """
    truth, normalized, effective = (final[name] for name in ("truth", "normalized", "effective"))
    learned = learned_figure(weights)
    if not weights.problem:
        drawn = attention_figure(truth, normalized, effective)
        maps, growth = attention_maps(truth, normalized, effective), growth_figure(attention, truth)
        return {"attention": drawn, "map": maps, "growth": growth, "learned": learned}
    order = in_order(truth)
    maps = attention_maps(truth[order], normalized[order], effective[order], CASE)
    growth = mass_figure({name: history[name] for name in ("normalized", "effective", "accuracy")})
    if weights.problem.task not in SQUARES:
        return {"attention": maps, "map": maps, "growth": growth, "learned": learned}
    cases = cases_of(weights.problem, int(weights.origin["parameters"]["seed"]))
    drawn = cases_figure(weights.problem, cases, normalized)
    return {"attention": drawn, "map": maps, "growth": growth, "learned": learned}


def in_order(truth: Floats) -> NDArray[np.int64]:
    """Return the order of cases by their true position: where all is right, a map of them is a diagonal."""
    order: NDArray[np.int64] = truth.argmax(axis=1).argsort(kind="stable")
    return order


def cases_figure(problem: Problem, cases: Examples, normalized: Floats) -> Figure:
    """Draw shares of attention (n, seq_len) of the first cases as squares, a frame on the true cell.

    In a cell stands its value where that is a class, above the square the kind of the case, what is to be said, and the
    share in the frame.
    """
    shown, side = min(PANELS, len(normalized)), math.isqrt(problem.seq_len)
    rows = -(-shown // COLUMNS)
    figure = Figure(figsize=(2.4 * COLUMNS + 1, 2.6 * rows + 0.6))
    panels = figure.subplots(rows, COLUMNS, squeeze=False)
    kind = problem.entry.kind[0]
    for case, panel in enumerate(panels.flat):
        panel.set_axis_off()
        if case >= shown:
            continue
        image = panel.imshow(normalized[case].reshape(side, side), vmin=0, vmax=1, aspect="equal")
        place = int(cases.truth[case])
        row, column = divmod(place, side)
        for colour, width in (("white", 4.5), (TRUTH, 1.8)):
            panel.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor=colour, linewidth=width))
        says = ""
        if problem.classes:
            says = f", say {cases.targets[case]}"
            for position, value in enumerate(cases.values[case].argmax(axis=-1)):
                light = normalized[case, position] > 0.5
                where = position % side, position // side
                panel.text(*where, str(value), ha="center", va="center", color=TRUTH if light else "white")
        mass = normalized[case, place]
        panel.set_title(f"{kind} {cases.kinds[case]}{says}: {mass:.2f}", fontsize="medium", loc="center")
    figure.colorbar(image, ax=panels, shrink=0.6, label="share of |a|")
    return figure


def learned_figure(weights: Weights) -> Figure:
    """Draw the scores that a function has learned for each feature of a query with each feature of a key."""
    scores = learned_scores(weights.function, weights.arrays)
    if scores is None:
        figure = Figure(figsize=(6, 1))
        figure.text(0.5, 0.5, f"{weights.function} scores no pairs of features", ha="center", va="center")
        return figure
    queries, keys = scores.shape
    figure = Figure(figsize=(min(14, 3.5 + 0.3 * keys), min(14, 1.8 + 0.22 * queries)))
    panel = figure.subplots()
    image = panel.imshow(scores)
    held = weights.problem.keys if weights.problem else "position"
    panel.set(title="learned scores: large where attention goes", xlabel=f"key: {held}", ylabel="query")
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(16, integer=True, min_n_ticks=1))
    figure.colorbar(image, ax=panel)
    return figure


def learned_scores(function: str, arrays: Arrays) -> Floats | None:
    """Return a score (query features, key features), before any scale or normalizer; None where there is none."""
    of = {name.removeprefix("attention."): array.astype(np.float64) for name, array in arrays.items()}
    if "scores" in of:
        return of["scores"]
    if function not in PAIRED:
        return None
    query, key = of["query"], of["key"]
    if "U" in of:
        both = _products(query, of["W"])[:, None] + _products(key, of["U"])
        return _sum([of["v"][i] * (1 - 2 / (exp(2 * both[..., i]) + 1)) for i in range(len(of["v"]))])  # tanh
    if "W_q" in of:
        query, key = _products(query, of["W_q"]), _products(key, of["W_k"])
    elif "W" in of:
        query = _products(query, of["W"].T)
    elif "log_beta" in of:
        query, key = (one / np.sqrt(_sum([*(one**2).T]))[:, None] for one in (query, key))
    return _products(query, key)


def _products(rows: Floats, others: Floats) -> Floats:
    """Return the product of each row with each other row, summed in order: a CPU's own way would be other bytes."""
    return _sum([np.multiply.outer(rows[:, i], others[:, i]) for i in range(rows.shape[1])])


def _sum(parts: list[Floats]) -> Floats:
    return reduce(add, parts)


def mass_figure(measures: Mapping[str, Floats]) -> Figure:
    """Draw measures from 0 to 1, the mean of all cases, over the epochs."""
    figure = Figure(figsize=(7, 4))
    panel = figure.subplots()
    for (name, values), colour, line in zip(measures.items(), (RAW, EFFECTIVE, GREY), ("-", "--", ":"), strict=True):
        panel.plot(np.arange(len(values)), values, marker="o", markersize=4, color=colour, linestyle=line, label=name)
    panel.set_ylim(-0.02, 1.02)
    panel.set(xlabel="epoch", ylabel="on the true position")
    count_epochs(panel, len(values), 9)
    panel.grid(axis="y")
    panel.legend()
    return figure
