"""The report of a training: what its page says and shows."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention.measures import shares
from attention.pictures.page import Chart, Control, Section, Table, save_page
from attention.report.charts import Floats, attention_chart, error_chart, map_chart, scores_chart, share_chart
from attention.report.figures import learned_scores
from attention.weights import Weights

MOST_BARS, MOST_STEPS_OF_BARS, MOST_CELLS = 10, 60_000, 12_000  # what a page of 3 MB has room for
MOST_POINTS, MOST_NUMBERS = 300, 24  # epochs of a curve; rows and columns of a table that a person reads

ERRORS = {"mse": "Mean squared error", "loss": "Cross-entropy"}
MEASURES = {"share of |a|": "normalized", "share of |a·w|": "effective", "accuracy": "accuracy"}


def save_report(
    path: str | Path,
    name: str,
    weights: Weights,
    history: Mapping[str, Floats],
    pictured: Sequence[int],
    attention: Floats,
    final: Mapping[str, Floats],
    metrics: Mapping[str, float],
) -> None:
    """Write the page of one training.

    Args:
        path: where.
        name: what the run is called.
        weights: the network after the last epoch, and what it comes from.
        history: by column of history.csv, a number an epoch.
        pictured: the epochs that the slider steps through, the last one among them.
        attention: of all epochs, (epochs, n_contexts, seq_len).
        final: truth, attention, normalized and effective after the last epoch, (n_contexts, seq_len) each.
        metrics: `mse` on new data, or `loss` of classes, `baseline.…`, `recovery.…`.

    """
    baselines = {key.removeprefix("baseline."): value for key, value in metrics.items() if key.startswith("baseline.")}
    error = "loss" if weights.classes else "mse"
    row = "case" if weights.problem else "context"
    lead = (
        _problem(weights),
        f"{ERRORS[error]} on new data after {len(attention)} epochs: {metrics[error]:.3g}. Without attention: "
        + ", ".join(f"{value:.3g} ({other})" for other, value in baselines.items())
        + f". Share of |a·w| on the true position: {metrics['recovery.effective']:.4f}.",
    )
    sections = (
        _attention(pictured, attention, final, row),
        _curves(pictured, history, error, baselines),
        _learned(weights, final, row),
        _origin(weights),
        _commands(weights.key),
    )
    save_page(path, name, lead, sections, f"Written by the stage plot. Experiment key: {weights.key}")


def _problem(weights: Weights) -> str:
    """Say what is learned."""
    learned = (
        "The network multiplies what stands at each position by its attention a, and one linear layer with weights w "
        "makes the answer from the products: to be right, it must learn where to look."
    )
    if weights.problem:
        task = weights.problem.entry
        return f"The task {weights.problem.task}: {task.equation}. {learned} What it adds: {task.teaches}."
    return (
        f"A sequence holds {weights.seq_len} random numbers. A context, one of {weights.n_contexts}, decides which of "
        f"them is the answer. {learned}"
    )


def _attention(pictured: Sequence[int], attention: Floats, final: Mapping[str, Floats], row: str) -> Section:
    truth = final["truth"]
    shown = _first(len(truth), MOST_BARS, MOST_STEPS_OF_BARS // (2 * len(pictured) * truth.shape[1]))
    steps = attention[list(pictured), :shown]
    chart = attention_chart(steps, shares(steps), truth[:shown], final["effective"][:shown], row)
    return Section(
        "Where it looks",
        "The black frame is the right answer. The bars are what the network has learned so far: each position's share "
        "of |a|. At the last epoch, a blue line is the position's share of |a·w|: what counts for the answer.",
        (Control("range", "step", "Epoch", [str(epoch) for epoch in pictured], len(pictured) - 1),),
        (Chart("attention", chart, f"Point at a place to see its numbers.{_of(shown, len(truth), row)}", ("step",)),),
    )


def _curves(
    pictured: Sequence[int], history: Mapping[str, Floats], error: str, baselines: Mapping[str, float]
) -> Section:
    count = len(history[error])
    epochs = np.union1d(pictured, np.linspace(0, count - 1, min(count, MOST_POINTS)).astype(int))
    steps = [pictured.index(epoch) if epoch in pictured else None for epoch in epochs.tolist()]
    without = " and ".join(f"{value:.3g} ({other})" for other, value in baselines.items())
    measures = {shown: history[name][epochs] for shown, name in MEASURES.items()}
    return Section(
        "Error and recovery",
        "Both follow the slider above.",
        charts=(
            Chart(
                "error",
                error_chart(
                    epochs.tolist(), steps, history[error][epochs], f"{ERRORS[error].lower()} while training", baselines
                ),
                f"The error on a logarithmic axis. Dashed: without attention, {without}.",
                ("step",),
            ),
            Chart(
                "recovery",
                share_chart(epochs.tolist(), steps, measures),
                "How much of the attention is on the true position, averaged over the contexts or cases; and "
                "accuracy: in how many of them the largest |a| is there.",
                ("step",),
            ),
        ),
    )


def _learned(weights: Weights, final: Mapping[str, Floats], row: str) -> Section:
    truth, attention = final["truth"], final["attention"]
    shown = _first(len(truth), MOST_CELLS // truth.shape[1])
    matrices = {"attention a": attention, "share of |a|": final["normalized"], "share of |a·w|": final["effective"]}
    rows, columns = (min(size, MOST_NUMBERS) for size in truth.shape)
    numbers = Table(
        f"The numbers: attention a after the last epoch, the true position in a frame{_of(rows, len(truth), row)}",
        [row, *(f"position {position}" for position in range(columns))],
        [[str(context), *(f"{value:.4f}" for value in attention[context, :columns])] for context in range(rows)],
        frozenset((int(context), int(position) + 1) for context, position in np.argwhere(truth > 0)),
        numbers=True,
    )
    return Section(
        "What it learned",
        "Attention may be negative where the function allows it: then w is negative too, and the product is right.",
        (Control("select", "map", "Colour shows", [*matrices], 0),),
        (
            Chart(
                "learned",
                map_chart(truth[:shown], {name: matrix[:shown] for name, matrix in matrices.items()}, row),
                f"A row a {row}, a column a position; frames are on the true ones.{_of(shown, len(truth), row)}",
                ("map",),
            ),
            *_scores(weights),
        ),
        (numbers,),
        folded=True,
    )


def _scores(weights: Weights) -> list[Chart]:
    scores = learned_scores(weights.function, weights.arrays) if weights.problem else None
    if scores is None or not weights.problem or scores.size > MOST_CELLS:
        return []
    about = (
        f"What the function has learned, not of one case but of all: the score of each feature of a query with each of "
        f"a key ({weights.problem.keys}). Attention goes where it is large."
    )
    return [Chart("scores", scores_chart(scores), about)]


def _origin(weights: Weights) -> Section:
    parameters, data = weights.origin["parameters"], weights.origin["data"]
    return Section(
        "What it comes from",
        "The parameters and the files that determine the training, to the last bit.",
        tables=(
            Table(
                "Parameters", ("parameter", "value"), [(key, _text(value)) for key, value in sorted(parameters.items())]
            ),
            Table(
                "Data", ("file", "MD5"), [(f"data/generate/{file}", digest) for file, digest in sorted(data.items())]
            ),
        ),
    )


def _commands(key: str) -> Section:
    return Section(
        "Check it, and have it back",
        commands=(
            ("attention verify", "runs everything again from nothing, and compares every file with dvc.lock"),
            (f"attention restore {key} ../restored", "brings code, parameters and outputs back, into a new folder"),
        ),
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _first(count: int, *most: int) -> int:
    return max(1, min(count, *most))


def _of(shown: int, count: int, row: str) -> str:
    return "" if shown == count else f" (The first {shown} {row}s of {count}.)"
