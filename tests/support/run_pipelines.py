"""Run stages for several settings of params.yaml in one process, and print the digest of every output.

    python <path of>/run_pipelines.py '{"a name": {"params": {"train.epochs": 2}, "stages": ["generate"]}, ...}'

In the root of a copy of the project, whose params.yaml and data/ it writes over. What is printed says also which
instructions the libraries of this process take, so that a setting which changed nothing cannot pass for a proof.
"""

import contextlib
import hashlib
import io
import json
import os
import platform
import random
import runpy
import shutil
import sys
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML


def run_pipeline(stages: list[str]) -> dict[str, str]:
    """Run stages on nothing, and return the digest of each file that they write, by its name."""
    shutil.rmtree("data", ignore_errors=True)
    with contextlib.redirect_stdout(io.StringIO()):
        for stage in stages:
            runpy.run_path(f"stages/{stage}.py", run_name="__main__")
    files = (path for path in sorted(Path("data").rglob("*")) if path.is_file())
    return {path.as_posix(): _digest(path.read_bytes()) for path in files}


def witness() -> dict[str, str]:
    """Return what the bytes of a result could depend on, each as this process has it."""
    import math

    import numpy as np
    import torch
    from numpy._core._multiarray_umath import __cpu_features__  # type: ignore[import-not-found]

    numbers = random.Random(1)  # noqa: S311
    square = np.random.default_rng(0).random((33, 33))
    return {
        "instructions of torch": torch.backends.cpu.get_cpu_capability(),
        "threads of torch": str(torch.get_num_threads()),
        "instructions of NumPy": " ".join(name for name, on in __cpu_features__.items() if on),
        "a product by BLAS": _digest((square @ square).tobytes()),
        "compiled for": os.environ.get("COMPILER_CPU", "its own"),
        "sines by the C library": _digest(repr([math.sin(numbers.uniform(-50, 50)) for _ in range(100_000)]).encode()),
        "architecture": platform.machine(),
    }


def _digest(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _set_params(text: str, values: dict[str, Any]) -> None:
    tree = YAML(typ="safe", pure=True).load(text)
    for key, value in values.items():
        section, _, leaf = key.rpartition(".")
        (tree[section] if section else tree)[leaf] = value
    with Path("params.yaml").open("w") as file:
        YAML(typ="safe", pure=True).dump(tree, file)


if __name__ == "__main__":
    sys.path[0] = "stages"
    os.environ["MLFLOW_TRACKING_URI"] = "http://127.0.0.1:9"  # nobody answers: what MLflow shows is not the matter here
    text = Path("params.yaml").read_text()
    results = {}
    for name, wanted in json.loads(sys.argv[1]).items():
        _set_params(text, wanted["params"])
        results[name] = run_pipeline(wanted["stages"])
    print(json.dumps({"witness": witness(), "results": results}))
