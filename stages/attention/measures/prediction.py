"""Errors on a table: of the network, and of two predictors that have no attention.

Sums are taken in float64 column by column, never by BLAS or LAPACK, whose last bits depend on the CPU.
"""

import math
from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from attention.measures.arithmetic import exp, log
from attention.measures.cases import Attend
from attention.tasks.examples import Table
from attention.tasks.problem import Examples
from attention.weights import Weights

Floats = NDArray[np.float64]
Blocks = Iterable[Examples]
Errors = dict[str, float]  # `mse`; of classes `loss`, the cross-entropy, and `accuracy`, the share said right

NEWTON_STEPS = 8  # the logistic baseline: its error then stays the same to eight digits


def network_errors(attend: Attend, weights: Weights, test: Table) -> Errors:
    """Return the errors of Σ_j x_j·a_j·w_j + b on new examples."""
    bias = weights.arrays["linear.bias"].astype(np.float64)

    def predict(block: Examples) -> Floats:
        return _linear(block, attend(block).astype(np.float64) * weights.output, bias)

    return _errors(test.blocks(), predict)


def baseline_errors(train: Table, test: Table) -> dict[str, Errors]:
    """Fit on `train` and return the errors on `test` of the mean, and of a model of the values, linear, by position.

    It sees neither query nor keys, and is what the network becomes whose attention stays uniform. Of classes the mean
    is how often each occurs, and the model one of logits.
    """
    problem = train.problem
    if problem.classes:
        counts = np.sum([np.bincount(block.targets, minlength=problem.classes) for block in train.blocks()], axis=0)
        mean = log(np.maximum(counts, 0.5) / len(train))
        slopes, bias = _logistic(train)
    else:
        moments = _second_moments(train.blocks(), problem.seq_len)
        mean = moments[:1, -1] / moments[0, 0]
        bias, slopes = np.split(least_squares(moments), [1])
    nothing = np.zeros(problem.seq_len)
    return {
        "mean": _errors(test.blocks(), lambda block: _linear(block, nothing, mean)),
        "linear": _errors(test.blocks(), lambda block: _linear(block, slopes, bias)),
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
        moments += _products(np.column_stack([np.ones(len(targets)), values, targets]))
    return np.triu(moments) + np.triu(moments, 1).T


def _products(columns: Floats, weights: Floats | float = 1.0) -> Floats:
    """Sum the products of all pairs of columns (n, p): the upper half of (p, p)."""
    found = np.zeros((columns.shape[1], columns.shape[1]))
    for k in range(columns.shape[1]):  # float32 products are exact in float64, and rows are added in order
        found[k, k:] = (columns[:, k : k + 1] * columns[:, k:] * weights).sum(axis=0)
    return found


def _logistic(train: Table) -> tuple[Floats, Floats]:
    """Return slopes (seq_len,) and biases (classes,) of the least cross-entropy, by Newton's method from zero.

    Of the biases the last one stays 0, as only their differences count.
    """
    problem = train.problem
    size, classes = problem.seq_len, int(problem.classes or 0)
    found = np.zeros(size + classes)
    for _ in range(NEWTON_STEPS):
        gradient, curvature = np.zeros(size + classes), np.eye(size + classes) * 1e-9 * len(train)
        for block in train.blocks():
            chance = _softmax(_linear(block, found[:size], found[size:]))
            target = np.equal(block.targets[:, None], np.arange(classes)).astype(np.float64)
            mean = np.zeros((len(target), size + classes))
            for k in range(classes):
                each = np.column_stack(
                    [block.values[..., k].astype(np.float64), np.tile(np.arange(classes) == k, (len(target), 1))]
                )
                gradient += (each * (chance - target)[:, k : k + 1]).sum(axis=0)
                mean += each * chance[:, k : k + 1]
                curvature += _products(each, chance[:, k : k + 1])
            curvature -= _products(mean)
        curvature = np.triu(curvature) + np.triu(curvature, 1).T
        found -= least_squares(np.vstack([np.column_stack([curvature, gradient]), np.zeros(size + classes + 1)]))
    return found[:size], found[size:]


def _softmax(logits: Floats) -> Floats:
    powers = exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / np.add.accumulate(powers, axis=-1)[:, -1:]


def _linear(block: Examples, slopes: Floats, bias: Floats) -> Floats:
    """Return Σ_j values[:, j]·slopes[…, j] + bias, added position by position: (n,), of classes their logits."""
    if block.values.ndim > 2:
        terms = np.multiply(block.values, np.broadcast_to(slopes, block.values.shape[:2])[..., None], dtype=np.float64)
        terms[:, 0] += bias
    else:
        terms = np.multiply(block.values, slopes, dtype=np.float64)
        terms[:, 0] += bias[0]
    total: Floats = np.add.accumulate(terms, axis=1, out=terms)[:, -1]  # a sum would take another order
    return total


def _errors(blocks: Blocks, predict: Callable[[Examples], Floats]) -> Errors:
    count, sums, right = 0, list[float](), 0
    for block in blocks:
        output = predict(block)
        count += len(block.targets)
        if output.ndim == 1:
            sums.append(float(np.square(output - block.targets).sum()))
        else:
            chance = np.take_along_axis(_softmax(output), block.targets[:, None], axis=1)[:, 0]
            sums.append(float(-log(np.maximum(chance, 1e-300)).sum()))
            right += int((output.argmax(axis=1) == block.targets).sum())
    mean = math.fsum(sums) / count
    return {"mse": mean} if output.ndim == 1 else {"loss": mean, "accuracy": right / count}
