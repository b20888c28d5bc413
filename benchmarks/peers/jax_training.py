"""The training in JAX: `lax.scan` over the steps under jit, all parameters one flat vector, corrections known before.

What makes a scan of small steps fast on a CPU, each measured: one flat vector, so that Adam is one loop and not one a
parameter; `value_and_grad` for the error and the gradient at once; Adam's corrections computed ahead; unrolled steps.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.flatten_util import ravel_pytree
from numpy.typing import NDArray

from peers.jax_functions import FUNCTIONS

Array = Any  # traced, or NumPy's
UNROLL = 4  # of single examples, of 1 to 16 the fastest or nearly so; batches are faster left as they are


class Steps(NamedTuple):
    """How a training goes: so many epochs of batches."""

    epochs: int = 4
    batch_size: int = 1
    learning_rate: float = 0.001


class Data(NamedTuple):
    """Examples (n, …): features are as attention/functions/features.py has them; shared keys and no noise are None."""

    values: Array  # (n, S)
    queries: Array
    keys: Array | None
    targets: Array  # (n,)
    noise: Array | None = None  # (epochs, n, S), uniform in [0, 1)


Train = Callable[[Mapping[str, Array], Data], tuple[Array, dict[str, Array]]]


def make_training(function: str, options: Mapping[str, float], steps: Steps) -> Train:
    """Return a pure function from initial parameters and examples to each epoch's MSE and the parameters after all.

    It is made for `jax.jit`, alone or over `jax.vmap`. Parameters have the names of the model file.
    """
    epochs, batch_size, learning_rate = steps
    unroll = UNROLL if batch_size == 1 else 1

    predict = predictor(function, options)

    def train(initial: Mapping[str, Array], examples: Data) -> tuple[Array, dict[str, Array]]:
        flat, shaped = ravel_pytree(dict(initial))
        n = len(examples.targets)
        data, noise = examples._replace(noise=None), examples.noise
        batches = _batched(data, batch_size)
        weights = _batched(jnp.ones(n, jnp.float32), batch_size)  # 0 for what fills the last batch
        rates, scales = _corrections(epochs, len(weights), learning_rate)

        def loss(flat: Array, batch: Data, weight: Array) -> tuple[Array, Array]:
            p = shaped(flat)
            if batch_size == 1:
                squared = jnp.square(predict(p, batch) - batch.targets)
                return squared, squared
            axes = Data(0, 0, None if batch.keys is None else 0, 0, None if batch.noise is None else 0)
            outputs = jax.vmap(predict, (None, axes))(p, batch)
            total = (weight * jnp.square(outputs - batch.targets)).sum()
            return total / weight.sum(), total

        def step(state: Any, now: Any) -> Any:
            p, m, v = state
            batch, noise, weight, rate, scale = now
            (_, error), g = jax.value_and_grad(loss, has_aux=True)(p, batch._replace(noise=noise), weight)
            m = m + (g - m) * 0.1
            v = v * 0.999 + g * g * 0.001
            return (p - rate * m / (jnp.sqrt(v) * scale + 1e-8), m, v), error

        def epoch(state: Any, now: Any) -> Any:
            noise, rates, scales = now
            noise = None if noise is None else _batched(noise, batch_size)
            state, errors = jax.lax.scan(step, state, (batches, noise, weights, rates, scales), unroll=unroll)
            return state, errors.sum() / n

        state = flat, jnp.zeros_like(flat), jnp.zeros_like(flat)
        (flat, _, _), errors = jax.lax.scan(epoch, state, (noise, rates, scales))
        return errors, shaped(flat)

    return train


def predictor(function: str, options: Mapping[str, float]) -> Callable[[Mapping[str, Array], Data], Array]:
    """Return the network: from the parameters and an example to its output."""

    def predict(p: Mapping[str, Array], example: Data) -> Array:
        own = {name.removeprefix("attention."): array for name, array in p.items()}
        positions = jnp.arange(example.values.size, dtype=jnp.float32)
        noise = {} if example.noise is None else {"noise": example.noise}
        attention = FUNCTIONS[function](own, example.queries, example.keys, positions=positions, **noise, **options)
        return (example.values * attention * p["linear.weight"][0]).sum() + p["linear.bias"][0]

    return predict


def _batched(columns: Any, size: int) -> Any:
    """Cut columns (n, …) into (steps, size, …), the last one filled with zeros; a batch of one has no such axis."""

    def cut(column: Array) -> Array:
        if size == 1:
            return jnp.asarray(column)
        filled = jnp.pad(jnp.asarray(column), [(0, -len(column) % size)] + [(0, 0)] * (column.ndim - 1))
        return filled.reshape(-1, size, *column.shape[1:])

    return jax.tree.map(cut, columns)


def _corrections(epochs: int, steps: int, learning_rate: float) -> list[NDArray[np.float32]]:
    """Return learning_rate / (1 - β₁ᵗ) and 1 / √(1 - β₂ᵗ) of each step."""
    t = np.arange(1, epochs * steps + 1)
    found = learning_rate / (1 - 0.9**t), 1 / np.sqrt(1 - 0.999**t)
    return [numbers.astype(np.float32).reshape(epochs, steps) for numbers in found]
