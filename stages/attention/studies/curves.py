"""A study's curves: the error of each configuration over the epochs."""

import textwrap
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from attention.pictures.colours import EFFECTIVE, RAW, TRUTH
from attention.pictures.figures import count_epochs
from attention.studies.groups import ARTICLE_MSE, Group, error_of

CURVE_PANELS = 20  # of a large study, as many as one picture can hold


def curves_figure(groups: Sequence[Group]) -> Figure:
    """Draw the training error of each configuration: its first run before the median and the bands of half and of 90 %.

    Where a configuration is the article's experiment, the errors that it reports are marked.
    """
    shown = groups[:CURVE_PANELS]
    columns = next((number for number in (5, 4, 3) if len(shown) % number == 0), min(5, len(shown)))  # whole rows
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(2.5 + 2.8 * columns, 1.4 + 2.6 * rows))
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).flat
    for panel in panels[len(shown) :]:
        panel.remove()
    handles: dict[str, Any] = {}
    for each, panel in zip(shown, panels, strict=False):
        panel.set_title(title_of(each.name, f"{each.diverged} of {len(each.seeds)} diverged" if each.diverged else ""))
        mse = each.histories[..., 0]
        if not len(mse):
            panel.text(0.5, 0.5, "every training diverged", ha="center", va="center", transform=panel.transAxes)
            continue
        epochs = np.arange(mse.shape[1])
        low, q1, median, q3, high = np.percentile(mse, [5, 25, 50, 75, 95], axis=0)
        across = epochs if len(epochs) > 1 else np.array([-0.2, 0.2])  # else the bands would have no width
        panel.fill_between(across, low, high, color=EFFECTIVE, alpha=0.2, linewidth=0, label="90 % of the trainings")
        panel.fill_between(across, q1, q3, color=EFFECTIVE, alpha=0.4, linewidth=0, label="half of them")
        panel.plot(epochs, median, "o-", color=EFFECTIVE, markersize=4, label="median")
        own = [row[0] for row in each.outcomes[0].history]
        one = f"seed {each.seeds[0]}"
        panel.plot(range(len(own)), own, "--" if len(own) > 1 else "_", color=TRUTH, linewidth=1.2, label=one)
        if each.is_article:
            marks = ARTICLE_MSE[: len(epochs)]
            panel.plot(range(len(marks)), marks, "D", color=RAW, markeredgecolor="black", label="the article", zorder=3)
        panel.set_yscale("log")
        count_epochs(panel, len(epochs))
        panel.grid(axis="y")
        handles |= {label: handle for handle, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside upper center", ncols=5)
    figure.supxlabel(f"epoch{of_all(shown, groups)}")
    figure.supylabel(f"{error_of(shown)} while training")
    return figure


def title_of(*parts: str) -> str:
    """Return a panel's title, wrapped between values only."""
    words = ", ".join(filter(None, parts)).split(", ")
    return textwrap.fill(", ".join(word.replace(" ", "\N{NO-BREAK SPACE}") for word in words), 40)


def of_all(shown: Collection[Any], names: Collection[Any]) -> str:
    """Say how many of how many are shown, where it is not all."""
    return "" if len(shown) == len(names) else f" (the first {len(shown)} configurations of {len(names)})"
