"""The engine at the speed of the arithmetic: the same training through the kernels."""

import numpy as np
from numpy.typing import NDArray

from attention.dataset import Examples
from attention.kernel_cache import compiling
from attention.kernels import KERNELS, attention_matrix, train_steps
from attention.params import TrainParams
from attention.weights import Weights


class CompiledEngine:
    """All parameters in one flat array, trained by `kernels.train_steps`."""

    rows_at_once = 1 << 62  # whole blocks: a call costs as much as hundreds of steps

    def __init__(self, weights: Weights, params: TrainParams) -> None:
        self._initial = weights
        self._kernel = KERNELS[weights.function]()
        self._parameters = np.concatenate([array.ravel() for array in weights.arrays.values()])
        self._means = np.zeros_like(self._parameters), np.zeros_like(self._parameters)
        self._powers = np.ones(2)
        self._options = params.batch_size, params.learning_rate
        nothing = Examples(np.empty((0, weights.seq_len), np.float32), np.empty(0, np.int64), np.empty(0, np.float32))
        with compiling():
            self.train(nothing)

    def train(self, examples: Examples) -> float:
        """Take one step a batch, in order; return the sum of the squared errors."""
        return float(train_steps(self._kernel, self._parameters, *self._means, self._powers, *examples, *self._options))

    def weights(self) -> Weights:
        """Return a copy of the weights as they are now."""
        ends = np.cumsum([array.size for array in self._initial.arrays.values()])
        parts = np.split(self._parameters.copy(), ends[:-1])
        shapes = {name: array.shape for name, array in self._initial.arrays.items()}
        return self._initial.with_arrays(
            {name: part.reshape(shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}
        )


def compiled_attention(weights: Weights) -> NDArray[np.float32]:
    """Return the attention (n_contexts, seq_len) of a network whose function has a kernel."""
    attention = np.empty((weights.n_contexts, weights.seq_len), np.float32)
    parameters = np.concatenate([a.ravel() for name, a in weights.arrays.items() if name.startswith("attention.")])
    with compiling():
        attention_matrix(KERNELS[weights.function](), parameters, attention)
    return attention
