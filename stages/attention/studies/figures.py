"""What a study found, drawn: a row a configuration, or curves and maps along the numbers that its grid varies."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm, Normalize
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from attention.pictures.colours import EFFECTIVE, RAW, TRUTH
from attention.studies.axes import axes_of, series
from attention.studies.curves import of_all, title_of
from attention.studies.groups import Group
from attention.studies.statistics import Floats, share_interval

ROWS, LINES, MAPS = 80, 10, 4  # of a large study, as many as one picture can hold
TICKS = 8  # values of an axis that each have a tick
MARKERS = "osD^v"  # so that lines can be told from each other where they meet, and without colours
LEAST, MOST = 1e-3, 1 - 1e-6  # the ends of a recovery's axis, which has neither 0 nor 1
MARKS = (0.001, 0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999, 0.99999, 0.999999)
INTERVALS = "median, its 90 % interval (thick) and quartiles (thin)"


@dataclass(frozen=True)
class Quantity:
    """What is drawn of each configuration.

    Attributes:
        label: what it is called.
        of: median, quartiles, and the ends of the interval, (5,).
        scale: of its axis: log, linear, or logit, which has room where recovery is near 0 or 1.
        color: of its dots.

    """

    label: str
    of: Callable[[Group], Floats]
    scale: str
    color: str


def _found(each: Group) -> Floats:
    share = each.found / len(each.seeds)
    return np.array([share, np.nan, np.nan, *share_interval(each.found, len(each.seeds))])


ERROR = Quantity("error on test examples", lambda each: each.spread["mse"], "log", EFFECTIVE)
FOUND = Quantity("share of trainings that found the truth", _found, "linear", TRUTH)
NORMALIZED = Quantity("share of |a| on the truth", lambda each: each.spread["normalized"], "logit", RAW)
SEEN = Quantity("share of |a·w| on the truth", lambda each: each.spread["effective"], "logit", EFFECTIVE)


def errors_figure(groups: Sequence[Group]) -> Figure:
    """Draw the test error of each configuration, and how many of its trainings found the truth."""
    return _draw(groups, (ERROR, FOUND))


def recovery_figure(groups: Sequence[Group]) -> Figure:
    """Draw how well each configuration recovers the truth."""
    return _draw(groups, (NORMALIZED, SEEN))


def _draw(groups: Sequence[Group], quantities: Sequence[Quantity]) -> Figure:
    axes = axes_of(groups)
    return (_rows, _lines, _maps)[len(axes)](groups, quantities, axes)


def _rows(groups: Sequence[Group], quantities: Sequence[Quantity], _: Sequence[str]) -> Figure:
    shown = groups[:ROWS]
    figure = Figure(figsize=(10, 1.4 + 0.34 * len(shown)))
    panels = figure.subplots(1, len(quantities), sharey=True)
    for quantity, panel in zip(quantities, panels, strict=True):
        numbers = _drawable([quantity.of(each) for each in shown], quantity.scale)
        for row, (median, q1, q3, low, high) in enumerate(numbers):
            panel.plot([q1, q3], [row, row], color=quantity.color, linewidth=1)
            panel.plot([low, high], [row, row], color=quantity.color, linewidth=7, alpha=0.4, solid_capstyle="butt")
            panel.plot(median, row, "o", color=quantity.color, markersize=4)
            if np.isnan(median):
                panel.text(0.5, row, "diverged", ha="center", va="center", transform=panel.get_yaxis_transform())
        panel.set_xlabel(quantity.label)
        _scale(panel, "x", quantity.scale)
        panel.grid(axis="x")
    panels[0].set_yticks(range(len(shown)), [title_of(each.name) for each in shown])
    panels[0].set_ylim(len(shown) - 0.5, -0.5)
    figure.suptitle(f"{INTERVALS}{of_all(shown, groups)}", fontsize="medium")
    return figure


def _lines(groups: Sequence[Group], quantities: Sequence[Quantity], axes: Sequence[str]) -> Figure:
    lines, (key,) = series(groups, axes), axes
    shown = dict(list(lines.items())[:LINES])
    figure = Figure(figsize=(11, 4.8))
    panels = figure.subplots(1, len(quantities))
    for quantity, panel in zip(quantities, panels, strict=True):
        every = _drawable([quantity.of(each) for line in shown.values() for each in line], quantity.scale)
        at = 0
        for marker, (name, line) in zip(itertools.cycle(MARKERS), shown.items(), strict=False):
            where = np.array([each.values[key] for each in line], dtype=float)
            median, _, _, low, high = every[at : at + len(line)].T
            (drawn,) = panel.plot(where, median, f"{marker}-", markersize=4, label=title_of(name))
            panel.fill_between(where, low, high, color=drawn.get_color(), alpha=0.2, linewidth=0)
            at += len(line)
        panel.set(xlabel=key, ylabel=quantity.label)
        _along(panel, "x", [each.values[key] for each in groups])
        _scale(panel, "y", quantity.scale)
        panel.grid(axis="y")
    if list(shown) != [""]:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=min(5, len(shown)))
    figure.suptitle(f"medians and shares, with their 90 % intervals{of_all(shown, lines)}", fontsize="medium")
    return figure


def _maps(groups: Sequence[Group], quantities: Sequence[Quantity], axes: Sequence[str]) -> Figure:
    maps, (key, other) = series(groups, axes), axes
    shown = dict(list(maps.items())[:MAPS])
    figure = Figure(figsize=(2.2 + 3.6 * len(shown), 1 + 3.4 * len(quantities)))
    panels = figure.subplots(len(quantities), len(shown), sharex=True, sharey=True, squeeze=False)
    for quantity, row in zip(quantities, panels, strict=True):
        every = np.array([quantity.of(each)[0] for each in groups])
        finite = every[np.isfinite(every) & ((every > 0) | (quantity.scale != "log"))]
        norm = LogNorm(finite.min(), finite.max()) if quantity.scale == "log" and finite.size else Normalize(0, 1)
        for (name, configurations), panel in zip(shown.items(), row, strict=True):
            across, up = (sorted({each.values[one] for each in configurations}) for one in (key, other))
            cells = {(each.values[key], each.values[other]): quantity.of(each)[0] for each in configurations}
            values = np.array([[cells[x, y] for x in across] for y in up])
            image = panel.pcolormesh(_edges(across), _edges(up), np.ma.masked_invalid(values), norm=norm)
            panel.set_title(title_of(name))
            panel.set_facecolor("#dddddd")  # where more than half of the trainings diverged
            for side, ticks in (("x", across), ("y", up)):
                _along(panel, side, ticks)
        figure.colorbar(image, ax=list(row), label=f"{quantity.label}{', median' if quantity is not FOUND else ''}")
    figure.supxlabel(f"{key}{of_all(shown, maps)}")
    figure.supylabel(other)
    return figure


def _drawable(numbers: Sequence[Floats], scale: str) -> Floats:
    """Return numbers (n, 5) that the scale has a place for; a median that is infinite has none."""
    values = np.array(numbers)
    medians = values[:, 0].copy()
    if scale == "logit":
        return np.clip(values, LEAST, MOST)
    if scale == "log":
        finite = values[np.isfinite(values) & (values > 0)]
        low, high = (finite.min() / 3, finite.max() * 3) if finite.size else (0.1, 1.0)
        values = np.clip(values, low, high)
        values[~np.isfinite(medians)] = np.nan
    return values


def _scale(panel: Any, side: str, scale: str) -> None:
    if scale == "logit":
        getattr(panel, f"set_{side}scale")("logit")
        axis = getattr(panel, f"{side}axis")
        axis.set_major_locator(FixedLocator(MARKS))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_locator(NullLocator())
        axis.set_tick_params(labelrotation=30 if side == "x" else 0)
    elif scale == "log":
        getattr(panel, f"set_{side}scale")("log")
    else:
        getattr(panel, f"set_{side}lim")(-0.03, 1.03)


def _along(panel: Any, side: str, values: Sequence[float]) -> None:
    """Let an axis have the grid's values, on a log scale where they span much; a tick at each where they are few."""
    if _is_logarithmic(values):
        getattr(panel, f"set_{side}scale")("log")
    if len({*values}) <= TICKS:
        axis = getattr(panel, f"{side}axis")
        axis.set_major_locator(FixedLocator(sorted({*values})))
        axis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_minor_locator(NullLocator())


def _edges(values: Sequence[float]) -> Floats:
    """Return where the cells of a map end: half way between neighbours, on the axis's own scale."""
    where = np.log(values) if _is_logarithmic(values) else np.array(values, dtype=float)
    middle = (where[1:] + where[:-1]) / 2
    edges = np.concatenate([[2 * where[0] - middle[0]], middle, [2 * where[-1] - middle[-1]]])
    return np.exp(edges) if _is_logarithmic(values) else edges


def _is_logarithmic(values: Sequence[float]) -> bool:
    """Whether numbers of the grid go on a log scale: they span a factor of 5, and none is 0 or less."""
    return min(values) > 0 and max(values) >= 5 * min(values)
