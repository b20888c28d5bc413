"""What a study says: its trainings as tables, and the spread of each configuration over the seeds.

The interval is that of the median: 5 % to 95 % of the medians of as many trainings drawn again with replacement
(bootstrap). Configurations keep the order of the grid: which of two is better, only their intervals can say.
"""

import csv
import itertools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attention.measures.columns import HISTORY_COLUMNS
from attention.params.grid import Configuration
from attention.params.schema import Params
from attention.study.trainings import Outcome, study_seeds
from workbench.stage.streams import stream

Floats = NDArray[np.float64]
Columns = dict[str, list[Any]]

MEASURES = HISTORY_COLUMNS[1:]
SPREAD = ("median", "q1", "q3", "low", "high")  # the quartiles are of the trainings, the interval of the median
# The article's own errors after each epoch, and of what training it reports them.
ARTICLE_MSE = (0.0530, 0.0029, 0.0000126, 0.0000125)
ARTICLE: dict[str, dict[str, Any]] = {
    "data": {"n_train": 10_000, "seq_len": 8, "n_contexts": 5},
    "model": {"attention": "embedding"},
    "train": {"batch_size": 1, "learning_rate": 0.001, "shuffle": False},
}
RESAMPLES = 1000
AT_ONCE = 1_000_000  # numbers drawn at a time; results do not depend on it


@dataclass(frozen=True)
class Group:
    """The trainings of one configuration, seed by seed."""

    values: dict[str, str]  # of the grid, as texts
    params: Params
    seeds: Sequence[int]
    outcomes: Sequence[Outcome]

    @property
    def name(self) -> str:
        """The values, for people: a function says itself what it is."""
        parts = (v if key == "model.attention" else f"{key.rpartition('.')[2]} {v}" for key, v in self.values.items())
        return ", ".join(parts) or "every seed"

    @cached_property
    def spread(self) -> dict[str, Floats]:
        """The numbers of SPREAD for each measure; nothing where every training diverged."""
        results = self.results
        return dict(zip(MEASURES, spread(results, self.seeds[0]).T, strict=True)) if len(results) else {}

    @cached_property
    def results(self) -> Floats:
        """The measures (trainings, measures) of those that did not diverge: the error is that on test examples."""
        rows = [[outcome.mse, *outcome.history[-1][1:]] for outcome in self._converged]
        return np.array(rows, dtype=np.float64).reshape(-1, len(MEASURES))

    @cached_property
    def histories(self) -> Floats:
        """The measures (trainings, epochs, measures) of the same: the error is that while training."""
        rows = [outcome.history for outcome in self._converged]
        return np.array(rows, dtype=np.float64).reshape(len(rows), self.params.train.epochs, len(MEASURES))

    @property
    def is_article(self) -> bool:
        """Whether these are trainings as the article's, with whatever seeds and engine."""
        return all(
            getattr(getattr(self.params, section), name) == value
            for section, values in ARTICLE.items()
            for name, value in values.items()
        )

    @property
    def _converged(self) -> list[Outcome]:
        return [outcome for outcome in self.outcomes if outcome.mse is not None]


def group(configurations: Sequence[Configuration], seed: int, seeds: int, outcomes: Sequence[Outcome]) -> list[Group]:
    """Put outcomes, in the order of `trainings_of`, to their configurations."""
    return [
        Group(
            {key: value_text(value) for key, value in values.items()},
            params,
            study_seeds(seed, seeds),
            outcomes[number * seeds : (number + 1) * seeds],
        )
        for number, (values, params) in enumerate(configurations)
    ]


def value_text(value: Any) -> str:
    """Return a value of the grid as tables show it, and MLflow: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def result_columns(groups: Sequence[Group]) -> Columns:
    """Return a row a training: the grid's values, the seed, the measures; the latter empty where it diverged."""
    rows = []
    for each in groups:
        for seed, outcome in zip(each.seeds, each.outcomes, strict=True):
            diverged = outcome.mse is None
            measures = [None] * len(MEASURES) if diverged else [outcome.mse, *outcome.history[-1][1:]]
            rows.append([*each.values.values(), seed, *measures])
    return _columns([*groups[0].values, "seed", *MEASURES], rows)


def history_columns(groups: Sequence[Group]) -> Columns:
    """Return a row an epoch of each training, with what history.csv holds; of one that diverged, until then."""
    rows = [
        [*each.values.values(), seed, epoch, *measures]
        for each in groups
        for seed, outcome in zip(each.seeds, each.outcomes, strict=True)
        for epoch, measures in enumerate(outcome.history)
    ]
    return _columns([*groups[0].values, "seed", "epoch", *MEASURES], rows)


def summary_columns(groups: Sequence[Group]) -> Columns:
    """Return a row a configuration: how many trainings, how many of them diverged, and the spread of the others."""
    nothing = np.array([None] * len(SPREAD))
    rows = []
    for each in groups:
        numbers = np.concatenate([each.spread.get(measure, nothing) for measure in MEASURES]).tolist()
        rows.append([*each.values.values(), len(each.seeds), len(each.seeds) - len(each.results), *numbers])
    names = [f"{measure}.{number}" for measure in MEASURES for number in SPREAD]
    return _columns([*groups[0].values, "trainings", "diverged", *names], rows)


def read_outcomes(folder: Path) -> list[Outcome]:
    """Read the outcomes of a study from the tables that it wrote, in their order."""
    histories: dict[tuple[str, ...], list[list[float]]] = {}
    of_one = -len(MEASURES)
    with (folder / "histories.csv").open(encoding="utf-8", newline="") as file:
        for row in itertools.islice(csv.reader(file), 1, None):
            histories.setdefault(tuple(row[: of_one - 1]), []).append([float(number) for number in row[of_one:]])
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(itertools.islice(csv.reader(file), 1, None))
    return [
        Outcome(histories.get(tuple(row[:of_one]), []), float(row[of_one]) if row[of_one] else None) for row in rows
    ]


def training_errors(groups: Sequence[Group]) -> dict[str, Floats]:
    """Return the training error (trainings, epochs) of each configuration by its name."""
    return {each.name: each.histories[..., 0] for each in groups}


def first_runs(groups: Sequence[Group]) -> tuple[str, dict[str, list[float]]]:
    """Return what to call the run that the stage train would make of each configuration, and its errors."""
    return f"seed {groups[0].seeds[0]}", {each.name: [row[0] for row in each.outcomes[0].history] for each in groups}


def article_marks(groups: Sequence[Group]) -> dict[str, Sequence[float]]:
    """Return what the article reports, by the names of the configurations that are its experiment."""
    return {each.name: ARTICLE_MSE for each in groups if each.is_article}


def recoveries(groups: Sequence[Group]) -> dict[str, dict[str, Floats]]:
    """Return the spread of the two recoveries that are shares, by the configuration's name."""
    shares = ("normalized", "effective")
    return {each.name: {name: each.spread[name] for name in shares if each.spread} for each in groups}


def spread(values: Floats, seed: int) -> Floats:
    """Return median, quartiles, and the 90 % interval of the median by bootstrap: (n, k) -> (5, k)."""
    n, random = len(values), stream(seed, "bootstrap")
    rows = max(1, AT_ONCE // n)
    medians = np.concatenate(
        [
            np.median(values[random.integers(0, n, (min(rows, RESAMPLES - first), n))], axis=1)
            for first in range(0, RESAMPLES, rows)
        ]
    )
    return np.concatenate([np.percentile(values, [50, 25, 75], axis=0), np.percentile(medians, [5, 95], axis=0)])


def _columns(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> Columns:
    return {name: [row[number] for row in rows] for number, name in enumerate(names)}
