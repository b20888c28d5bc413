"""Many seeds of the article's experiment at once, in JAX: data, initial weights, training and test error, by `vmap`."""

import math
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp

from peers.jax_training import Array, Data, Steps, make_training, predictor

CHUNK = 10  # seeds side by side; the fastest of 1, 10 and 100: a hundred do not fit the first cache


def make_experiment(
    function: str,
    options: Mapping[str, float],
    shapes: Mapping[str, tuple[int, ...]],
    truth: Sequence[int],
    seq_len: int,
    n_train: int,
    n_test: int,
) -> Callable[[Array], Array]:
    """Return a jitted function from seeds (m · CHUNK,) to the test error of each.

    Attention parameters, of these shapes, start standard normal, the output uniform in ±1/√seq_len.
    """

    def draw(key: Array, n: int) -> Data:
        inputs, contexts = jax.random.split(key)
        values = jax.random.uniform(inputs, (n, seq_len))
        context = jax.random.randint(contexts, (n,), 0, len(truth))
        target = jnp.take_along_axis(values, jnp.array(truth)[context][:, None], axis=1)[:, 0]
        return Data(values, context, None, target)

    def experiment(seed: Array) -> Array:
        train, test, linear, *keys = jax.random.split(jax.random.key(seed), 3 + len(shapes))
        named = zip(shapes.items(), keys, strict=True)
        initial = {f"attention.{name}": jax.random.normal(key, shape) for (name, shape), key in named}
        uniform = jax.random.uniform(linear, (seq_len + 1,), minval=-1, maxval=1) / math.sqrt(seq_len)
        initial |= {"linear.weight": uniform[None, :-1], "linear.bias": uniform[-1:]}
        _, after = make_training(function, options, Steps())(initial, draw(train, n_train))
        tested = draw(test, n_test)
        outputs = jax.vmap(predictor(function, options), (None, Data(0, 0, None, 0)))(after, tested)
        return jnp.square(outputs - tested.targets).mean()

    def experiments(seeds: Array) -> Array:
        return jnp.ravel(jax.lax.map(jax.vmap(experiment), seeds.reshape(-1, CHUNK)))

    compiled: Callable[[Array], Array] = jax.jit(experiments)
    return compiled


def on_all_cores(experiment: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """Return the same with the seeds divided among JAX's devices: with two for a CPU, among two cores."""
    return jax.pmap(experiment)  # type: ignore[no-any-return]
