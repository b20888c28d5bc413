"""What can be wrong with the MLflow store."""

from collections.abc import Iterator
from contextlib import chdir
from pathlib import Path
from urllib.parse import unquote, urlparse

from workbench.command.doctor import Finding
from workbench.tracking.uri import tracking_uri
from attention.params import load_params
from workbench.tracking.recorder import is_dead
from workbench.tracking.store import open_store, without_secrets


def examine_store(root: Path) -> Iterator[Finding]:
    """Look at whether the store opens, where its artifacts are, and what runs were left."""
    with chdir(root):
        uri = tracking_uri()
        if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).exists():
            yield Finding("MLflow store", True, "none yet; the first training makes it")
            return
        try:
            client, experiment_id = open_store(load_params().tracking.experiment)
        except Exception as error:  # whatever keeps it from opening is what we were asked to find
            reason = without_secrets(str(error).partition("\n")[0])[:120]
            upgrade = "out-of-date" in reason or "schema" in reason
            mend = (
                f"`mlflow db upgrade {without_secrets(uri)}`"
                if upgrade
                else "start the server, or unset MLFLOW_TRACKING_URI"
            )
            yield Finding("MLflow store", False, f"{without_secrets(uri)}: {reason}", mend)
            return
    yield Finding("MLflow store", True, f"{without_secrets(uri)} opens")

    place = client.get_experiment(experiment_id).artifact_location
    folder = Path(unquote(urlparse(place).path))
    lost = (
        place.startswith("file:") and not folder.exists() and bool(client.search_runs([experiment_id], max_results=1))
    )
    mend = (
        "move the folder back; or move mlflow.db away, and `attention publish --all` makes a new store from the files"
    )
    yield Finding("artifacts", not lost, f"{place} {'is gone: was the project moved?' if lost else 'is there'}", mend)

    left = [run for run in client.search_runs([experiment_id], "attributes.status = 'RUNNING'") if is_dead(run)]
    seen = f"{len(left)} runs are RUNNING without a process" if left else "no run was left RUNNING"
    yield Finding("runs", not left, seen, "the next training marks them KILLED: `dvc repro -f train`")
