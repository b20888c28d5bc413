"""The engine at the speed of the arithmetic: the same training, compiled from the network's own definition in torch."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from attention.compiler import Compiled, compiled
from attention.inference.attention import flat
from attention.inference.definitions import example_fields, takes_noise, training_definition
from attention.params.schema import TrainParams
from attention.tasks.problem import Examples
from attention.weights import Weights, array_shapes
from workbench.stage.streams import stream


class CompiledEngine:
    """All parameters in one flat array, trained by a compiled program.

    Raises:
        CannotCompile: the attention function does what only torch can.

    """

    rows_at_once = 1 << 62  # whole blocks: a call costs as much as hundreds of steps

    def __init__(self, weights: Weights, params: TrainParams, seed: int) -> None:
        self._initial = weights
        self._run = compiled_training(weights, params)
        self._fields = tuple(example_fields(weights))
        self._parameters = flat(weights)
        self._means = np.zeros_like(self._parameters), np.zeros_like(self._parameters)
        self._powers = np.ones(2)
        self._options = params.batch_size, params.learning_rate
        self._noise = stream(seed, "gumbel noise") if takes_noise(weights) else None

    def train(self, examples: Examples) -> float:
        """Take one step a batch, in order; return the sum of the losses."""
        ((error, _),) = self._train(examples, 1)
        return error

    def epochs(self, examples: Examples, number: int) -> Iterator[tuple[float, Weights]]:
        """Train on the same examples again and again; yield what `train` and then `weights` would give each time."""
        at_once = number if self._noise is None else 1  # noise is drawn anew each time
        for _ in range(0, number, at_once):
            for error, after in self._train(examples, at_once):
                yield error, self._shaped(after)

    def weights(self) -> Weights:
        """Return a copy of the weights as they are now."""
        return self._shaped(self._parameters.copy())

    def _train(self, examples: Examples, epochs: int) -> Iterator[tuple[float, NDArray[np.float32]]]:
        errors, after = np.empty(epochs), np.empty((epochs, self._parameters.size), np.float32)
        columns = [np.ascontiguousarray(getattr(examples, name)) for name in self._fields]
        rows, (batch_size, learning_rate) = len(examples.targets), self._options
        if self._noise is not None:
            columns.append(self._noise.random((rows, self._initial.seq_len), dtype=np.float32))
        state = self._parameters, *self._means, self._powers
        self._run(*state, *columns, rows, batch_size, epochs, learning_rate, errors, after)
        return zip(errors.tolist(), after, strict=True)

    def _shaped(self, parameters: NDArray[np.float32]) -> Weights:
        arrays, first = {}, 0
        for name in array_shapes(self._initial):
            array = self._initial.arrays[name]
            arrays[name] = parameters[first : first + array.size].reshape(array.shape)
            first += array.size
        return self._initial.with_arrays(arrays)


def compiled_training(weights: Weights, params: TrainParams) -> Compiled:
    """Return the program that trains a network of this function and these sizes.

    Raises:
        CannotCompile: the attention function does what only torch can.

    """
    single = params.batch_size == 1
    return compiled(training_definition(weights), "steps of one example" if single else "steps of a batch")
