"""How well learned attention matches the truth."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attention.measures.arithmetic import log
from attention.tasks.entry import Positions
from attention.tasks.problem import Examples

Floats = NDArray[np.float64]


class Recovery(NamedTuple):
    """Recovery of the truth, each measure (…, cases) in [0, 1], 1 being best.

    The output is Σ_j x_j·a_j·w_j + b, so that data identify only the products a·w: `effective` is what the network
    looks at, while `normalized` also counts attention to positions that the linear layer then ignores.
    """

    normalized: Floats  # |a| on the true position over Σ|a|: the article's measure
    effective: Floats  # the same of |a·w|; of classes, of what a position adds to the right logit less their mean
    accuracy: Floats  # 1 where the largest |a|, not 0, is on the true position

    def means(self) -> dict[str, float]:
        """Return the mean of each measure over the cases of one network."""
        return {name: float(values.mean()) for name, values in self._asdict().items()}


def shares(attention: NDArray[np.floating[Any]], scale: NDArray[np.floating[Any]] | float = 1.0) -> Floats:
    """Return |a·scale| over its sum along the positions; zeros where all of it is zero."""
    size = np.abs(attention.astype(np.float64) * scale)
    total = size.sum(axis=-1, keepdims=True)
    share: Floats = np.divide(size, total, out=np.zeros_like(size), where=total > 0)
    return share


def effect(examples: Examples) -> Floats | float:
    """Return by how much one unit of a·w at each position (n, seq_len) speaks for the target.

    Of numbers 1. Of classes, in the right logit less the mean of all: 1 - 1/classes where the right class stands, else
    -1/classes.
    """
    if examples.values.ndim < 3:
        return 1.0
    right = np.take_along_axis(examples.values, examples.targets[:, None, None], axis=-1)[..., 0]
    added: Floats = right - np.float64(1 / examples.values.shape[-1])
    return added


def recovery(
    attention: NDArray[np.float32], output: NDArray[np.float32], truth: Positions, effect: Floats | float = 1.0
) -> Recovery:
    """Compare attention with the truth.

    Args:
        attention: (…, cases, seq_len), of one network or of several.
        output: (…, seq_len), the weights that the linear layer of each gives to the positions.
        truth: (cases,).
        effect: (cases, seq_len), see `effect`.

    """
    each, size = np.arange(len(truth)), np.abs(attention)
    true = (..., each, truth)
    return Recovery(
        normalized=np.ascontiguousarray(shares(attention)[true]),  # else sums would be taken in another order
        effective=np.ascontiguousarray(shares(attention, output[..., None, :] * effect)[true]),
        accuracy=((size.argmax(axis=-1) == truth) & (size[true] > 0)).astype(np.float64),
    )


def entropy(attention: NDArray[np.float32]) -> Floats:
    """Return -Σ_j s_j ln s_j of the shares s of |a|, from 0 on one position to ln(seq_len) on all alike."""
    share = shares(attention)
    nats: Floats = -(share * log(np.where(share > 0, share, 1.0))).sum(axis=-1)
    return nats


def found(measures: Recovery) -> bool:
    """Return whether a network found the truth: more than half of |a·w| on the true position, in 99 % of the cases.

    There it looks more at the truth than at all the rest together. Nothing of this depends on the task: not the size of
    an error that is good, nor how many positions there are. With fewer than 100 cases, contexts say, it is so in all.
    """
    return bool(np.mean(measures.effective > 0.5) >= 0.99)
