"""The engine that defines the training: the article's loop in plain torch."""

from collections.abc import Iterator

import torch

from attention.inference.definitions import check
from attention.network import AttentionNetwork
from attention.params.schema import TrainParams
from attention.tasks.problem import Examples
from attention.weights import Weights


class TorchEngine:
    """`zero_grad`, `backward`, `step`, once a batch, by autograd: works for every function of the registry."""

    def __init__(self, weights: Weights, params: TrainParams, seed: int) -> None:
        check(weights)
        torch.set_num_threads(1)  # the tensors are tiny, and a sum split over threads depends on their number
        self._initial = weights
        self._network = AttentionNetwork.from_weights(weights, seed=seed)
        self._network.train()
        self._optimizer = torch.optim.Adam(self._network.parameters(), lr=params.learning_rate)
        self._batch_size = params.batch_size
        self.rows_at_once = 512 * params.batch_size

    def train(self, examples: Examples) -> float:
        """Take one step a batch, in order; return the sum of the losses."""
        network, optimizer = self._network, self._optimizer
        criterion = torch.nn.CrossEntropyLoss() if network.classes else torch.nn.MSELoss()
        total = 0.0
        values, queries, targets = map(torch.tensor, (examples.values, examples.queries, examples.targets))
        keys = torch.tensor(examples.keys)
        for first in range(0, len(examples.targets), self._batch_size):
            rows = slice(first, first + self._batch_size)
            own = keys if keys.dim() == 1 else keys[rows]
            loss = criterion(network(values[rows], queries[rows], own), targets[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(targets[rows])
        return total

    def epochs(self, examples: Examples, number: int) -> Iterator[tuple[float, Weights]]:
        """Train on the same examples again and again; yield what `train` and then `weights` would give each time."""
        return ((self.train(examples), self.weights()) for _ in range(number))

    def weights(self) -> Weights:
        """Return a copy of the weights as they are now."""
        return self._initial.with_arrays(self._network.arrays())
