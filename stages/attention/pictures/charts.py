"""What the charts of the report pages have in common: their look, how wide they are, their numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import numpy as np

Specification = dict[str, Any]

DASHES = ([1, 0], [8, 3], [2, 3], [10, 3, 2, 3])
LOOK = alt.Config(
    font="DejaVu Sans, Verdana, sans-serif",
    background="white",
    view=alt.ViewConfig(stroke=None),
    axis=alt.AxisConfig(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", gridColor="#e5e5e5"),
    legend=alt.LegendConfig(labelFontSize=12, orient="top", columns=2, symbolStrokeWidth=2.5, labelLimit=0),
    text=alt.MarkConfig(fontSize=12, color="#444444"),
)
EPOCHS = alt.X("epoch:Q", title="epoch", axis=alt.Axis(tickMinStep=1, format="d", grid=False))
DECADES = alt.Axis(format=".0e", tickCount=6)


def chart(name: str) -> alt.Chart:
    """Return a chart of the rows that `specification` gets by that name."""
    return alt.Chart(alt.NamedData(name=name))


def specification(
    height: int, layers: Sequence[Any], data: Mapping[str, Sequence[Mapping[str, Any]]], **steered: Any
) -> Specification:
    """Return for Vega-Lite a chart as wide as the page, with its rows, and the parameters that controls steer.

    Altair checks the drawing; rows go beside it, for it would check each number, which takes seconds.
    """
    fit = alt.AutoSizeParams(type="fit-x", contains="padding")
    layered = alt.layer(*layers).add_params(*(alt.param(name, value) for name, value in steered.items()))
    whole = layered.properties(width="container", height=height, autosize=fit, config=LOOK)
    return {**whole.to_dict(), "datasets": {name: [*rows] for name, rows in data.items()}}


def told(field: str, title: str) -> alt.Tooltip:
    """Return what is said of a number with four decimals when it is pointed at."""
    return alt.Tooltip(f"{field}:Q", title=title, format=".4f")


def rounded(value: Any) -> Any:
    """Round a number, or each of an array's, to four digits: as many as a page needs; what is not finite is None."""
    if np.ndim(value):
        return [rounded(one) for one in value]
    return float(f"{value:.4g}") if np.isfinite(value) else None
