"""Measures over whole tables, told by the kind of case; memory does not grow with the number of examples."""

import math
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

from attention.measures.recovery import Floats, Recovery, effect, entropy, recovery
from attention.tasks.problem import Examples

Attend = Callable[[Examples], NDArray[np.float32]]  # from examples to the attention (n, seq_len) that is paid in them


def recovery_of(attend: Attend, output: NDArray[np.float32], blocks: Iterable[Examples]) -> Recovery:
    """Return the recovery of every case."""
    parts = [recovery(attend(block), output, block.truth, effect(block)) for block in blocks]
    return Recovery(*map(np.concatenate, zip(*parts, strict=True)))


def recovery_by_kind(
    attend: Attend, output: NDArray[np.float32], blocks: Iterable[Examples]
) -> tuple[dict[str, float], dict[str, Floats]]:
    """Return the measures of recovery as `by_kind` does, and the entropy.

    Args:
        attend: what pays the attention.
        output: (seq_len,), the weights of the linear layer.
        blocks: the cases.

    """

    def measures(block: Examples) -> dict[str, Floats]:
        attention = attend(block)
        return {**recovery(attention, output, block.truth, effect(block))._asdict(), "entropy": entropy(attention)}

    return by_kind(measures, blocks)


def by_kind(
    measures: Callable[[Examples], Mapping[str, Floats]], blocks: Iterable[Examples]
) -> tuple[dict[str, float], dict[str, Floats]]:
    """Return the mean of each measure over all cases, and by kind: which there are, how many cases, and the means."""
    means, counts, sums = list[list[float]](), list[int](), np.zeros((1, 0))
    for block in blocks:
        measured = measures(block)
        means.append([float(values.mean()) for values in measured.values()])
        counts.append(len(block.truth))
        new = np.stack([np.bincount(block.kinds, values) for values in [np.ones(counts[-1]), *measured.values()]])
        width = max(sums.shape[1], new.shape[1])
        sums = sum((np.pad(one, ((0, 0), (0, width - one.shape[1]))) for one in (sums, new)), np.zeros((1, 1)))
    kinds = np.flatnonzero(sums[0])
    number, *every = sums[:, kinds]
    overall = {
        name: column[0] if len(means) == 1 else math.fsum(np.multiply(column, counts)) / sum(counts)
        for name, column in zip(measured, zip(*means, strict=True), strict=True)
    }
    return overall, {
        "kind": kinds,
        "cases": number.astype(int),
        **{name: values / number for name, values in zip(measured, every, strict=True)},
    }
