"""The attention that a network pays, compiled wherever that can be."""

import numpy as np
from numpy.typing import NDArray

from attention.compiler import CannotCompile, compiled
from attention.inference.definitions import attention_definition
from attention.tasks.problem import Examples
from attention.weights import Weights, array_shapes
from workbench.stage.errors import DataError


def attention_of(weights: Weights, examples: Examples | None = None) -> NDArray[np.float32]:
    """Return the attention (n, seq_len) that a network with these weights pays in each example.

    By default that is every context of lookup once: (n_contexts, seq_len). Where the function cannot be compiled it is
    torch's, whichever engine trained; else its bytes do not depend on the CPU.

    Raises:
        DataError: a query or a key names a feature that the network does not know.

    """
    try:
        return compiled_attention(weights, examples)
    except CannotCompile:
        from attention.network import torch_attention  # takes seconds

        return torch_attention(weights, examples)


def compiled_attention(weights: Weights, examples: Examples | None = None) -> NDArray[np.float32]:
    """Return the same by the compiled program.

    Raises:
        CannotCompile: the attention function does what only torch can.
        DataError: a query or a key names a feature that the network does not know.

    """
    queries, keys = np.arange(weights.n_contexts), np.arange(weights.seq_len)
    if examples is not None:
        queries, keys = examples.queries, examples.keys
    if keys.ndim == 1:
        keys = np.broadcast_to(keys, (len(queries), weights.seq_len))
    given = {"queries": queries, "keys": keys}
    definition = attention_definition(weights)
    fields = {name: given[name] for name in definition.example}
    known = {"queries": (1, weights.n_contexts), "keys": (2, weights.n_keys or weights.seq_len)}
    for name, features in fields.items():
        axes, number = known[name]
        least = 0 if features.ndim == axes else -1  # of several features -1 stands for none
        if features.dtype.kind == "i" and features.size and not least <= features.min() <= features.max() < number:
            wrong = features[(features < least) | (features >= number)][0]
            raise DataError(f"{name}: got {wrong}; allowed of this network: {least} to {number - 1}")
    columns = [np.ascontiguousarray(field) for field in fields.values()]
    attention = np.empty((len(columns[0]), weights.seq_len), np.float32)
    compiled(definition, "evaluation")(flat(weights), *columns, len(columns[0]), attention)
    return attention


def flat(weights: Weights) -> NDArray[np.float32]:
    """Return all parameters in one array, in the order in which programs take them."""
    return np.concatenate([weights.arrays[name].ravel() for name in array_shapes(weights)])
