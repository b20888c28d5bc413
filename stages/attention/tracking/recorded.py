"""MLflow's runs, as the table of all trainings needs them."""

import sys
from contextlib import chdir
from pathlib import Path
from typing import Any

from mlflow.entities import Run as MlflowRun

from attention.listing import MEASURES, Recorded
from attention.params import load_params
from attention.tracking.run import EVALUATION, parse
from attention.tracking.store import open_store, tracking_uri, without_secrets

AT_ONCE = 1000


def recorded_runs(root: Path) -> list[Recorded]:
    """Return the runs of the experiment of params.yaml, the newest first; where no store answers, warn, return none."""
    with chdir(root):
        uri = tracking_uri()
        if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
            return []  # the first training makes it
        name = load_params().tracking.experiment
        try:
            client, experiment = open_store(name)
            page = client.search_runs([experiment], max_results=AT_ONCE)
            found = list(page)
            while page.token:
                page = client.search_runs([experiment], max_results=AT_ONCE, page_token=page.token)
                found += page
        except Exception as error:  # whatever a store does, DVC's half of the table is there
            reason = without_secrets(f"{type(error).__name__}: {error}".partition("\n")[0])[:200]
            print(f"warning: MLflow cannot be reached, its runs are missing here ({reason})", file=sys.stderr)
            return []
    return [_recorded(run) for run in found if "model.attention" in run.data.params and "seed" in run.data.params]


def _recorded(run: MlflowRun) -> Recorded:
    tags, metrics = run.data.tags, run.data.metrics
    params: dict[str, Any] = {key: parse(text) for key, text in run.data.params.items()}
    names = {"mse": "test/mse", **{name: f"test/recovery.{name}" for name in MEASURES[1:]}}
    return Recorded(
        run=run.info.run_id,
        status=run.info.status,
        source=tags.get("mlflow.source.name", ""),
        experiment=tags.get("dvc.exp_name", ""),
        evaluation=tags.get(EVALUATION, ""),
        started=run.info.start_time / 1000,
        params=params,
        measures={name: metrics[metric] for name, metric in names.items() if metric in metrics},
    )
