"""Mean squared errors on a table: of the network, and of two predictors that have no attention.

Sums are taken in float64 column by column, never by BLAS or LAPACK, whose last bits depend on the CPU.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from attention.tasks.examples import Table
from attention.tasks.problem import Examples
from attention.weights import Weights

Floats = NDArray[np.float64]
Blocks = Iterable[Examples]


def network_mse(attention: NDArray[np.float32], weights: Weights, test: Table) -> float:
    """Return the error of Σ_j x_j·a[c, j]·w_j + b for the attention a (n_contexts, seq_len)."""
    slopes = attention.astype(np.float64) * weights.output  # (n_contexts, seq_len)
    bias = float(weights.arrays["linear.bias"][0])
    return _mse(test.blocks(), lambda block: _dot(block.values, slopes[block.queries], bias))


def baseline_mses(train: Table, test: Table) -> dict[str, float]:
    """Fit on `train` and return the error on `test` of the mean, and of a linear model that sees no context."""
    moments = _second_moments(train.blocks(), train.problem.seq_len)
    mean = moments[0, -1] / moments[0, 0]
    intercept, *slopes = least_squares(moments)
    return {
        "mean": _mse(test.blocks(), lambda block: np.full(len(block.targets), mean)),
        "linear": _mse(test.blocks(), lambda block: _dot(block.values, np.array(slopes), intercept)),
    }


def least_squares(moments: Floats) -> Floats:
    """Solve min Σ (y - Zβ)² from the second moments (p+1, p+1) of the columns [Z, y].

    Gauss-Jordan elimination of the normal equations. A column that the earlier ones determine gets the coefficient 0.
    """
    system = moments[:-1].copy()  # (p, p+1): [ZᵀZ | Zᵀy]
    used = np.zeros(len(system), dtype=bool)
    for k, size in enumerate(moments.diagonal()[:-1]):
        used[k] = system[k, k] > 1e-10 * size
        if used[k]:
            system[k] /= system[k, k]
            factors = system[:, k].copy()
            factors[k] = 0
            system -= factors[:, None] * system[k]
    return np.where(used, system[:, -1], 0.0)


def _second_moments(blocks: Blocks, seq_len: int) -> Floats:
    """Sum the products of all pairs of the columns [1, x_0 …, y]: (seq_len + 2, seq_len + 2)."""
    moments = np.zeros((seq_len + 2, seq_len + 2))
    for block in blocks:
        values, targets = block.values.astype(np.float64), block.targets.astype(np.float64)
        columns = np.column_stack([np.ones(len(targets)), values, targets])
        for k in range(seq_len + 2):  # float32 products are exact in float64, and rows are added in order
            moments[k, k:] += (columns[:, k : k + 1] * columns[:, k:]).sum(axis=0)
    return np.triu(moments) + np.triu(moments, 1).T


def _dot(inputs: NDArray[np.float32], slopes: Floats, bias: float) -> Floats:
    """Return Σ_j inputs[:, j]·slopes[…, j] + bias, added position by position."""
    terms = np.multiply(inputs, slopes, dtype=np.float64)
    terms[:, 0] += bias
    total: Floats = np.add.accumulate(terms, axis=1, out=terms)[:, -1]  # a sum would take another order
    return total


def _mse(blocks: Blocks, predict: Callable[[Examples], Floats]) -> float:
    count, sums = 0, []
    for block in blocks:
        sums.append(float(np.square(predict(block) - block.targets).sum()))
        count += len(block.targets)
    return math.fsum(sums) / count
