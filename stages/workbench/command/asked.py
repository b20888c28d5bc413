"""The runs of a store that MLflow has to be asked for."""

import sys

from workbench.command.recorded import Recorded, recorded
from workbench.tracking.store import open_store, without_secrets

AT_ONCE = 1000


def ask_for_runs(experiment: str) -> list[Recorded]:
    """Return the runs of an experiment, the newest first; where no store answers, warn and return none."""
    try:
        client, experiment_id = open_store(experiment)
        page = client.search_runs([experiment_id], max_results=AT_ONCE)
        runs = list(page)
        while page.token:
            page = client.search_runs([experiment_id], max_results=AT_ONCE, page_token=page.token)
            runs += page
    except Exception as error:  # whatever a store does, DVC's half of the table is there
        reason = without_secrets(f"{type(error).__name__}: {error}".partition("\n")[0])[:200]
        print(f"warning: MLflow cannot be reached, its runs are missing here ({reason})", file=sys.stderr)
        return []
    found = (
        recorded(
            run.info.run_id, run.info.status, run.info.start_time, run.data.tags, run.data.params, run.data.metrics
        )
        for run in runs
    )
    return [one for one in found if one]
