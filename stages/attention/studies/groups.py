"""The trainings of a study put to their configurations.

A training that diverged has an infinite error and recovers nothing: no median gets better by trainings that fail.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from attention.measures.columns import HISTORY_COLUMNS
from attention.params.grid import Configuration
from attention.params.schema import Params
from attention.studies.statistics import Floats, spread
from attention.studies.trainings import Outcome, study_seeds

MEASURES = HISTORY_COLUMNS[1:]  # at the end of a training; the first one is the error, of which less is better
EFFECTIVE = MEASURES.index("effective")
# The article's own errors after each epoch, and of what training it reports them.
ARTICLE_MSE = (0.0530, 0.0029, 0.0000126, 0.0000125)
ARTICLE: Mapping[str, Mapping[str, Any]] = {
    "data": {"n_train": 10_000, "seq_len": 8, "n_contexts": 5},
    "model": {"attention": "embedding"},
    "train": {"batch_size": 1, "learning_rate": 0.001, "shuffle": False},
}


@dataclass(frozen=True)
class Group:
    """The trainings of one configuration, seed by seed."""

    values: Mapping[str, Any]  # from each key of the grid to its value here
    params: Params
    seeds: Sequence[int]
    outcomes: Sequence[Outcome]

    @property
    def texts(self) -> dict[str, str]:
        """The grid's values as tables show them."""
        return {key: value_text(value) for key, value in self.values.items()}

    @property
    def name(self) -> str:
        """The values, for people."""
        return name_of(self.texts) or "every seed"

    @cached_property
    def results(self) -> Floats:
        """The measures (trainings, measures) at the end: the error is that on test examples."""
        nothing = [math.inf, *[0.0] * (len(MEASURES) - 1)]
        rows = [nothing if one.mse is None else [one.mse, *one.history[-1][1:]] for one in self.outcomes]
        return np.array(rows, dtype=np.float64).reshape(-1, len(MEASURES))

    @cached_property
    def spread(self) -> dict[str, Floats]:
        """The numbers of SPREAD for each measure."""
        return dict(zip(MEASURES, spread(self.results).T, strict=True))

    @property
    def found(self) -> int:
        """How many trainings found the truth."""
        return sum(one.found for one in self.outcomes)

    @property
    def diverged(self) -> int:
        """How many trainings diverged."""
        return sum(one.mse is None for one in self.outcomes)

    @cached_property
    def histories(self) -> Floats:
        """The measures (trainings, epochs, measures) of those that did not: the error is that while training."""
        rows = [one.history for one in self.outcomes if one.mse is not None]
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
    def error(self) -> str:
        """What the error is called."""
        return "cross-entropy" if self.params.data.problem(0).classes else "mean squared error"

    def part(self, which: slice) -> "Group":
        """Return the trainings of some of the seeds."""
        return replace(self, seeds=self.seeds[which], outcomes=self.outcomes[which])


def group(configurations: Sequence[Configuration], seed: int, seeds: int, outcomes: Sequence[Outcome]) -> list[Group]:
    """Put outcomes, in the order of `trainings_of`, to their configurations."""
    return [
        Group(values, params, study_seeds(seed, seeds), outcomes[number * seeds : (number + 1) * seeds])
        for number, (values, params) in enumerate(configurations)
    ]


def value_text(value: Any) -> str:
    """Return a value of the grid as tables show it, and MLflow: a text as it is, all else as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def name_of(texts: Mapping[str, str]) -> str:
    """Return values of the grid for people: a function says itself what it is."""
    return ", ".join(v if key == "model.attention" else f"{key.rpartition('.')[2]} {v}" for key, v in texts.items())


def error_of(groups: Sequence[Group]) -> str:
    """Return what the error of configurations is called, of several tasks perhaps."""
    names = sorted({each.error for each in groups})
    return names[0] if len(names) == 1 else "error, of classes cross-entropy"
