"""Which function needs what, told: python benchmarks/needs.py makes it again of benchmarks/results/tasks.csv.

Writes benchmarks/results/tasks.md, the medians and whether each of what was wanted holds, and docs/tasks.png, a map.
"""

import csv
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

import attention.pictures.style  # noqa: F401 - how pictures look
from attention.functions import ATTENTION_FUNCTIONS
from attention.studies.statistics import spread
from attention.tasks import TASKS
from report import RESULTS, machine

TABLE = RESULTS / "tasks.csv"
PICTURE = RESULTS.parents[1] / "docs/tasks.png"
BATCHES, ARTICLE = "batches", "the article's"
WITHOUT = "two hidden layers, no attention"
NEAR = 0.1  # how far, as a share, an error may be from one that is known

Row = dict[str, Any]


class Cell(NamedTuple):
    """What is trained with many seeds."""

    task: str
    keys: str
    function: str
    training: str


MEASURES = ("error", "accuracy", "normalized", "effective", "found")
COLUMNS = (*Cell._fields, "seed", *MEASURES)
Cells = Mapping[Cell, Mapping[str, NDArray[np.float64]]]  # of each the measures that it has, (seeds,)


class Wanted(NamedTuple):
    """What the median of a measure should be, of each of some functions."""

    task: str
    functions: Sequence[str]
    measure: str
    sign: str  # ≤, ≥, or ≈
    bound: float
    keys: str | None = None  # None: the task's own
    training: str = BATCHES


FAMILY = ("dot", "scaled_dot", "bilinear", "additive", "cosine", "multihead")  # rows of queries and keys, compared
OTHERS = tuple(name for name in ATTENTION_FUNCTIONS if name != "ntm")
WANTED = (
    Wanted("recall", ["softmax"], "error", "≤", 1e-4),
    Wanted("recall", ["softmax"], "normalized", "≥", 0.95),
    Wanted("recall", FAMILY, "error", "≤", 1e-5),
    Wanted("recall", FAMILY, "normalized", "≥", 0.99),
    Wanted("successor", ["ntm"], "error", "≤", 0.01),
    Wanted("successor", OTHERS, "error", "≥", 0.07),
    Wanted("caption", ["softmax", "scaled_dot", "hard", "cosine"], "accuracy", "≥", 0.99),
    Wanted("neighbour", ["softmax", "scaled_dot", "dot", "hard", "cosine", "multihead"], "error", "≤", 1e-4),
    Wanted("neighbour", ["embedding"], "error", "≥", 0.045),
    Wanted("recall", ["softmax"], "error", "≤", 2e-4, training=ARTICLE),
    Wanted("neighbour", ["softmax"], "error", "≤", 1e-4, training=ARTICLE),
    Wanted("neighbour", ["scaled_dot"], "error", "≈", 0.063, "colour"),
    Wanted("neighbour", ["scaled_dot"], "error", "≈", 0.042, "position"),
    Wanted("neighbour", ["scaled_dot"], "error", "≤", 1e-4),
    Wanted("successor", ["scaled_dot"], "error", "≤", 1e-4, "content+before"),
    Wanted("lookup", [WITHOUT], "error", "≤", 0.001),
    Wanted("recall", [WITHOUT], "error", "≥", 0.08),
)
SAID = {"error": "error", "accuracy": "share said right", "normalized": r"share of \|a\|"}


def main() -> None:
    """Tell it from the table."""
    write(read())


def read() -> Cells:
    """Return what was measured of each cell, seed by seed."""
    rows: dict[Cell, list[Row]] = {}
    with TABLE.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            rows.setdefault(Cell(*(row[name] for name in Cell._fields)), []).append(row)
    return {
        cell: {name: np.array([float(row[name]) for row in own]) for name in MEASURES if own[0][name]}
        for cell, own in rows.items()
    }


def write(cells: Cells) -> None:
    """Write the tables and the picture."""
    seeds = max(len(each["error"]) for each in cells.values())
    few = min(len(each["error"]) for each in cells.values())
    title = (
        f"Medians of {seeds} seeds; batch 32, rate 0.02, 6 epochs. Each cell: error on new data, of `caption` the "
        r"share said right; share of \|a\| on the true position; how many trainings found the truth, by \|a·w\|. The "
        "two hidden layers of 64 see query, keys and values as one row of numbers, and are trained by Adam, batch 32, "
        f"rate 0.001, 40 epochs: {few} seeds."
    )
    held = "What was wanted of the medians, and whether it holds. Of several functions the one farthest off is named."
    lines = [title, "", *needs(cells), "", held, "", *holds(cells), "", machine()]
    (RESULTS / "tasks.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    heat_map(cells).savefig(PICTURE, metadata={"Software": None})


def needs(cells: Cells) -> list[str]:
    """Return a table with a row a function, or what its keys hold, and a column a task."""
    named: dict[str, dict[str, str]] = {}
    for cell, measured in cells.items():
        keys = "" if cell.keys in ("", TASKS[cell.task].default_keys) else f", keys `{cell.keys}`"
        trained = f", {cell.training} training" if cell.training == ARTICLE else ""
        name = cell.function if cell.function == WITHOUT else f"`{cell.function}`"
        named.setdefault(f"{name}{keys}{trained}", {})[cell.task] = told(measured)
    return [
        f"| | {' | '.join(f'`{task}`' for task in TASKS)} |",
        f"| --- |{' --- |' * len(TASKS)}",
        *(f"| {name} | {' | '.join(row.get(task, '–') for task in TASKS)} |" for name, row in named.items()),
    ]


def told(measured: Mapping[str, NDArray[np.float64]]) -> str:
    """Return a cell."""
    medians = {name: float(np.median(values)) for name, values in measured.items()}
    said = f"{medians['accuracy']:.3f} right" if "accuracy" in medians else f"{medians['error']:.2g}"
    if "normalized" not in medians:
        return said
    return f"{said}; {medians['normalized']:.2f}; {measured['found'].sum():.0f}"


def holds(cells: Cells) -> list[str]:
    """Return a table with a row for each thing wanted."""
    lines = ["| task | of | wanted | median, 90 % interval | holds |", "| --- | --- | --- | --- | --- |"]
    for one in WANTED:
        keys = TASKS[one.task].default_keys if one.keys is None else one.keys
        found = {}
        for name in one.functions:
            cell = Cell(one.task, keys, name, one.training)
            if name == WITHOUT:
                (cell,) = (each for each in cells if each.task == one.task and each.function == WITHOUT)
            found[name] = spread(cells[cell][one.measure])
        distance = {name: beyond(float(numbers[0]), one) for name, numbers in found.items()}
        worst = max(distance, key=lambda name: distance[name])
        missed = [name for name, far in distance.items() if far > 0]
        about = ", ".join(one.functions) if len(one.functions) < len(OTHERS) else "every function but ntm"
        about += f", keys `{one.keys}`" if one.keys else ""
        about += f", {one.training} training" if one.training != BATCHES else ""
        tolerance = f" ± {NEAR:.0%}" if one.sign == "≈" else ""
        wanted = f"{SAID[one.measure]} {one.sign} {one.bound:g}{tolerance}"
        median, _, _, low, high = found[worst]
        measured = f"{worst}: " * (len(found) > 1) + f"{median:.3g}"
        measured += f" ({low:.3g} to {high:.3g})" if np.isfinite(low) else ""
        answer = "yes" if not missed else "no" if len(missed) == len(found) else f"all but {', '.join(missed)}"
        lines.append(f"| `{one.task}` | {about} | {wanted} | {measured} | {answer} |")
    return lines


def beyond(median: float, wanted: Wanted) -> float:
    """Return by which share of the bound a median is on the wrong side of it; less than 0 where it is not."""
    off = median / wanted.bound - 1
    return {"≤": off, "≥": -off, "≈": abs(off) - NEAR}[wanted.sign]


def heat_map(cells: Cells) -> Figure:
    """Draw the share of attention on the truth, with its interval, and the error, for each function and task."""
    figure = Figure(figsize=(12, 11.5))
    panel = figure.subplots()
    shown = np.zeros((len(ATTENTION_FUNCTIONS), len(TASKS)))
    for y, name in enumerate(ATTENTION_FUNCTIONS):
        for x, task in enumerate(TASKS):
            measured = cells[Cell(task, TASKS[task].default_keys, name, BATCHES)]
            median, _, _, low, high = spread(measured["normalized"])
            shown[y, x] = median
            right = spread(measured["accuracy" if "accuracy" in measured else "error"])[0]
            said = f"{right:.3f} right" if "accuracy" in measured else f"error {right:.1e}"
            interval = f" ({low:.2f} to {high:.2f})" if np.isfinite(low) else ""
            color = "white" if median < 0.5 else "black"
            panel.text(x, y, f"{median:.2f}{interval}\n{said}", ha="center", va="center", color=color, fontsize=8)
    image = panel.imshow(shown, vmin=0, vmax=1)
    panel.set_xticks(range(len(TASKS)), TASKS)
    panel.set_yticks(range(len(ATTENTION_FUNCTIONS)), ATTENTION_FUNCTIONS)
    panel.xaxis.tick_top()
    panel.spines[:].set_visible(False)
    panel.tick_params(length=0)
    figure.colorbar(image, label="share of |a| on the true position: median and its 90 % interval", fraction=0.03)
    return figure


if __name__ == "__main__":
    main()
