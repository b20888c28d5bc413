"""A study in MLflow: a parent run with its sentences, tables and pictures, and below it a run a configuration.

Studies have an experiment of their own, beside that of the trainings: their runs hold medians. In it MLflow compares
configurations: parallel coordinates, and the median curves in one chart. Of the parameters a configuration shows those
of the grid and those that all have in common: what *Compare* opens with, the first that differ, was varied.
"""

import math
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.entities import Metric, Param

from attention.params import load_study
from attention.params.schema import Params
from attention.studies.best import compare
from attention.studies.comparison import Comparison
from attention.studies.groups import MEASURES, Group, group, value_text
from attention.studies.report import description
from attention.studies.statistics import SPREAD
from attention.studies.tables import for_people, read_outcomes, summary_columns
from attention.tracking.experiment import TRACKED
from attention.tracking.stages import TEST_METRICS
from attention.training.loop import determining
from workbench.stage.outputs import md5
from workbench.stage.process import this_process
from workbench.tracking.pages import COLOUR
from workbench.tracking.recorder import PROCESS, REQUEST_METRICS, Recorder, soft
from workbench.tracking.run import ending
from workbench.tracking.store import open_store

OUT = Path("data/study")
FILES = (
    *("results.csv", "histories.csv", "summary.csv", "best.csv", "comparison.csv"),
    *("errors.png", "recovery.png", "curves.png", "report.html"),
)
ABOUT = """Studies, made by the stage `study`: many trainings of each configuration of a grid.

- A run called `study`, or like its DVC experiment, says what was found and has tables and pictures; below it is a run a
  configuration, with medians over the seeds.
- `test/…` is the median on new data at the end, `.low` and `.high` its 90 % interval, `.q1` and `.q3` the quartiles of
  the trainings; `trainings/found` is the share of those that found the truth; `train/…` the median after every epoch.
- To compare configurations: open a study, select the runs below it and press *Compare*.
"""
STUDIES = replace(TRACKED, about=ABOUT)
RESULTS = TRACKED.tag("study")  # a tag: the digest of results.csv
CURVE_POINTS = REQUEST_METRICS // len(MEASURES) - 10  # of a long training, as many as go into one request


class StudyRun(Recorder):
    """The parent run of a study, and its children."""

    @soft
    def start(self, params: Params) -> None:
        """Create the parent run."""
        self.create(os.environ.get("DVC_EXP_NAME") or "study", {})
        grid = {f"grid.{key}": value_text(values) for key, values in params.study.grid.items()}
        self.log_params({"study.seeds": params.study.seeds, "seed": params.seed, **grid})

    @soft
    def show(self, groups: Sequence[Group], comparisons: Sequence[Comparison]) -> None:
        """Show what was found, the files, and each configuration in a run of its own."""
        self._client.set_tag(self._id, RESULTS, md5(OUT / "results.csv"))
        self._client.set_tag(self._id, "mlflow.note.content", description(self._id, groups, comparisons))
        self._client.log_batch(self._id, metrics=_logged(_totals(groups)))
        self.log_files(OUT, *FILES)
        self.log_table(for_people(summary_columns(groups)), "summary.json")
        every = [_parameters(each) for each in groups]
        shared = {key: value for key, value in every[0].items() if all(one.get(key) == value for one in every)}
        for each in groups:
            self._show_configuration(each, {**each.values, **shared})

    def finish(self) -> None:
        """Mark the run as finished."""
        self.mark_finished()

    def abort(self, error: BaseException) -> None:
        """Mark the run as killed or failed, and say by what."""
        self.mark_aborted("study", error)

    def _show_configuration(self, each: Group, shown: Mapping[str, Any]) -> None:
        tags = {"mlflow.parentRunId": self._id, TRACKED.tag(PROCESS): this_process(), COLOUR: self.next_colour()}
        run = self._client.create_run(self._experiment_id, tags=tags, run_name=each.name)
        params = {"trainings": len(each.seeds), **shown}
        self._client.log_batch(
            run.info.run_id,
            metrics=_logged(_metrics(each)),
            params=[Param(key, value_text(value)) for key, value in params.items()],
        )
        self._client.set_terminated(run.info.run_id, "FINISHED")


def publish_study() -> None:
    """Show the study that is in data/study, unless it is shown already; the store is one that answers."""
    params, configurations = load_study()
    client, experiment = open_store(_experiment(params))
    known = f"tags.`{RESULTS}` = '{md5(OUT / 'results.csv')}' and attributes.status = 'FINISHED'"
    if client.search_runs([experiment], known, max_results=1):
        return
    groups = group(configurations, params.seed, params.study.seeds, read_outcomes(OUT))
    with record_study(params) as run:
        run.show(groups, compare(groups, params.study)[1])


@contextmanager
def record_study(params: Params) -> Iterator[StudyRun]:
    """Record a study in a run of its own, which ends as the block does."""
    run = StudyRun(STUDIES, params.tracking, _experiment(params))
    run.mark_dead_runs()
    with ending(run):
        run.start(params)
        yield run


def _experiment(params: Params) -> str:
    return f"{params.tracking.experiment}-study"


def _parameters(each: Group) -> dict[str, Any]:
    """Return what the trainings of a configuration have in common."""
    data = each.params.data
    of_training = determining(each.params, each.seeds[0], data.problem(each.seeds[0]))
    del of_training["seed"]
    said = {"task": data.task, "n_train": data.n_train, "n_test": data.n_test, **data.sizes}
    return of_training | {f"data.{name}": value for name, value in said.items() if value is not None}


def _totals(groups: Sequence[Group]) -> Iterator[tuple[str, int, float]]:
    """Yield name, step and value of what a whole study has."""
    trainings = sum(len(each.seeds) for each in groups)
    yield "trainings/diverged", 0, sum(each.diverged for each in groups)
    yield "trainings/found", 0, sum(each.found for each in groups) / trainings
    yield f"{TEST_METRICS[MEASURES[0]]}.lowest", 0, min(float(each.spread[MEASURES[0]][0]) for each in groups)


def _metrics(each: Group) -> Iterator[tuple[str, int, float]]:
    """Yield name, step and value: the medians at the end with their spread, and the median curves."""
    yield "trainings/diverged", 0, each.diverged
    yield "trainings/found", 0, each.found / len(each.seeds)
    for measure, numbers in each.spread.items():
        for name, number in zip(SPREAD, numbers, strict=True):
            yield TEST_METRICS[measure] if name == "median" else f"{TEST_METRICS[measure]}.{name}", 0, float(number)
    if not len(each.histories):
        return
    medians = np.median(each.histories, axis=0)  # (epochs, measures)
    for epoch in np.unique(np.linspace(0, len(medians) - 1, CURVE_POINTS).astype(int)).tolist():
        for measure, number in zip(MEASURES, medians[epoch], strict=True):
            yield f"train/{measure}", epoch, float(number)


def _logged(values: Iterable[tuple[str, int, float]]) -> list[Metric]:
    """Return what MLflow takes: finite numbers."""
    now = int(time.time() * 1000)
    return [Metric(name, value, now, step) for name, step, value in values if math.isfinite(value)]
