"""Recovery over whole tables, told by the kind of case; memory does not grow with the number of examples."""

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from attention.measures.recovery import Floats, Recovery, effect, entropy, recovery
from attention.tasks.problem import Examples

MEASURES = (*Recovery._fields, "entropy")


Attend = Callable[[Examples], NDArray[np.float32]]  # from examples to the attention (n, seq_len) that is paid in them


def recovery_of(attend: Attend, output: NDArray[np.float32], blocks: Iterable[Examples]) -> Recovery:
    """Return the recovery of every case."""
    parts = [recovery(attend(block), output, block.truth, effect(block)) for block in blocks]
    return Recovery(*map(np.concatenate, zip(*parts, strict=True)))


def recovery_by_kind(
    attend: Attend, output: NDArray[np.float32], blocks: Iterable[Examples]
) -> tuple[dict[str, float], dict[str, Floats]]:
    """Return the mean of each measure over all cases, and by kind: which there are, how many cases, and the means.

    Args:
        attend: what pays the attention.
        output: (seq_len,), the weights of the linear layer.
        blocks: the cases.

    """
    means, counts, sums = list[list[float]](), list[int](), np.zeros((len(MEASURES) + 1, 0))
    for block in blocks:
        attention = attend(block)
        measured = [*recovery(attention, output, block.truth, effect(block)), entropy(attention)]
        means.append([float(values.mean()) for values in measured])
        counts.append(len(block.truth))
        new = np.stack([np.bincount(block.kinds, values) for values in [np.ones(counts[-1]), *measured]])
        width = max(sums.shape[1], new.shape[1])
        sums = sum((np.pad(one, ((0, 0), (0, width - one.shape[1]))) for one in (sums, new)), np.zeros((1, 1)))
    kinds = np.flatnonzero(sums[0])
    number, *every = sums[:, kinds]
    overall = {
        name: column[0] if len(means) == 1 else math.fsum(np.multiply(column, counts)) / sum(counts)
        for name, column in zip(MEASURES, zip(*means, strict=True), strict=True)
    }
    return overall, {
        "kind": kinds,
        "cases": number.astype(int),
        **{name: values / number for name, values in zip(MEASURES, every, strict=True)},
    }
