"""The report of a study: its configurations side by side on one page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention.pictures.page import Chart, Control, Section, Table, save_page
from attention.studies.answers import answers
from attention.studies.charts import curves_chart, failures_chart, medians_chart, spread_chart
from attention.studies.comparison import Comparison, show
from attention.studies.groups import MEASURES, Group
from attention.studies.report import differing
from attention.studies.tables import summary_columns

MOST_ROWS, MOST_DOTS, MOST_POINTS, MOST_SAID = 70, 4_000, 50, 50  # what a page has room for
NAMES = {
    "mse": "error on new data",
    "normalized": "share of |a| on the true position",
    "effective": "share of |a·w| on the true position",
    "accuracy": "how often the largest |a| is on the true position",
}


def save_report(path: str | Path, groups: Sequence[Group], comparisons: Sequence[Comparison]) -> None:
    """Write the page of a study."""
    seeds = len(groups[0].seeds)
    lead = (
        f"{_count(len(groups), 'configuration')}, each trained with the same {_count(seeds, 'seed')}. "
        "Trainings with the same seed have the same data.",
    )
    sections = (
        *_sentences(groups, comparisons),
        *_charts(groups[:MOST_ROWS], len(groups), seeds),
        Section("Numbers", "Medians; after the error its 90 % interval.", tables=(_table(groups[:MOST_ROWS]),)),
        Section(
            "Check it, and make your own",
            commands=(
                ("attention verify", "runs everything again from nothing, and compares every file with dvc.lock"),
                (
                    "dvc exp run -S study.seeds=100 study",
                    "the same with a hundred seeds; study.grid says what is varied",
                ),
            ),
        ),
    )
    title = f"Study of {_count(len(groups), 'configuration')} with {_count(seeds, 'seed')}"
    save_page(path, title, lead, sections, "Written by the stage study from the numbers of data/study/*.csv.")


def _sentences(groups: Sequence[Group], comparisons: Sequence[Comparison]) -> list[Section]:
    says = answers(summary_columns(groups))[:MOST_SAID]
    if not says:
        return []
    sections = [Section("What it says", "Where the truth is found, and where the error is lowest.", lines=says)]
    if comparisons:
        more = f" The first {MOST_SAID}; all are in data/study/comparison.csv." if len(comparisons) > MOST_SAID else ""
        text = f"{differing(comparisons).capitalize()}, seed by seed; p is corrected for the number of pairs.{more}"
        sections.append(Section("Two at a time", text, lines=[each.says for each in comparisons[:MOST_SAID]]))
    return sections


def _charts(shown: Sequence[Group], count: int, seeds: int) -> list[Section]:
    functions = [*dict.fromkeys(each.params.model.attention for each in shown)]
    tasks = [*dict.fromkeys(_task(each) for each in shown)]
    rows = [_row(each, functions, tasks) for each in shown]
    controls = [Control("select", "measure", "Measure", [NAMES[measure] for measure in MEASURES])]
    if len(tasks) > 1:
        controls.append(Control("select", "task", "Task", ["all tasks", *tasks]))
    if len(functions) > 1:
        controls.append(Control("checks", "functions", "Attention functions", functions))
    dots = max(1, MOST_DOTS // len(rows))
    few = f" Of each configuration, the first {dots} trainings are drawn." if dots < seeds else ""
    first = f" The first {len(shown)} of {count} configurations." if len(shown) < count else ""
    return [
        Section(
            "Side by side",
            "Choose a measure, and the functions to compare.",
            controls=controls,
            charts=(
                Chart(
                    "comparison",
                    spread_chart(rows, dots),
                    "Grey ticks: the trainings. Thin line: the middle half. Dot and thick bar: the median and its 90 % "
                    f"interval, which needs at least 5 seeds. Point at a dot to see its numbers.{first}{few}",
                    ("measure", "functions", "task"),
                ),
                *_which_needs_what(rows, functions, tasks),
            ),
        ),
        Section(
            "While training",
            charts=(
                Chart(
                    "curves",
                    curves_chart(rows),
                    f"The median error after each epoch, on a logarithmic axis.{first}",
                    ("functions", "task"),
                ),
            ),
        ),
        Section(
            "Found, or only right",
            charts=(
                Chart(
                    "failures",
                    failures_chart(rows, dots),
                    "A mark is a training. At the top it found where to look. On the left but low, its answers are "
                    f"good, and its attention says nothing of why.{first}{few}",
                    ("functions", "task"),
                ),
            ),
        ),
    ]


def _which_needs_what(rows: Sequence[dict[str, Any]], functions: Sequence[str], tasks: Sequence[str]) -> list[Chart]:
    """Return a map of functions and tasks, where the grid has just these."""
    if len(tasks) < 2 or len(rows) != len({(row["function"], row["task"]) for row in rows}):
        return []
    about = "The median of the measure for each function and task. Point at a field to see the interval."
    return [Chart("tasks", medians_chart(rows, functions, tasks), about, ("measure",))]


def _row(each: Group, functions: Sequence[str], tasks: Sequence[str]) -> dict[str, Any]:
    epochs = np.unique(np.linspace(0, each.params.train.epochs - 1, MOST_POINTS).astype(int))
    medians = np.median(each.histories[:, epochs, 0], axis=0) if len(each.histories) else np.empty(0)
    return {
        "name": each.name,
        "function": functions.index(each.params.model.attention),
        "task": tasks.index(_task(each)) + 1,  # 0 stands for all of them
        "trainings": each.results,
        "spread": np.stack([*each.spread.values()]),
        "curve": (epochs[: len(medians)], medians),
    }


def _table(shown: Sequence[Group]) -> Table:
    rows = []
    for each in shown:
        error, *shares = (each.spread[name] for name in MEASURES)
        interval = f" ({error[3]:.2g} to {error[4]:.2g})" if np.isfinite(error[3]) else ""
        numbers = [f"{share[0]:.3f}" for share in shares[:2]]
        found = f"{each.found} of {len(each.seeds)}"
        rows.append([each.name, found, str(each.diverged), f"{show(error[0])}{interval}", *numbers])
    columns = ["configuration", "found the truth", "diverged", "error on new data", "share of |a|", "share of |a·w|"]
    return Table("Numbers of the study", columns, rows, numbers=True)


def _task(each: Group) -> str:
    return str(getattr(each.params.data, "task", "lookup"))


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
