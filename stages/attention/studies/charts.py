"""The charts of a study."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from attention.pictures.charts import DASHES, DECADES, EPOCHS, Specification, chart, rounded, specification
from attention.pictures.colours import EFFECTIVE, GREY, LINES, TRUTH

SPREAD = ("median", "lower quartile", "upper quartile", "interval of the median, from", "to")
CHOSEN = "indexof(functions, datum.function) >= 0 && (task == 0 || datum.task == task)"


def spread_chart(rows: Sequence[Mapping[str, Any]], most_dots: int) -> Specification:
    """Draw a measure of configurations, a row each: every training, the quartiles, the median and its interval.

    Args:
        rows: `name`; `function` and `task`, their numbers in the controls `functions` and `task`; `trainings` (n,
            measures); and `spread` (measures, 5): median, quartiles, ends of the median's interval. The first measure
            is an error, on a log axis; the control `measure` has its number.
        most_dots: of a configuration at most so many trainings are drawn.

    """
    about = [{name: row[name] for name in ("name", "function", "task")} | {"row": n} for n, row in enumerate(rows)]
    dots = [
        {"row": number, "function": row["function"], "task": row["task"], "of": rounded(one)}
        for number, row in enumerate(rows)
        for one in row["trainings"][:most_dots]
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
    return specification(48 * len(rows) + 20, layers, data, measure=0, functions=functions, task=0)


def curves_chart(rows: Sequence[Mapping[str, Any]]) -> Specification:
    """Draw median errors by epoch, `curve` (epochs, errors) of each row, a line each with a colour and a dash."""
    points = [
        {"row": number, "name": row["name"], "function": row["function"], "task": row["task"], "epoch": int(epoch)}
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
    return specification(280, layers, {"curves": points}, functions=functions, task=0)


def failures_chart(rows: Sequence[Mapping[str, Any]], most_dots: int) -> Specification:
    """Draw the error of each training against its share of attention on the truth: both low is a silent failure."""
    points = [
        {"name": row["name"], "function": row["function"], "task": row["task"]}
        | {"error": rounded(one[0]), "share": rounded(one[1])}
        for row in rows
        for one in row["trainings"][:most_dots]
    ]
    named = [row["name"] for row in rows]
    colours = [LINES[number % len(LINES)] for number in range(len(rows))]
    legend = alt.Legend(columns=1) if len(rows) <= len(LINES) else None
    colour = alt.Color("name:N", title=None, scale=alt.Scale(domain=named, range=colours), legend=legend)
    shape = alt.Shape("name:N", title=None, scale=alt.Scale(domain=named), legend=legend)
    x = alt.X("error:Q", title="error on new data", scale=alt.Scale(type="log"), axis=DECADES)
    y = alt.Y("share:Q", title="share of |a| on the true position", scale=alt.Scale(domain=[0, 1]))
    told = [alt.Tooltip("name:N", title="configuration"), alt.Tooltip("error:Q", format=".3g"), "share:Q"]
    drawn = chart("points").transform_filter(CHOSEN).transform_filter("datum.error > 0")
    layers = (drawn.mark_point(size=50, opacity=0.8, aria=False).encode(x, y, colour, shape, tooltip=told),)
    functions = sorted({row["function"] for row in rows})
    return specification(320, layers, {"points": points}, functions=functions, task=0)


def medians_chart(rows: Sequence[Mapping[str, Any]], functions: Sequence[str], tasks: Sequence[str]) -> Specification:
    """Draw a measure's median for each function and task as a map with the numbers; on a log scale where an error."""
    cells = [
        {"name": functions[row["function"]], "on": tasks[row["task"] - 1], "of": rounded(row["spread"])} for row in rows
    ]
    numbers = {name: f"datum.of[measure][{n}]" for n, name in enumerate(("median", "q1", "q3", "low", "high"))}
    value = "measure == 0 && isValid(datum.median) ? log(max(datum.median, 1e-30)) / LN10 : datum.median"
    said = "measure == 0 ? format(datum.median, '.0e') : format(datum.median, '.2f')"
    drawn = chart("cells").transform_calculate(**numbers).transform_calculate(value=value, said=said)
    x = alt.X("on:N", title=None, sort=[*tasks], axis=alt.Axis(labelAngle=-30, orient="top"))
    y = alt.Y("name:N", title=None, sort=[*functions])
    told = [
        alt.Tooltip("name:N", title="function"),
        alt.Tooltip("on:N", title="task"),
        *(alt.Tooltip(f"{name}:Q", title=title, format=".3g") for name, title in zip(numbers, SPREAD, strict=True)),
    ]
    colour = alt.Color("value:Q", scale=alt.Scale(scheme="cividis"), legend=None)
    layers = (
        drawn.mark_rect().encode(x, y, colour, tooltip=told),
        drawn.mark_text(stroke="white", strokeWidth=3, aria=False).encode(x, y, text="said:N"),
        drawn.mark_text(color=TRUTH, aria=False).encode(x, y, text="said:N"),
    )
    return specification(34 * len(functions) + 60, layers, {"cells": cells}, measure=0)
