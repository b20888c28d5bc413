"""The charts of a study."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from attention.pictures.charts import DASHES, DECADES, EPOCHS, LINES, Specification, chart, rounded, specification
from attention.pictures.style import EFFECTIVE, GREY, TRUTH

SPREAD = ("median", "lower quartile", "upper quartile", "interval of the median, from", "to")
CHOSEN = "indexof(functions, datum.function) >= 0"


def spread_chart(rows: Sequence[Mapping[str, Any]], most_dots: int) -> Specification:
    """Draw a measure of configurations, a row each: every training, the quartiles, the median and its interval.

    Args:
        rows: `name`; `function`, its number in the control `functions`; `trainings` (n, measures); and `spread`
            (measures, 5): median, quartiles, ends of the median's interval. The first measure is an error, on a log
            axis; the control `measure` has its number.
        most_dots: of a configuration at most so many trainings are drawn.

    """
    about = [{name: row[name] for name in ("name", "function")} | {"row": n} for n, row in enumerate(rows)]
    dots = [
        a | {"of": rounded(one)} for a, row in zip(about, rows, strict=True) for one in row["trainings"][:most_dots]
    ]
    spread = [a | {"of": rounded(row["spread"])} for a, row in zip(about, rows, strict=True)]

    def place(number: str) -> str:
        return f"measure == 0 && isValid({number}) ? log(max({number}, 1e-30)) / LN10 : {number}"

    y = alt.Y("row:O", axis=None, scale=alt.Scale(padding=0.1))
    ticks = alt.Axis(
        labelExpr="measure == 0 ? format(pow(10, datum.value), '.0e') : datum.label",
        tickMinStep=alt.ExprRef("measure == 0 ? 1 : 0"),
        labelOverlap=True,
    )
    scale = alt.Scale(zero=False, nice=False, padding=12)
    each = chart("trainings").transform_filter(CHOSEN).transform_calculate(x=place("datum.of[measure]"))
    drawn = chart("spread").transform_filter(CHOSEN)
    names = ("median", "q1", "q3", "low", "high")
    drawn = drawn.transform_calculate(**{name: f"datum.of[measure][{n}]" for n, name in enumerate(names)})
    known = {f"x_{name}": place(f"(isValid(datum.{name}) ? datum.{name} : datum.median)") for name in names}
    drawn = drawn.transform_calculate(**known)  # of few seeds the interval is a point
    tips = [
        alt.Tooltip("name:N", title="configuration"),
        *(alt.Tooltip(f"{name}:Q", title=title, format=".4g") for name, title in zip(names, SPREAD, strict=True)),
    ]
    x = alt.X("x_low:Q", title=None, axis=ticks, scale=scale)
    layers = (
        each.mark_tick(color=GREY, opacity=0.35, thickness=1.2, size=12, yOffset=8, aria=False).encode(
            alt.X("x:Q", title=None, axis=ticks, scale=scale), y
        ),
        drawn.mark_rule(color=EFFECTIVE, strokeWidth=1.5, yOffset=8, y2Offset=8, aria=False).encode(
            alt.X("x_q1:Q", title=None, axis=ticks, scale=scale), y, x2="x_q3:Q"
        ),
        drawn.mark_bar(color=EFFECTIVE, opacity=0.5, size=9, yOffset=8, aria=False).encode(x, y, x2="x_high:Q"),
        drawn.mark_point(color=TRUTH, filled=True, opacity=1, size=90, yOffset=8).encode(
            alt.X("x_median:Q", title=None, axis=ticks, scale=scale), y, tooltip=tips
        ),
        chart("names")
        .transform_filter(CHOSEN)
        .mark_text(align="left", dy=-12, fontWeight="bold", aria=False)
        .encode(y, x=alt.value(0), text="name:N"),
    )
    functions = sorted({row["function"] for row in rows})
    data = {"trainings": dots, "spread": spread, "names": about}
    return specification(48 * len(rows) + 20, layers, data, measure=0, functions=functions)


def curves_chart(rows: Sequence[Mapping[str, Any]]) -> Specification:
    """Draw median errors by epoch, `curve` (epochs, errors) of each row, a line each with a colour and a dash."""
    points = [
        {"row": number, "name": row["name"], "function": row["function"], "epoch": int(epoch)}
        | {"error": rounded(error)}
        for number, row in enumerate(rows)
        for epoch, error in zip(*row["curve"], strict=True)
        if error > 0
    ]
    named = [row["name"] for row in rows]
    colours = [LINES[number % len(LINES)] for number in range(len(rows))]
    dashes = [DASHES[number // len(LINES) % len(DASHES)] for number in range(len(rows))]
    legend = alt.Legend(columns=1) if len(rows) <= len(LINES) else None
    lines = chart("curves").transform_filter(CHOSEN)
    y = alt.Y("error:Q", title="median error while training", scale=alt.Scale(type="log"), axis=DECADES)
    colour = alt.Color("name:N", title=None, scale=alt.Scale(domain=named, range=colours), legend=legend)
    dash = alt.StrokeDash("name:N", title=None, scale=alt.Scale(domain=named, range=dashes), legend=legend)
    tips = [alt.Tooltip("name:N", title="configuration"), "epoch:Q", alt.Tooltip("error:Q", format=".4g")]
    layers = (
        lines.mark_line(strokeWidth=2.5, aria=False).encode(EPOCHS, y, colour, dash),
        lines.mark_circle(size=60, opacity=1).encode(EPOCHS, y, colour, tooltip=tips),
    )
    functions = sorted({row["function"] for row in rows})
    return specification(280, layers, {"curves": points}, functions=functions)
