"""How MLflow opens a logged network to serve it; MLflow's own way knows only networks of one input.

Every logged model carries a copy of this file, so it needs nothing of the project; it executes nothing out of the model
but the graph.
"""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

NAMES = ("inputs", "contexts", "values", "queries", "keys")  # in the order of the network's arguments


class ServedNetwork:
    """A network that takes arrays by the names of its signature."""

    def __init__(self, network: Any) -> None:
        self._network = network

    def predict(self, data: dict[str, NDArray[Any]], params: object = None) -> NDArray[np.float32]:  # noqa: ARG002
        """Return y (n,) for `inputs` (n, positions) and `contexts` (n,), or for `values`, `queries` and `keys`."""
        import torch

        with torch.no_grad():
            given = (torch.from_numpy(data[name]) for name in NAMES if name in data)
            y = self._network(*given)
        return np.asarray(y.numpy(), np.float32)


def _load_pyfunc(data: str) -> ServedNetwork:
    import torch

    return ServedNetwork(torch.export.load(Path(data) / "model.pt2").module())
