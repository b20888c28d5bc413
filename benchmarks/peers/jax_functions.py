"""The attention functions in jax.numpy, for one example: its query, its keys, and from both the attention (S,).

Features are those of attention/functions/features.py without the axis of examples, which `vmap` adds; keys that are
None are the positions themselves, each with a row of its own. speed.py shows how far trainings with these are from
trainings with torch's.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

Array = Any  # traced
Parameters = Mapping[str, Array]
LARGE = 128  # numbers of a factor: from here on a call of a product is faster than sums


def rows_of(table: Array, features: Array | None, *, several: bool) -> Array:
    """Return the rows that whole numbers name, their sum if there are several (-1: none), or a weighted sum of rows."""
    if features is None:
        return table
    if jnp.issubdtype(features.dtype, jnp.floating):
        return features @ table
    if several:
        return (table[features] * (features >= 0)[..., None]).sum(-2)
    return table[features]


def products(rows: Array, x: Array) -> Array:
    """Return rows @ x, or of several x (…, d) their products (…, r); small ones as sums, which XLA fuses."""
    return x @ rows.T if max(rows.size, x.size) > LARGE else (rows * x[..., None, :]).sum(-1)


def query_of(p: Parameters, query: Array, name: str = "query") -> Array:
    """Return the query's row."""
    return rows_of(p[name], query, several=query.ndim == 1)


def keys_of(p: Parameters, keys: Array | None) -> Array:
    """Return the keys' rows (S, width)."""
    return rows_of(p["key"], keys, several=keys is not None and keys.ndim == 2)


def scores_of(p: Parameters, query: Array, keys: Array | None) -> Array:
    """Return E[query, key] (S,)."""
    row = query_of(p, query, "scores")
    return rows_of(row[:, None], keys, several=keys is not None and keys.ndim == 2)[:, 0]


def embedding(p: Parameters, query: Array, keys: Array, **_: Any) -> Array:
    """E[q,k]."""
    return scores_of(p, query, keys)


def sigmoid(p: Parameters, query: Array, keys: Array, **_: Any) -> Array:
    """σ(E[q,k])."""
    return jax.nn.sigmoid(scores_of(p, query, keys))


def softmax(p: Parameters, query: Array, keys: Array, *, temperature: float, **_: Any) -> Array:
    """Softmax of E[q,k] / τ."""
    return jax.nn.softmax(scores_of(p, query, keys) / temperature)


def below_zero(scores: Array) -> Array:
    """Shift scores so that the largest is 0, and cut them at -1."""
    return jnp.maximum(scores - jax.lax.stop_gradient(scores.max()), -1)


def above(scores: Array) -> Array:
    """By how much each score exceeds each, at least 0 (S, S): faster here than sorting."""
    scores = jax.lax.stop_gradient(scores)
    return jax.nn.relu(scores[None, :] - scores[:, None])


def sparsemax(p: Parameters, query: Array, keys: Array, *, temperature: float, **_: Any) -> Array:
    """The point of the simplex nearest to E[q,k] / τ."""
    scores = below_zero(scores_of(p, query, keys) / temperature)
    inside = above(scores).sum(-1) < 1
    threshold = ((scores * inside).sum() - 1) / inside.sum()
    return jax.nn.relu(scores - threshold)


def entmax15(p: Parameters, query: Array, keys: Array, *, temperature: float, **_: Any) -> Array:
    """1.5-entmax(E[q,k] / τ)."""
    halves = below_zero(scores_of(p, query, keys) / temperature / 2)
    inside = jnp.square(above(halves)).sum(-1) < 1
    mean = (halves * inside).sum() / inside.sum()
    spread = (jnp.square(halves - mean) * inside).sum()
    return jnp.square(jax.nn.relu(halves - mean + jnp.sqrt((1 - spread) / inside.sum())))


def hard(p: Parameters, query: Array, keys: Array, *, temperature: float, noise: Array, **_: Any) -> Array:
    """1 at the largest E[q,k] + Gumbel noise, else 0; straight through."""
    scores = scores_of(p, query, keys) - jnp.log(-jnp.log(jnp.maximum(noise, 2.0**-25)))
    soft = jax.nn.softmax(scores / temperature)
    return jax.nn.one_hot(scores.argmax(), scores.size) + (soft - jax.lax.stop_gradient(soft))


def gaussian(p: Parameters, query: Array, _keys: Array, *, positions: Array, **_: Any) -> Array:
    """exp(-(j - μ_c)² / 2σ_c²)."""
    centre, sharpness = (query_of(p, query, name) for name in ("centre", "sharpness"))
    return jnp.exp(jnp.square((positions - centre) * sharpness) / -2)


def local(p: Parameters, query: Array, keys: Array, *, positions: Array, window: int, **_: Any) -> Array:
    """Softmax(q·k_j within D of p_c) · exp(-2(j - p_c)² / D²)."""
    row = query_of(p, query)
    centre = positions.size * jax.nn.sigmoid((jnp.tanh(products(p["W_p"], row)) * p["v_p"]).sum())
    distance = positions + 1 - centre
    scores = jnp.where(jnp.abs(distance) > window, -jnp.inf, products(keys_of(p, keys), row))
    return jax.nn.softmax(scores) * jnp.exp(-2 * jnp.square(distance / window))


def dot(p: Parameters, query: Array, keys: Array, **_: Any) -> Array:
    """Softmax(q·k_j)."""
    return jax.nn.softmax(products(keys_of(p, keys), query_of(p, query)))


def scaled_dot(p: Parameters, query: Array, keys: Array, *, width: int, **_: Any) -> Array:
    """Softmax(q·k_j / √d)."""
    return jax.nn.softmax(products(keys_of(p, keys), query_of(p, query)) / math.sqrt(width))


def bilinear(p: Parameters, query: Array, keys: Array, **_: Any) -> Array:
    """Softmax(qᵀ W k_j)."""
    return jax.nn.softmax(products(keys_of(p, keys), products(p["W"].T, query_of(p, query))))


def additive(p: Parameters, query: Array, keys: Array, **_: Any) -> Array:
    """softmax(v·tanh(W q + U k_j))."""
    row, key = products(p["W"], query_of(p, query)), products(p["U"], keys_of(p, keys))
    return jax.nn.softmax(products(jnp.tanh(row + key), p["v"]))


def cosine(p: Parameters, query: Array, keys: Array, **_: Any) -> Array:
    """softmax(β cos(q, k_j))."""
    row, key = (x / jnp.linalg.norm(x, axis=-1, keepdims=True) for x in (query_of(p, query), keys_of(p, keys)))
    return jax.nn.softmax(jnp.exp(query_of(p, query, "log_beta")) * products(key, row))


def multihead(p: Parameters, query: Array, keys: Array, *, width: int, heads: int, **_: Any) -> Array:
    """The mean over heads of scaled_dot, each on its part of W_q q and W_k k_j."""
    each = width // heads
    row = products(p["W_q"], query_of(p, query)).reshape(heads, each)
    key = products(p["W_k"], keys_of(p, keys)).reshape(-1, heads, each)
    return jax.nn.softmax((row * key).sum(-1) / math.sqrt(each), axis=0).mean(-1)


def linear(p: Parameters, query: Array, keys: Array, **_: Any) -> Array:
    """φ(q)·φ(k_j) / Σ φ(q)·φ(k), φ = elu + 1."""
    row, key = (jax.nn.relu(x) + jnp.exp(jnp.minimum(x, 0)) for x in (query_of(p, query), keys_of(p, keys)))
    size = products(key, row) + 1e-30
    return size / size.sum()


def taylor(p: Parameters, query: Array, keys: Array, *, width: int, **_: Any) -> Array:
    """(1 + s_j + s_j²/2) / Σ, s_j = q·k_j / √d."""
    scores = products(keys_of(p, keys), query_of(p, query)) / math.sqrt(width)
    size = 1 + scores + jnp.square(scores) / 2
    return size / size.sum()


def ntm(p: Parameters, query: Array, keys: Array, **_: Any) -> Array:
    """Softmax(β cos(q, k_j)), moved by -1, 0 or 1, to the power γ, normalized."""
    found = cosine(p, query, keys)
    shift = jax.nn.softmax(query_of(p, query, "shift") + p["every_shift"])
    moved = shift[0] * jnp.roll(found, -1) + shift[1] * found + shift[2] * jnp.roll(found, 1)
    gamma = 1 + jnp.exp(query_of(p, query, "log_gamma"))
    return jax.nn.softmax(gamma * jnp.log(moved + 1e-30))


def power(p: Parameters, query: Array, keys: Array, *, exponent: float, **_: Any) -> Array:
    """|E[q,k]|^p, normalized: the function that the README adds."""
    return jax.nn.softmax(exponent * jnp.log(jnp.abs(scores_of(p, query, keys)) + 1e-6))


FUNCTIONS: dict[str, Callable[..., Array]] = {
    function.__name__: function
    for function in (
        *(embedding, sigmoid, softmax, sparsemax, entmax15, hard, gaussian, local),
        *(dot, scaled_dot, bilinear, additive, cosine, multihead, linear, taylor, ntm, power),
    )
}
