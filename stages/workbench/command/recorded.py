"""MLflow's runs, as a table of all runs needs them.

Those of an SQLite store are read from the file: importing MLflow alone would take longer than all the rest.
"""

import math
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import chdir, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.project import Project
from workbench.stage.params import PARAMS_FILE, parse_value
from workbench.tracking.uri import local_store, tracking_uri

AT_ONCE = 1000  # runs that MLflow is asked for
NOT_A_NUMBER = "CASE WHEN is_nan THEN NULL ELSE value END"  # MLflow keeps 0 for its value


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


def recorded_runs(project: Project, root: Path) -> list[Recorded]:
    """Return the runs of the experiment of params.yaml, the newest first; where no store answers, warn, return none."""
    with chdir(root):
        name, path = project.load_params(root / PARAMS_FILE).tracking.experiment, local_store(tracking_uri())
        if path and not path.exists():
            return []  # the first training makes it
        try:
            if path:
                return _of_project(project, _read(path, name))
        except sqlite3.Error:
            pass  # of another MLflow than ours: that one knows, or says what is wrong
        return _of_project(project, _ask(name))


def _of_project(project: Project, held: Iterable[tuple[Any, ...]]) -> list[Recorded]:
    """Return the runs of the project among those that MLflow holds, and count in a warning those that cannot be read.

    Anybody may have written them: what is in a store is data, of any type and size.
    """
    found, unreadable = [], 0
    for one in held:
        try:
            found.append(_recorded(project, *one))
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError):
            unreadable += 1
    if unreadable:
        print(
            f"warning: {unreadable} runs in MLflow are not as this project writes them, and left out", file=sys.stderr
        )
    return [one for one in found if one]


def _recorded(
    project: Project, run: str, status: str, start: Any, tags: Any, params: Any, metrics: Any
) -> Recorded | None:
    """Return a run from what MLflow holds of it: texts and numbers by name; None where it is of no experiment."""
    if project.tracked.tag("key") not in tags:
        return None
    values = {key: _value(params[key]) for key in project.parameters if key in params}
    project.tracked.run_name(values, None)  # or it cannot be listed
    measures = {name: _number(metrics[metric]) for name, metric in project.measures.items() if metric in metrics}
    about = (
        str(tags.get(name) or "") for name in ("mlflow.source.name", "dvc.exp_name", project.tracked.tag("evaluation"))
    )
    started = _number(start or 0) / 1000
    return Recorded(str(run), str(status), started if math.isfinite(started) else 0.0, values, measures, *about)


def _value(text: Any) -> Any:
    """Return what a text says, itself where that is no value of a parameter."""
    if not isinstance(text, str):
        raise TypeError(f"{type(text).__name__} is no text")
    value = parse_value(text)
    nested = any(isinstance(one, list | dict) for one in (value if isinstance(value, list) else [value]))
    return text if nested else value


def _number(value: Any) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{type(value).__name__} is no number")
    return float(value)


def _read(path: Path, experiment: str) -> Iterator[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as store:
        store.text_factory = lambda text: text.decode(errors="replace")
        runs = store.execute(
            "SELECT run_uuid, status, start_time FROM runs JOIN experiments USING (experiment_id) WHERE "
            "experiments.name = ? AND experiments.lifecycle_stage = 'active' AND runs.lifecycle_stage = 'active' "
            "ORDER BY start_time DESC",
            [experiment],
        ).fetchall()
        if not runs and _deleted(store, experiment):
            raise sqlite3.DataError("the experiment was deleted")  # MLflow's half says so, and what mends it
        held: dict[str, dict[str, dict[str, Any]]] = {}
        for table, value in {"tags": "value", "params": "value", "latest_metrics": NOT_A_NUMBER}.items():
            for run, key, found in store.execute(f"SELECT run_uuid, key, {value} FROM {table}"):  # noqa: S608 - constants
                held.setdefault(run, {}).setdefault(table, {})[key] = math.nan if found is None else found
    for run, status, start in runs:
        tables = (held.get(run, {}).get(table, {}) for table in ("tags", "params", "latest_metrics"))
        yield run, status, start, *tables


def _deleted(store: sqlite3.Connection, experiment: str) -> bool:
    question = "SELECT 1 FROM experiments WHERE name = ? AND lifecycle_stage = 'deleted'"
    return bool(store.execute(question, [experiment]).fetchall())


def _ask(experiment: str) -> Iterator[tuple[Any, ...]]:
    """Yield the runs of an experiment as MLflow itself gives them; where no store answers, warn and yield none."""
    from workbench.tracking.secrets import reason
    from workbench.tracking.store import open_store

    try:
        client, experiment_id = open_store(experiment)
        page = client.search_runs([experiment_id], max_results=AT_ONCE)
        runs = list(page)
        while page.token:
            page = client.search_runs([experiment_id], max_results=AT_ONCE, page_token=page.token)
            runs += page
    except Exception as error:  # whatever a store does, DVC's half of the table is there
        print(f"warning: MLflow cannot be reached, its runs are missing here ({reason(error)})", file=sys.stderr)
        return
    for run in runs:
        yield run.info.run_id, run.info.status, run.info.start_time, run.data.tags, run.data.params, run.data.metrics
