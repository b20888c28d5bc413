"""The pictures: matplotlib objects from arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray
from PIL import Image

import attention.pictures.style  # noqa: F401 - how a picture looks, wherever it is shown
from attention.pictures.colours import EFFECTIVE, GREY, RAW, TRUTH
from workbench.stage.outputs import writing

Floats = NDArray[np.float64]

TRUE, LEARNED, SEEN = "true attention", "learned |a|, normalized", "effective |a·w|, normalized"
MAPPED_PANELS = 10  # with more contexts, bars would be hairlines: one map shows them all


def attention_figure(truth: Floats, normalized: Floats, effective: Floats) -> Figure:
    """Draw the article's figure from three matrices (n_contexts, seq_len): learned attention within frames of truth."""
    contexts, positions = truth.shape
    if contexts > MAPPED_PANELS:
        return attention_maps(truth, normalized, effective)
    figure = Figure(figsize=(min(16, max(7, 4 + 0.7 * positions)), 1.2 + 0.9 * contexts))  # the legend is as wide as 7
    panels = figure.subplots(contexts, sharex=True, sharey=True, squeeze=False)[:, 0]
    where = np.arange(positions)
    for context, panel in enumerate(panels):
        panel.bar(where - 0.2, normalized[context], width=0.4, color=RAW, hatch="///", edgecolor="white", label=LEARNED)
        panel.bar(where + 0.2, effective[context], width=0.4, color=EFFECTIVE, label=SEEN)
        true = truth[context] > 0
        panel.bar(where[true], truth[context, true], 0.88, fill=False, edgecolor=TRUTH, linewidth=1.6, label=TRUE)
        panel.set_ylabel(f"context {context}", rotation=0, ha="right", va="center")
        panel.set_ylim(0, 1.08)
        panel.set_yticks([0, 1])
        panel.set_xlim(-0.6, positions - 0.4)
    panels[-1].set_xlabel("position in the sequence")
    panels[-1].set_xticks(where[:: -(-positions // 20)])
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=3)
    return figure


def attention_maps(truth: Floats, normalized: Floats, effective: Floats, row: str = "context") -> Figure:
    """Draw the same three matrices as maps side by side; `row` is what a row of them is called."""
    contexts, positions = truth.shape
    figure = Figure(figsize=(min(18, 5 + 0.45 * positions), min(14, 2 + 0.22 * contexts)))
    panels = figure.subplots(1, 3, sharex=True, sharey=True)
    for panel, title, values in zip(panels, (TRUE, LEARNED, SEEN), (truth, normalized, effective), strict=True):
        image = panel.imshow(values, vmin=0, vmax=1)
        panel.set_title(title)
        panel.set_xlabel("position")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
    panels[0].set_ylabel(row)
    figure.colorbar(image, ax=panels, shrink=0.8)
    return figure


def mse_figure(mse: Floats, baselines: Mapping[str, float], name: str = "mean squared error") -> Figure:
    """Draw the training error of each epoch, by its name, on a log axis, and what is reached without attention."""
    figure = Figure(figsize=(7, 4.5))
    panel = figure.subplots()
    epochs = np.arange(len(mse))
    panel.plot(epochs, mse, "o-", color=EFFECTIVE, markevery=max(1, len(mse) // 20))
    for (name, value), style in zip(baselines.items(), ("--", ":"), strict=False):
        panel.axhline(value, color=GREY, linestyle=style, label=f"no attention: {name} ({value:.3g})")
    sides = [(0, -9, "right"), (len(mse) - 1, 9, "left")]  # beside the line, not on it
    for epoch, shift, side in sides[-len(mse) :]:
        panel.annotate(f"{mse[epoch]:.3g}", (epoch, mse[epoch]), (shift, -4), textcoords="offset points", ha=side)
    panel.set_yscale("log")
    panel.set_xlabel("epoch")
    panel.set_ylabel(f"{name} while training")
    panel.margins(x=0.14)
    count_epochs(panel, len(mse), 9)
    panel.grid(axis="y")
    panel.legend()
    return figure


def growth_figure(attention: Floats, truth: Floats) -> Figure:
    """Draw raw attention (epochs, n_contexts, seq_len) over the epochs, the true positions apart from the others."""
    epochs, contexts, _ = attention.shape
    columns = min(5, contexts)
    shown = min(contexts, 20)
    rows = -(-shown // columns)
    figure = Figure(figsize=(3 + 2.4 * columns, 1.2 + 2.2 * rows))
    panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for context, panel in enumerate(panels.flat):
        if context >= shown:
            panel.remove()
            continue
        true = truth[context] > 0
        panel.axhline(0, color=GREY, linewidth=0.6)
        panel.plot(np.arange(epochs), attention[:, context, ~true], ".-", color=RAW, linewidth=1)
        panel.plot(np.arange(epochs), attention[:, context, true], "o-", color=EFFECTIVE, linewidth=2)
        panel.set_title(f"context {context}")
        count_epochs(panel, epochs)
    figure.supxlabel("epoch")
    figure.supylabel("learned attention a")
    title = "thick blue: the true position; thin orange: the others"
    figure.suptitle(
        title if shown == contexts else f"{title} (contexts 0 to {shown - 1} of {contexts})", fontsize="medium"
    )
    return figure


def epoch_figure(epoch: int, normalized: Floats, truth: Floats, row: str = "context") -> Figure:
    """Draw normalized attention (n_contexts, seq_len) after one epoch as a map; a ring marks each true position."""
    contexts, positions = normalized.shape
    figure = Figure(figsize=(min(12, max(5, 2.5 + 0.5 * positions)), min(12, max(2.5, 1.5 + 0.5 * contexts))))
    panel = figure.subplots()
    image = panel.imshow(normalized, vmin=0, vmax=1)
    rows, columns = np.nonzero(truth)
    panel.scatter(columns, rows, s=60, facecolors="none", edgecolors="white", linewidths=1.5)
    panel.set(title=f"after epoch {epoch}: |a|, normalized; rings: truth", xlabel="position", ylabel=row)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_locator(MaxNLocator(12, integer=True, min_n_ticks=1))
    figure.colorbar(image, ax=panel)
    return figure


def count_epochs(panel: Any, epochs: int, most: int = 4) -> None:
    """Put ticks at whole epochs only; a single one stands in the middle."""
    if epochs == 1:
        panel.set_xlim(-0.5, 0.5)
    panel.xaxis.set_major_locator(MaxNLocator(most, integer=True, min_n_ticks=1))


def save_animation(path: str | Path, stills: Sequence[Path], seconds: float = 0.8) -> None:
    """Write a GIF that shows pictures, all of one size, for some time each and for ever."""
    frames = [Image.open(still).convert("RGB") for still in stills]
    colours = frames[-1].quantize(256, Image.Quantize.MEDIANCUT)  # one palette for all, so that no colour flickers
    indexed = [frame.quantize(palette=colours, dither=Image.Dither.NONE) for frame in frames]
    with writing(path) as beside:
        indexed[0].save(beside, "GIF", save_all=True, append_images=indexed[1:], duration=round(1000 * seconds), loop=0)
