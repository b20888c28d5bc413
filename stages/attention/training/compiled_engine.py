"""The engine at the speed of the arithmetic: the same training through the kernels."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attention.compiler.compiled_loop import attention_matrix, train_epochs
from attention.compiler.kernels import KERNELS, Kernel
from attention.params.schema import TrainParams
from attention.tasks.problem import Examples
from attention.weights import Weights, array_shapes


class CompiledEngine:
    """All parameters in one flat array, trained by `train_epochs`."""

    rows_at_once = 1 << 62  # whole blocks: a call costs as much as hundreds of steps

    def __init__(self, weights: Weights, params: TrainParams) -> None:
        self._initial = weights
        self._kernel = kernel_of(weights)
        self._parameters = _flat(weights)
        self._means = np.zeros_like(self._parameters), np.zeros_like(self._parameters)
        self._powers = np.ones(2)
        self._options = params.batch_size, params.learning_rate

    def train(self, examples: Examples) -> float:
        """Take one step a batch, in order; return the sum of the squared errors."""
        ((error, _),) = self._train(examples, 1)
        return error

    def epochs(self, examples: Examples, number: int) -> Iterator[tuple[float, Weights]]:
        """Train on the same examples again and again; yield what `train` and then `weights` would give each time."""
        return ((error, self._shaped(after)) for error, after in self._train(examples, number))

    def weights(self) -> Weights:
        """Return a copy of the weights as they are now."""
        return self._shaped(self._parameters.copy())

    def _train(self, examples: Examples, epochs: int) -> Iterator[tuple[float, NDArray[np.float32]]]:
        errors, after = np.empty(epochs), np.empty((epochs, self._parameters.size), np.float32)
        # pyarrow's columns are read-only, a type of their own, for which all would be compiled once more
        columns = (
            np.require(column, requirements=("C", "W"))
            for column in (examples.values, examples.queries, examples.targets)
        )
        state = self._parameters, *self._means, self._powers
        train_epochs(self._kernel, *state, *columns, *self._options, errors, after)
        return zip(errors.tolist(), after, strict=True)

    def _shaped(self, parameters: NDArray[np.float32]) -> Weights:
        arrays, first = {}, 0
        for name in array_shapes(self._initial):
            array = self._initial.arrays[name]
            arrays[name] = parameters[first : first + array.size].reshape(array.shape)
            first += array.size
        return self._initial.with_arrays(arrays)


def compiled_attention(weights: Weights) -> NDArray[np.float32]:
    """Return the attention (n_contexts, seq_len) of a network whose function has a kernel."""
    attention = np.empty((weights.n_contexts, weights.seq_len), np.float32)
    attention_matrix(kernel_of(weights), _flat(weights), attention)
    return attention


def _flat(weights: Weights) -> NDArray[np.float32]:
    return np.concatenate([weights.arrays[name].ravel() for name in array_shapes(weights)])


def kernel_of(weights: Weights) -> Kernel:
    """Return the kernel of a network: the class of its function, with the fields that it has."""
    kind = KERNELS[weights.function]
    known: dict[str, Any] = {
        name: np.float32(value) if isinstance(value, float) else value for name, value in weights.options.items()
    }
    known["n_contexts"] = weights.n_contexts
    width = known.get("width", 0)
    known["lanes"] = (np.float32(0),) * width  # its length is part of its type: what Numba knows when it compiles
    known["scratch"] = np.empty((weights.seq_len + 2 + width) * width, np.float32)
    return kind(**{name: known[name] for name in kind._fields})
