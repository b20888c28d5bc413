"""The network as MLflow's models are: a pt2 graph, opened by `mlflow.pytorch` and `mlflow.pyfunc`; no pickled code.

torch needs seconds to trace a graph, and the graph depends on the network's definition and sizes alone. So it is traced
once with zeros for weights and kept; each training then only puts its weights into a copy.
"""

import errno
import hashlib
import importlib.metadata
import json
import os
import shutil
import uuid
import warnings
import zipfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from filelock import FileLock
from mlflow.exceptions import MlflowException
from mlflow.models import Model, ModelSignature
from mlflow.tracking import MlflowClient
from mlflow.types import Schema, TensorSpec
from mlflow.utils.mlflow_tags import MLFLOW_MODEL_VERSIONS

from workbench.cache import cache_folder
from workbench.tracking.store import store_lock
from attention.weights import Weights

REGISTERED = "attention-network"  # what the registry calls it, as dvc.yaml does among its artifacts
GRAPH = Path("data/model.pt2")
SERVED = Path(__file__).with_name("served_network.py")
ABOUT = """Every training's network, a version each; the best one is yours to name (*Aliases*).

Inputs: `inputs` (n, positions) float32 and `contexts` (n,) int64; output: (n,) float32. To serve one:
`MLFLOW_TRACKING_URI=sqlite:///mlflow.db mlflow models serve --env-manager local -m models:/attention-network/1`
"""
ROOM = 1 << 24  # bytes, many times what a graph takes


def write_network(weights: Weights, folder: Path) -> None:
    """Write the network as an MLflow model of the inputs `inputs` (n, seq_len) and `contexts` (n,) to a new folder."""
    template = _template(weights)
    shutil.copytree(template, folder)
    _fill(template / GRAPH, folder / GRAPH, weights)
    about = Model.load(str(folder))
    about.model_uuid = uuid.uuid4().hex
    about.utc_time_created = datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ")
    about.save(str(folder / "MLmodel"))


def register_network(client: MlflowClient, model_id: str, run_id: str, run_name: str) -> None:
    """Make a logged network the newest version of the registered model; a registry that refuses is left in peace."""
    with suppress(MlflowException), store_lock():
        version = _new_version(client, f"models:/{model_id}", run_id, run_name)
        told = json.dumps([{"name": REGISTERED, "version": int(version)}])
        client.set_logged_model_tags(model_id, {MLFLOW_MODEL_VERSIONS: told})  # the link from the run's page


def _new_version(client: MlflowClient, source: str, run_id: str, about: str) -> str:
    try:
        return str(client.create_model_version(REGISTERED, source, run_id, description=about).version)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    client.create_registered_model(REGISTERED, description=ABOUT)
    return str(client.create_model_version(REGISTERED, source, run_id, description=about).version)


def _template(weights: Weights) -> Path:
    """Return the folder of the model whose weights are all zero, traced now if it was not before."""
    zeros = weights.with_arrays({name: np.zeros_like(array) for name, array in weights.arrays.items()})
    determined_by = [
        *(importlib.metadata.version(package) for package in ("torch", "mlflow")),
        *((Path(__file__).parents[1] / f"{module}.py").read_text() for module in ("functions", "model", "registry")),
        SERVED.read_text(),
        repr((zeros.function, zeros.n_contexts, zeros.seq_len, sorted(zeros.options.items()))),
    ]
    name = hashlib.sha256("\0".join(determined_by).encode()).hexdigest()[:16]
    folder = cache_folder() / f"network-{name}"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            beside = folder.with_suffix(".new")
            shutil.rmtree(beside, ignore_errors=True)
            _trace(zeros, beside)
            beside.replace(folder)
    return folder


def _trace(weights: Weights, folder: Path) -> None:
    if shutil.disk_usage(folder.parent).free < ROOM:  # torch's own writer ends the whole process when the disk is full
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    import mlflow.pyfunc
    import mlflow.pytorch
    import torch

    from attention.network import AttentionNetwork

    inputs = TensorSpec(np.dtype(np.float32), (-1, weights.seq_len), "inputs")
    contexts = TensorSpec(np.dtype(np.int64), (-1,), "contexts")
    output = TensorSpec(np.dtype(np.float32), (-1,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow and torch warn of each other's deprecations
        mlflow.pytorch.save_model(
            AttentionNetwork.from_weights(weights).eval(),
            str(folder),
            # two rows: torch.export would freeze a batch of one
            input_example=(torch.zeros(2, weights.seq_len), torch.zeros(2, dtype=torch.int64)),
            signature=ModelSignature(Schema([inputs, contexts]), Schema([output])),
            pip_requirements=[f"mlflow=={mlflow.__version__}", f"torch=={torch.__version__.partition('+')[0]}"],
        )
    (folder / "code").mkdir()
    shutil.copy(SERVED, folder / "code")
    about = Model.load(str(folder))
    mlflow.pyfunc.add_to_model(
        about, SERVED.stem, str(GRAPH.parent), "code", conda_env="conda.yaml", python_env="python_env.yaml"
    )
    about.save(str(folder / "MLmodel"))


def _fill(template: Path, graph: Path, weights: Weights) -> None:
    """Copy a pt2 archive, with the weights put into the files that its own table names for them."""
    with zipfile.ZipFile(template) as old, zipfile.ZipFile(graph, "w", zipfile.ZIP_STORED) as new:
        (table,) = (name for name in old.namelist() if name.endswith("weights/model_weights_config.json"))
        places = {
            f"{table.rpartition('/')[0]}/{entry['path_name']}": name
            for name, entry in json.loads(old.read(table))["config"].items()
        }
        if sorted(places.values()) != sorted(weights.arrays):
            raise ValueError(f"a pt2 archive with {sorted(places.values())} for {sorted(weights.arrays)}")
        for entry in old.infolist():
            name = places.get(entry.filename)
            new.writestr(entry, weights.arrays[name].tobytes() if name else old.read(entry))
