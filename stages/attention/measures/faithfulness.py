"""Faithfulness: whether attention orders the positions as two other explanations do (Jain and Wallace 2019).

Of a one-hot truth τ mostly ranks positions that hardly count. So beside it stands how often each finds the truth.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from attention.measures.recovery import Floats, effect
from attention.tasks.examples import Table
from attention.tasks.problem import Examples

MOST_EXAMPLES, MOST_PAIRS, PAIRS = 1000, 2**24, 2**20  # looked at, of positions in all, and at once


class Faithfulness(NamedTuple):
    """Of each example (n,): Kendall's τ of |a| with an explanation, and 1 where this is largest on the truth."""

    gradient_tau: Floats
    gradient_found: Floats
    left_out_tau: Floats
    left_out_found: Floats


def faithfulness(
    attention: NDArray[np.float32], output: NDArray[np.float32], block: Examples, shared: bool
) -> Faithfulness:
    """Compare attention with both explanations (see `explanations`)."""
    size, measures = np.abs(attention), list[Floats]()
    for explained in explanations(attention, output, block, shared):
        largest = np.take_along_axis(explained, block.truth[:, None], axis=1)[:, 0]
        measures += [kendall(size, explained)]
        measures += [((explained.argmax(axis=1) == block.truth) & (largest > 0)).astype(np.float64)]
    return Faithfulness(*measures)


def explanations(
    attention: NDArray[np.float32], output: NDArray[np.float32], block: Examples, shared: bool
) -> tuple[Floats, Floats]:
    """Return how much each position (n, seq_len) counts for the output, of classes for the right logit less their mean.

    |gradient × input|, attention held fixed: the output is a sum over positions, and this is the size of each term. And
    |output - output without the position|, where its attention, if it is a share, goes to the others in proportion
    (Serrano and Smith 2019); if there is none to share, they have none.

    Args:
        attention: (n, seq_len).
        output: (seq_len,), the weights of the linear layer.
        block: the examples.
        shared: whether attention sums to 1.

    """
    speaks = block.values if block.values.ndim < 3 else effect(block)
    paid = attention.astype(np.float64)
    terms = paid * output * speaks
    others = ~np.eye(attention.shape[1], dtype=bool)

    def without(numbers: Floats) -> Floats:  # one each: to subtract it from the sum of all would leave rounding errors
        total: Floats = np.add.accumulate(np.where(others, numbers[:, None, :], 0.0), axis=-1)[..., -1]
        return total

    rest = without(terms)
    if shared:
        left = without(paid)
        rest = np.divide(rest, left, out=np.zeros_like(rest), where=left > 0)
    return np.abs(terms), np.abs(np.add.accumulate(terms, axis=1)[:, -1:] - rest)


def kendall(one: NDArray[np.floating], other: NDArray[np.floating]) -> Floats:
    """Return Kendall's τ-b (n,) of the rows of two tables (n, k): 0 where all numbers of a row are equal."""
    first, second = _order(one), _order(other)
    agree = (first * second).sum(axis=(1, 2), dtype=np.int64)
    told = np.abs(first).sum(axis=(1, 2), dtype=np.int64) * np.abs(second).sum(axis=(1, 2), dtype=np.int64)
    tau: Floats = np.divide(agree, np.sqrt(told), out=np.zeros(len(one)), where=told > 0)
    return tau


def _order(numbers: NDArray[np.floating]) -> NDArray[np.int8]:
    """Return for each pair of a row's numbers whether the first is smaller, equal or larger: (n, k, k)."""
    first, second = numbers[:, :, None], numbers[:, None, :]
    return (first > second).astype(np.int8) - (first < second).astype(np.int8)


def first_of(test: Table) -> Iterator[Examples]:
    """Yield the first thousand test examples, or so many of long sequences that their pairs are soon compared."""
    pairs = test.problem.seq_len**2
    rows = max(1, min(MOST_EXAMPLES, PAIRS // pairs))
    examples = max(1, min(MOST_EXAMPLES, MOST_PAIRS // pairs))
    return islice(test.blocks(rows), -(-examples // rows))
