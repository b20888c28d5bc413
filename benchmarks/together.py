"""Many seeds of one attention function, trained side by side: one torch program whose tensors have an axis of seeds.

A step of batch size 1 is all overhead: 32 trainings in one program take the time of two or three. Each member is the
pipeline's own training up to rounding, for it has that training's examples, initial weights and noise; what is
differentiated is the sum of the members' losses, in which no term reads the weights of another member, so that each has
its own gradient; and Adam works element by element. Only the order in which a few numbers are added differs:
tests/test_together.py compares with TorchEngine, and after 2,000 steps no weight was found to differ by more than 5e-7.

Long training magnifies rounding, whoever computes it: an initial bias of multihead that differs in its last bit alone
gave weights that differ by 0.1 after 40,000 steps, with the same steps to settle, but other errors below about 2e-5.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from attention.functions import ATTENTION_FUNCTIONS
from attention.params.schema import TrainParams
from attention.tasks.problem import Examples
from attention.weights import Weights
from workbench.stage.streams import stream


class TorchTogether:
    """TorchEngine for several members at once: of one function and size, each with weights and a seed of its own."""

    def __init__(self, weights: Sequence[Weights], params: TrainParams, seeds: Sequence[int]) -> None:
        torch.set_num_threads(1)  # as TorchEngine
        self._initial = weights
        self._function = ATTENTION_FUNCTIONS[weights[0].function]
        self._noise = [stream(seed, "gumbel noise") for seed in seeds] if self._function.noisy else None
        self._positions = torch.arange(weights[0].seq_len, dtype=torch.float32)
        self._stacked = {
            name: torch.from_numpy(np.stack([each.arrays[name] for each in weights])).requires_grad_()
            for name in weights[0].arrays
        }
        self._optimizer = torch.optim.Adam(self._stacked.values(), lr=params.learning_rate)
        self._batch_size = params.batch_size

    def train(self, examples: Sequence[Examples]) -> None:
        """Take one step a batch, in order: every member with its own examples, equally many."""
        losses = torch.vmap(self._loss, in_dims=(0, 0, 0, 0, 0 if self._noise else None))
        inputs, contexts, targets = (
            torch.from_numpy(np.stack(column))
            for column in zip(*((own.values, own.queries, own.targets) for own in examples), strict=True)
        )
        noise = None
        if self._noise:  # drawn at once: the same numbers as a row at a time
            drawn = np.stack([own.random(inputs.shape[1:], dtype=np.float32) for own in self._noise])
            noise = torch.from_numpy(drawn)
        for first in range(0, targets.shape[1], self._batch_size):
            rows = slice(first, first + self._batch_size)
            loss = losses(
                self._stacked,
                inputs[:, rows],
                contexts[:, rows],
                targets[:, rows],
                None if noise is None else noise[:, rows],
            )
            self._optimizer.zero_grad()
            torch.autograd.backward(loss.sum())
            self._optimizer.step()

    def weights(self) -> list[Weights]:
        """Return a copy of every member's weights as they are now."""
        now = {name: tensor.detach().numpy() for name, tensor in self._stacked.items()}
        return [
            initial.with_arrays({name: array[member].copy() for name, array in now.items()})
            for member, initial in enumerate(self._initial)
        ]

    def _loss(
        self, arrays: dict[str, Tensor], inputs: Tensor, contexts: Tensor, targets: Tensor, noise: Tensor | None
    ) -> Tensor:
        """Return the mean squared error of one member: AttentionNetwork.forward without the axis of seeds."""
        parameters = {name.removeprefix("attention."): array for name, array in arrays.items()}
        options = self._initial[0].options
        numbers = torch.arange(len(self._positions))
        attention = self._function.attend(
            parameters, contexts, numbers, positions=self._positions, noise=noise, **options
        )
        outputs = torch.nn.functional.linear(inputs * attention, arrays["linear.weight"], arrays["linear.bias"])
        return torch.nn.functional.mse_loss(outputs.squeeze(-1), targets)
