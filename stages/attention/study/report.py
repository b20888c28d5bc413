"""The report of a study: its configurations side by side on one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention.pictures.page import Chart, Control, Section, Table, save_page
from attention.study.charts import curves_chart, spread_chart
from attention.study.spread import MEASURES, Group

MOST_ROWS, MOST_DOTS, MOST_POINTS = 60, 8_000, 50  # configurations, trainings and epochs that a page has room for
NAMES = {
    "mse": "error on new data (mean squared)",
    "normalized": "share of |a| on the true position",
    "effective": "share of |a·w| on the true position",
    "accuracy": "how often the largest |a| is on the true position",
}


def save_study_report(path: str | Path, groups: Sequence[Group]) -> None:
    """Write the page of a study."""
    shown, seeds = groups[:MOST_ROWS], groups[0].seeds
    functions = [*dict.fromkeys(each.params.model.attention for each in shown)]
    rows = [_row(each, functions) for each in shown]
    controls = [Control("select", "measure", "Measure", [NAMES[measure] for measure in MEASURES])]
    if len(functions) > 1:
        controls.append(Control("checks", "functions", "Attention functions", functions))
    steered = ("measure", "functions")
    dots = max(1, MOST_DOTS // len(rows))
    few = f" Of each, the first {dots} trainings are drawn." if dots < len(seeds) else ""
    first = f" The first {len(shown)} of {len(groups)} configurations." if len(shown) < len(groups) else ""
    lead = (
        f"{len(groups)} configurations, each trained with the same {len(seeds)} seeds. Trainings with one seed have "
        "the same data, so configurations differ by nothing else.",
        "Where two thick bars do not overlap, the medians differ. Where they do, this study does not decide.",
    )
    sections = (
        Section(
            "Compared",
            "Choose a measure, and the functions to compare.",
            controls,
            (
                Chart(
                    "comparison",
                    spread_chart(rows, dots),
                    "Grey ticks: a training each. Thin line: half of them. Dot and thick bar: the median and its "
                    f"interval. Point at a dot to see its numbers.{first}{few}",
                    steered,
                ),
            ),
        ),
        Section(
            "While training",
            charts=(
                Chart(
                    "curves",
                    curves_chart(rows),
                    f"The median error after each epoch, on a logarithmic axis.{first}",
                    ("functions",),
                ),
            ),
        ),
        Section("Numbers", "Medians, in brackets the interval of the median.", tables=(_table(shown),)),
        Section(
            "Check it, and make your own",
            commands=(
                ("attention verify", "runs everything again from nothing, and compares every file with dvc.lock"),
                (
                    "dvc exp run -S study.seeds=100 study",
                    "the same with a hundred seeds; study.grid in params.yaml says what is varied",
                ),
            ),
        ),
    )
    title = f"Study of {len(groups)} configurations with {len(seeds)} seeds"
    save_page(path, title, lead, sections, "Written by the stage study from the same numbers as data/study/*.csv.")


def _row(each: Group, functions: Sequence[str]) -> dict[str, Any]:
    epochs = np.unique(np.linspace(0, each.params.train.epochs - 1, MOST_POINTS).astype(int))
    medians = np.median(each.histories[:, epochs, 0], axis=0) if len(each.results) else np.empty(0)
    return {
        "name": each.name,
        "function": functions.index(each.params.model.attention),
        "task": 0,
        "trainings": each.results,
        "spread": np.stack([*each.spread.values()]) if each.spread else [],
        "curve": (epochs[: len(medians)], medians),
    }


def _table(shown: Sequence[Group]) -> Table:
    rows = []
    for each in shown:
        numbers = [f"{each.spread[name][0]:.3g}" for name in MEASURES] if each.spread else ["–"] * len(MEASURES)
        if each.spread:
            numbers[0] += f" ({each.spread['mse'][3]:.3g} to {each.spread['mse'][4]:.3g})"
        rows.append([each.name, str(len(each.seeds)), str(len(each.seeds) - len(each.results)), *numbers])
    columns = ["configuration", "trainings", "diverged", "error on new data", "share of |a|", "share of |a·w|", "found"]
    return Table("Numbers of the study", columns, rows, numbers=True)
