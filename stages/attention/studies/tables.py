"""The tables of a study, and its trainings read back from them."""

import csv
import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from attention.params.schema import Params, StudyParams
from attention.studies.best import Best
from attention.studies.comparison import Comparison
from attention.studies.groups import MEASURES, Group, value_text
from attention.studies.statistics import SPREAD, share_interval
from attention.studies.trainings import Outcome
from workbench.stage.params import known_keys

Columns = dict[str, list[Any]]
ENDS = ("median", "low", "high")


def result_columns(groups: Sequence[Group]) -> Columns:
    """Return a row a training: values, seed, the measures and whether it found the truth; empty where it diverged."""
    rows = []
    for each in groups:
        for seed, outcome in zip(each.seeds, each.outcomes, strict=True):
            measures = [None] * len(MEASURES) if outcome.mse is None else [outcome.mse, *outcome.history[-1][1:]]
            rows.append([*each.texts.values(), seed, *measures, int(outcome.found)])
    return _columns([*groups[0].values, "seed", *MEASURES, "found"], rows)


def history_columns(groups: Sequence[Group]) -> Columns:
    """Return a row an epoch of each training, with what history.csv holds; of one that diverged, until then."""
    rows = [
        [*each.texts.values(), seed, epoch, *measures]
        for each in groups
        for seed, outcome in zip(each.seeds, each.outcomes, strict=True)
        for epoch, measures in enumerate(outcome.history)
    ]
    return _columns([*groups[0].values, "seed", "epoch", *MEASURES], rows)


def summary_columns(groups: Sequence[Group]) -> Columns:
    """Return a row a configuration: how many trainings, how many diverged, which share found the truth, the spread."""
    rows = [[*each.texts.values(), *_summary(each)] for each in groups]
    return _columns([*groups[0].values, *SUMMARY], rows)


def best_columns(best: Sequence[Best], study: StudyParams) -> Columns:
    """Return a row for each configuration of the other keys: what was chosen, how sharply, and what it is worth."""
    over, rows = study.best.over if study.best else [], []
    for each in best:
        near = [list(one.values()) if len(over) > 1 else one[over[0]] for one in each.near]
        said = [each.choosing, each.candidates, value_text(near), " ".join(each.at_edge)]
        rows.append([*each.group.texts.values(), *(each.texts[key] for key in over), *said, *_summary(each.group)])
    return _columns([*_compared_keys(study), *over, "choosing", "candidates", "near", "at_edge", *SUMMARY], rows)


def comparison_columns(comparisons: Sequence[Comparison], study: StudyParams) -> Columns:
    """Return a row a pair of configurations."""
    rows = []
    for pair in comparisons:
        seeds = len(pair.first.seeds)
        rows.append(
            [
                *itertools.chain.from_iterable(zip(pair.first.texts.values(), pair.second.texts.values(), strict=True)),
                *(seeds, pair.lower, pair.higher, seeds - pair.lower - pair.higher, *pair.share[1:].tolist()),
                *(*pair.log10_error.tolist(), *pair.effective.tolist()),
                *(pair.first.found, pair.second.found, pair.first.diverged, pair.second.diverged),
                *(pair.p, pair.p_holm, value_text(pair.differs), pair.says),
            ]
        )
    sides = [f"{key}.{side}" for key in _compared_keys(study) for side in ("first", "second")]
    differences = [f"{name}.{end}" for name in ("log10_error", "effective") for end in ENDS]
    counts = [f"{name}.{side}" for name in ("found", "diverged") for side in ("first", "second")]
    names = [*sides, "seeds", "lower", "higher", "ties", "lower.low", "lower.high", *differences, *counts]
    return _columns([*names, "p", "p_holm", "differs", "says"], rows)


def for_people(columns: Columns) -> Columns:
    """Return the columns with numbers of three digits; those that are none, or infinite, empty."""
    return {
        name: [
            (float(f"{one:.3g}") if math.isfinite(one) else None) if isinstance(one, float) else one for one in values
        ]
        for name, values in columns.items()
    }


def read_outcomes(folder: Path) -> list[Outcome]:
    """Read the outcomes of a study from the tables that it wrote, in their order."""
    histories: dict[tuple[str, ...], list[list[float]]] = {}
    of_one = len(MEASURES)
    with (folder / "histories.csv").open(encoding="utf-8", newline="") as file:
        for row in itertools.islice(csv.reader(file), 1, None):
            histories.setdefault(tuple(row[: -of_one - 1]), []).append([float(number) for number in row[-of_one:]])
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(itertools.islice(csv.reader(file), 1, None))
    outcomes = []
    for row in rows:
        training, (error, *_, found) = row[: -of_one - 1], row[-of_one - 1 :]
        outcomes.append(Outcome(histories.get(tuple(training), []), float(error) if error else None, found == "1"))
    return outcomes


SUMMARY = (
    *("trainings", "diverged", "found", "found.low", "found.high"),
    *(f"{measure}.{number}" for measure in MEASURES for number in SPREAD),
)


def _summary(each: Group) -> list[Any]:
    trainings = len(each.seeds)
    found = [each.found / trainings, *share_interval(each.found, trainings).tolist()]
    return [trainings, each.diverged, *found, *np.concatenate(list(each.spread.values())).tolist()]


def _compared_keys(study: StudyParams) -> list[str]:
    """Return the keys of the grid that nothing is chosen over, in the order of the schema."""
    chosen = study.best.over if study.best else []
    return [key for key in known_keys(Params) if key in study.grid and key not in chosen]


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Columns:
    return {name: [row[number] for row in rows] for number, name in enumerate(names)}
