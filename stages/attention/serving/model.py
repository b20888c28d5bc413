"""The network as MLflow's models are: a pt2 graph, opened by `mlflow.pytorch` and `mlflow.pyfunc`; no pickled code.

torch needs seconds to trace a graph, and the graph depends on the network's definition and sizes alone. So it is traced
once with zeros for weights and kept; each training then only puts its weights into a copy.
"""

import errno
import hashlib
import importlib.metadata
import io
import json
import os
import shutil
import uuid
import warnings
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from mlflow.models import Model, ModelSignature
from mlflow.types import Schema, TensorSpec
from numpy.typing import NDArray

from attention.tasks.problem import draw_examples
from attention.weights import Weights
from workbench.cache import cache_folder, keep, kept
from workbench.stage.outputs import digest_of_code

REGISTERED = "attention-network"  # what the registry calls it, as dvc.yaml does among its artifacts
ABOUT = """Every training's network, a version each; the best one is yours to name (*Aliases*).

Inputs: `inputs` (n, positions) float32 and `contexts` (n,) int64; output: (n,) float32. Of another task than lookup
`values`, `queries` and `keys`, as its page says; of classes the output are logits (n, classes). To serve one:
`MLFLOW_TRACKING_URI=sqlite:///mlflow.db mlflow models serve --env-manager local -m models:/attention-network/1`
"""
GRAPH = Path("data/model.pt2")
SERVED = Path(__file__).with_name("served_network.py")
ROOM = 1 << 24  # bytes, many times what a graph takes


def write_network(weights: Weights, folder: Path) -> None:
    """Write the network to a new folder as an MLflow model, whose inputs ABOUT names."""
    zeros = weights.with_arrays({name: np.zeros_like(array) for name, array in weights.arrays.items()})
    name, place = _name(zeros), cache_folder()
    if template := kept(name, place):
        with zipfile.ZipFile(io.BytesIO(template)) as files:
            files.extractall(folder)
    else:
        _trace(zeros, folder)
        keep(name, place, _zipped(folder))
    _fill(folder / GRAPH, weights)
    about = Model.load(str(folder))
    about.model_uuid = uuid.uuid4().hex
    about.utc_time_created = datetime.now(UTC).replace(tzinfo=None).isoformat(sep=" ")
    about.save(str(folder / "MLmodel"))


def _name(zeros: Weights) -> str:
    """Return the name under which the model whose weights are all zero is kept."""
    determined_by = [
        *(importlib.metadata.version(name) for name in ("torch", "mlflow")),
        *(digest_of_code(Path(__file__).parents[1] / part) for part in ("functions", "network.py", "serving", "tasks")),
        repr((zeros.function, zeros.n_contexts, zeros.seq_len, sorted(zeros.options.items()), zeros.problem)),
    ]
    return hashlib.sha256("\0".join(determined_by).encode()).hexdigest()[:32] + ".network"


def _zipped(folder: Path) -> bytes:
    """Return the files of a folder as one."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as files:
        for path in folder.rglob("*"):
            files.write(path, path.relative_to(folder))
    return data.getvalue()


def _trace(weights: Weights, folder: Path) -> None:
    if shutil.disk_usage(folder.parent).free < ROOM:  # torch's own writer ends the whole process when the disk is full
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder))
    example = _example(weights)
    inputs = [TensorSpec(array.dtype, (-1, *array.shape[1:]), name) for name, array in example.items()]
    output = TensorSpec(np.dtype(np.float32), (-1, weights.classes) if weights.classes else (-1,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MLflow and torch warn of each other's deprecations, and MLflow of itself
        import mlflow.pyfunc
        import mlflow.pytorch
        import torch

        from attention.network import AttentionNetwork

        mlflow.pytorch.save_model(
            AttentionNetwork.from_weights(weights).eval(),
            str(folder),
            input_example=tuple(map(torch.from_numpy, example.values())),
            signature=ModelSignature(Schema([*inputs]), Schema([output])),
            pip_requirements=[f"mlflow=={mlflow.__version__}", f"torch=={torch.__version__.partition('+')[0]}"],
        )
    (folder / "code").mkdir()
    shutil.copy(SERVED, folder / "code")
    about = Model.load(str(folder))
    mlflow.pyfunc.add_to_model(
        about, SERVED.stem, str(GRAPH.parent), "code", conda_env="conda.yaml", python_env="python_env.yaml"
    )
    about.save(str(folder / "MLmodel"))


def _example(weights: Weights) -> dict[str, NDArray[Any]]:
    """Return two examples, as torch.export would freeze a batch of one, by the names of the inputs."""
    if weights.problem is None:
        return {"inputs": np.zeros((2, weights.seq_len), np.float32), "contexts": np.zeros(2, np.int64)}
    (two,) = draw_examples(weights.problem, 0, "train", 2)
    keys = {} if two.keys.ndim == 1 else {"keys": two.keys}
    return {"values": two.values, "queries": two.queries, **keys}


def _fill(graph: Path, weights: Weights) -> None:
    """Put the weights into a pt2 archive: into the files that its own table names for them."""
    with zipfile.ZipFile(io.BytesIO(graph.read_bytes())) as old, zipfile.ZipFile(graph, "w", zipfile.ZIP_STORED) as new:
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
