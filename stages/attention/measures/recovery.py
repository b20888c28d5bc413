"""How well learned attention matches the truth."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attention.tasks.entry import Positions

Floats = NDArray[np.float64]


class Recovery(NamedTuple):
    """Recovery of the truth, each measure (…, n_contexts) in [0, 1], 1 being best.

    The output is Σ_j x_j·a_j·w_j + b, so that data identify only the products a·w: `effective` is what the network
    looks at, while `normalized` also counts attention to positions that the linear layer then ignores.
    """

    normalized: Floats  # |a| on the true position over Σ|a|: the article's measure
    effective: Floats  # the same of |a·w|
    accuracy: Floats  # 1 where the largest |a|, not 0, is on the true position

    def means(self) -> dict[str, float]:
        """Return the mean of each measure over the contexts of one network."""
        return {name: float(values.mean()) for name, values in self._asdict().items()}


def shares(attention: NDArray[np.floating[Any]], scale: NDArray[np.float32] | float = 1.0) -> Floats:
    """Return |a·scale| over its sum along the positions; zeros where all of it is zero."""
    size = np.abs(attention.astype(np.float64) * scale)
    total = size.sum(axis=-1, keepdims=True)
    share: Floats = np.divide(size, total, out=np.zeros_like(size), where=total > 0)
    return share


def recovery(attention: NDArray[np.float32], output: NDArray[np.float32], truth: Positions) -> Recovery:
    """Compare attention with the truth.

    Args:
        attention: (…, n_contexts, seq_len), of one network or of several.
        output: (…, seq_len), the weights that the linear layer of each gives to the positions.
        truth: (n_contexts,).

    """
    each, size = np.arange(len(truth)), np.abs(attention)
    true = (..., each, truth)
    return Recovery(
        normalized=np.ascontiguousarray(shares(attention)[true]),  # else sums would be taken in another order
        effective=np.ascontiguousarray(shares(attention, output[..., None, :])[true]),
        accuracy=((size.argmax(axis=-1) == truth) & (size[true] > 0)).astype(np.float64),
    )


def found(measures: Recovery) -> bool:
    """Return whether a network found the truth: more than half of |a·w| on the true position, in 99 % of the cases.

    There it looks more at the truth than at all the rest together. Nothing of this depends on the task: not the size of
    an error that is good, nor how many positions there are. With fewer than 100 cases, contexts say, it is so in all.
    """
    return bool(np.mean(measures.effective > 0.5) >= 0.99)
