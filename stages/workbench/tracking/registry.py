"""MLflow's registry: each logged model is a version of one registered model."""

import json
from contextlib import suppress

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from workbench.tracking.local import store_lock


def register_model(client: MlflowClient, name: str, about: str, model_id: str, run_id: str, run_name: str) -> None:
    """Make a logged model the newest version of a registered one; errors of the registry are ignored."""
    with suppress(MlflowException), store_lock():
        version = _new_version(client, name, about, f"models:/{model_id}", run_id, run_name)
        told = json.dumps([{"name": name, "version": int(version)}])
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: told})  # the link from the run's page


def _new_version(client: MlflowClient, name: str, about: str, source: str, run_id: str, run_name: str) -> str:
    try:
        return str(client.create_model_version(name, source, run_id, description=run_name).version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    client.create_registered_model(name, description=about)
    return str(client.create_model_version(name, source, run_id, description=run_name).version)
