"""MLflow's runs, as the table of all trainings needs them.

Those of an SQLite store are read from the file: importing MLflow alone would take longer than all the rest.
"""

import sqlite3
from collections.abc import Mapping
from contextlib import chdir, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.tracking.uri import local_store, tracking_uri
from attention.views.naming import parse_value
from attention.params import load_params

MEASURES = {
    "mse": "test/mse",
    **{name: f"test/recovery.{name}" for name in ("normalized", "effective", "accuracy")},
}


@dataclass(frozen=True)
class Recorded:
    """What MLflow knows of a run."""

    run: str
    status: str
    started: float
    params: Mapping[str, Any]
    measures: Mapping[str, float]
    source: str  # the script that made it
    experiment: str  # DVC's; empty where it was none
    evaluation: str  # the digest of metrics.json


def recorded_runs(root: Path) -> list[Recorded]:
    """Return the runs of the experiment of params.yaml, the newest first; where no store answers, warn, return none."""
    with chdir(root):
        name, path = load_params().tracking.experiment, local_store(tracking_uri())
        if path and not path.exists():
            return []  # the first training makes it
        try:
            if path:
                return _read(path, name)
        except sqlite3.Error:
            pass  # of another MLflow than ours: that one knows, or says what is wrong
        from workbench.command.asked import ask_for_runs

        return ask_for_runs(name)


def recorded(run: str, status: str, start: int, tags: Any, params: Any, metrics: Any) -> Recorded | None:
    """Return a run from what MLflow holds of it: texts and numbers by name; None where it is no training's."""
    values = {key: parse_value(text) for key, text in params.items()}
    if not {"model.attention", "seed"} <= values.keys():
        return None
    measures = {name: metrics[metric] for name, metric in MEASURES.items() if metric in metrics}
    about = (tags.get(name, "") for name in ("mlflow.source.name", "dvc.exp_name", "attention.evaluation"))
    return Recorded(run, status, start / 1000, values, measures, *about)


def _read(path: Path, experiment: str) -> list[Recorded]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as store:
        runs = store.execute(
            "SELECT run_uuid, status, start_time FROM runs JOIN experiments USING (experiment_id) "
            "WHERE experiments.name = ? AND runs.lifecycle_stage = 'active' ORDER BY start_time DESC",
            [experiment],
        ).fetchall()
        held: dict[str, dict[str, dict[str, Any]]] = {}
        for table in ("tags", "params", "latest_metrics"):
            for run, key, value in store.execute(f"SELECT run_uuid, key, value FROM {table}"):  # noqa: S608 - constants
                held.setdefault(run, {}).setdefault(table, {})[key] = value
    found = []
    for run, status, start in runs:
        tables = (held.get(run, {}).get(table, {}) for table in ("tags", "params", "latest_metrics"))
        found.append(recorded(run, status, start, *tables))
    return [one for one in found if one]
