"""The charts of a training."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np
from numpy.typing import NDArray

from attention.pictures.charts import DECADES, EPOCHS, Specification, chart, rounded, specification, told
from attention.pictures.colours import EFFECTIVE, GREEN, GREY, RAW, TRUTH

Floats = NDArray[np.float64]

ROW, BAR = 56, 0.85  # pixels of a row of bars, and the part of it that a share of 1 fills
SEEN = 0.02  # smaller shares would be a line on the ground
POSITIONS = alt.X("position:O", title="position", axis=alt.Axis(labelAngle=0, labelOverlap=True, grid=False))
RIGHT = "datum.true > 0 ? 'yes' : 'no'"


def attention_chart(
    attention: Floats, shares: Floats, truth: Floats, effective: Floats, row: str = "context"
) -> Specification:
    """Draw shares of attention (steps, cases, positions) as bars within frames of truth, at the step of a control.

    At the last step, the only one of which the output weights are known, a line shows the effective share.
    """
    cases = len(truth)
    steps = {"attention": np.moveaxis(attention, 0, -1), "share": np.moveaxis(shares, 0, -1)}
    rows = _cells(true=truth, effective=effective, **steps)
    cells = chart("cells").transform_calculate(
        low="datum.case + 0.95",
        full=f"datum.low - {BAR}",
        a="datum.attention[step]",
        part="datum.share[step]",
        high=f"datum.low - {BAR} * datum.part",
        seen=f"datum.low - {BAR} * datum.effective",
        right=RIGHT,
    )
    axis = alt.Axis(
        values=[case + 0.5 for case in range(cases)],
        labelExpr=f"'{row} ' + floor(datum.value)",
        grid=False,
        domain=False,
        ticks=False,
    )
    y = alt.Y("low:Q", title=None, axis=axis, scale=alt.Scale(domain=[0, cases], reverse=True, nice=False))
    tips = [*_place(row), told("a", "attention a"), told("part", "share of |a|")]
    last = cells.transform_filter(f"step == {len(attention) - 1} && datum.effective >= {SEEN}").mark_tick(
        color=EFFECTIVE, thickness=3, aria=False
    )
    frame = cells.transform_filter("datum.true > 0").mark_bar(filled=False, stroke=TRUTH, strokeWidth=1.8, aria=False)
    layers = (
        cells.mark_bar(color=RAW, aria=False).encode(POSITIONS, y, y2="high:Q"),
        frame.encode(POSITIONS, y, y2="full:Q"),
        last.encode(POSITIONS, y="seen:Q"),
        cells.mark_bar(opacity=0).encode(POSITIONS, y, y2=alt.Y2("case:Q"), tooltip=tips),  # the whole cell is hovered
    )
    return specification(ROW * cases, layers, {"cells": rows}, step=len(attention) - 1)


def error_chart(
    epochs: Sequence[int], steps: Sequence[int | None], errors: Floats, name: str, baselines: Mapping[str, float]
) -> Specification:
    """Draw the errors of epochs on a log axis, a ring at the step of a control, and what is reached without attention.

    Args:
        epochs: whole numbers, and for each
        steps: the step of the control that shows it, if there is one,
        errors: the error; one of 0 is not drawn.
        name: what the error is called.
        baselines: other errors, by name.

    """
    known = {other: value for other, value in baselines.items() if value > 0}
    without = [{"without": other, "error": rounded(value)} for other, value in known.items()]
    lines, curve = chart("without"), chart("epochs").transform_filter("datum.error > 0")
    y = alt.Y("error:Q", title=name, scale=alt.Scale(type="log"), axis=DECADES)
    value = alt.Tooltip("error:Q", title=name, format=".4g")
    now = curve.transform_filter("datum.step === step").mark_point(color=TRUTH, size=220, strokeWidth=2, aria=False)
    layers = (
        lines.mark_rule(color=GREY, strokeDash=[6, 4], strokeWidth=1.5).encode(
            y, tooltip=[alt.Tooltip("without:N", title="without attention"), value]
        ),
        curve.mark_line(color=EFFECTIVE, aria=False).encode(EPOCHS, y),
        curve.mark_circle(color=EFFECTIVE, size=60, opacity=1).encode(EPOCHS, y, tooltip=["epoch:Q", value]),
        now.encode(EPOCHS, y),
    )
    return specification(
        280, layers, {"without": without, "epochs": _points(epochs, steps, error=errors)}, step=_last(steps)
    )


def share_chart(epochs: Sequence[int], steps: Sequence[int | None], measures: Mapping[str, Floats]) -> Specification:
    """Draw measures from 0 to 1 over the epochs, each with a colour and a dash of its own."""
    named = [*measures]
    points = chart("epochs").transform_fold([*named], as_=["measure", "value"])
    colours = alt.Color("measure:N", title=None, scale=alt.Scale(domain=named, range=[RAW, EFFECTIVE, GREEN]))
    dashes = alt.StrokeDash("measure:N", title=None, scale=alt.Scale(domain=named, range=[[1, 0], [8, 3], [2, 3]]))
    y = alt.Y("value:Q", title="share", scale=alt.Scale(domain=[0, 1]))
    layers = (
        points.transform_filter("datum.step === step").mark_rule(color=GREY, aria=False).encode(EPOCHS),
        points.mark_line(strokeWidth=2.5, aria=False).encode(EPOCHS, y, colours, dashes),
        points.mark_circle(size=60, opacity=1).encode(
            EPOCHS, y, colours, tooltip=["epoch:Q", "measure:N", told("value", "share")]
        ),
    )
    return specification(220, layers, {"epochs": _points(epochs, steps, **measures)}, step=_last(steps))


def map_chart(truth: Floats, shown: Mapping[str, Floats], row: str = "context") -> Specification:
    """Draw matrices (cases, positions) as a map, the one whose number a control says; frames stand on the truth."""
    rows = _cells(true=truth, shown=np.stack([*shown.values()], axis=-1))
    cells = chart("cells").transform_calculate(
        value="datum.shown[map]",
        right=RIGHT,
        **{f"of{number}": f"datum.shown[{number}]" for number in range(len(shown))},
    )
    y = alt.Y("case:O", title=row, axis=alt.Axis(labelOverlap=True))
    legend = alt.Legend(gradientLength=160, format=".2f")
    colour = alt.Color("value:Q", title=None, scale=alt.Scale(scheme="cividis"), legend=legend)
    tips = [*_place(row), *(told(f"of{number}", name) for number, name in enumerate(shown))]
    true = cells.transform_filter("datum.true > 0")
    layers = (
        cells.mark_rect().encode(POSITIONS, y, colour, tooltip=tips),
        true.mark_rect(filled=False, stroke="white", strokeWidth=4, aria=False).encode(POSITIONS, y),
        true.mark_rect(filled=False, stroke=TRUTH, strokeWidth=1.5, aria=False).encode(POSITIONS, y),
    )
    return specification(int(min(640, max(90, 28 * len(truth)))), layers, {"cells": rows}, map=0)


def scores_chart(scores: Floats) -> Specification:
    """Draw learned scores (query features, key features) as a map."""
    rows = [
        {"query": query, "key": key, "score": rounded(scores[query, key])}
        for query in range(scores.shape[0])
        for key in range(scores.shape[1])
    ]
    x = alt.X("key:O", title="key", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    y = alt.Y("query:O", title="query", axis=alt.Axis(labelOverlap=True))
    legend = alt.Legend(gradientLength=160, format=".1f")
    colour = alt.Color("score:Q", title=None, scale=alt.Scale(scheme="cividis"), legend=legend)
    cells = chart("scores").mark_rect().encode(x, y, colour, tooltip=["query:Q", "key:Q", told("score", "score")])
    return specification(int(min(640, max(90, 16 * len(scores)))), (cells,), {"scores": rows})


def _place(row: str) -> list[alt.Tooltip]:
    """Return what is said of where a cell is."""
    position, right = alt.Tooltip("position:Q"), alt.Tooltip("right:N", title="true position")
    return [alt.Tooltip("case:Q", title=row), position, right]


def _cells(**matrices: Floats) -> list[dict[str, Any]]:
    """Return a row for each case and position: a number of each matrix, or a list where it has one more axis."""
    cases, positions = matrices["true"].shape
    return [
        {"case": case, "position": position}
        | {name: rounded(matrix[case, position]) for name, matrix in matrices.items()}
        for case in range(cases)
        for position in range(positions)
    ]


def _points(epochs: Sequence[int], steps: Sequence[int | None], **numbers: Floats) -> list[dict[str, Any]]:
    """Return a row for each epoch."""
    return [
        {"epoch": epoch, "step": step} | {name: rounded(values[row]) for name, values in numbers.items()}
        for row, (epoch, step) in enumerate(zip(epochs, steps, strict=True))
    ]


def _last(steps: Sequence[int | None]) -> int:
    return max(step for step in steps if step is not None)
