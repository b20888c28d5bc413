"""The training loop over the kernels, compiled once for each."""

from typing import Any

import numpy as np
from numba import njit
from numba.extending import overload, register_jitable
from numpy.typing import NDArray

from attention.compiler.kernel_arithmetic import Floats
from attention.compiler.kernel_cache import keep_compiled
from attention.compiler.kernels import Kernel

Integers = NDArray[np.int64]

STEPS_AHEAD = 256  # how many steps' bias corrections are computed together

_f32 = np.float32


def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
    """Stand for the kernel's own `attend` in compiled code."""
    raise NotImplementedError


def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
    """Stand for the kernel's own `pull_back` in compiled code."""
    raise NotImplementedError


@overload(attend, inline="always")
def _choose_attend(k: Kernel, p: Floats, c: int, a: Floats) -> Any:
    return k.instance_class.attend


@overload(pull_back, inline="always")
def _choose_pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> Any:
    return k.instance_class.pull_back


@keep_compiled
@njit(nogil=True, error_model="numpy")
def train_epochs(
    k: Kernel,
    p: Floats,
    m: Floats,
    v: Floats,
    powers: NDArray[np.float64],
    inputs: Floats,
    contexts: Integers,
    targets: Floats,
    batch_size: int,
    learning_rate: float,
    errors: NDArray[np.float64],
    after: Floats,
) -> None:
    """Take one step of Adam a batch, in order, for several epochs on the same examples.

    Args:
        k: the kernel.
        p: all parameters, changed in place: the attention's, then the linear weight (seq_len,), then its bias.
        m: Adam's running mean of the gradient, like p, changed in place.
        v: and of its square.
        powers: β₁ᵗ and β₂ᵗ after t steps, changed in place.
        inputs: (n, seq_len), the examples' numbers.
        contexts: (n,).
        targets: (n,).
        batch_size: how many of them make a step; the last batch may be smaller.
        learning_rate: Adam's.
        errors: (epochs,), filled with each epoch's sum of the squared errors, each before its own step.
        after: (epochs, parameters), filled with p after each epoch.

    """
    n, seq_len = inputs.shape
    bias = p.size - 1
    w = p[bias - seq_len : bias]
    g = np.zeros_like(p)
    gw = g[bias - seq_len : bias]
    a = np.empty(seq_len, _f32)
    da = np.empty(seq_len, _f32)
    rates, scales = np.empty(STEPS_AHEAD), np.empty(STEPS_AHEAD)
    for epoch in range(errors.size):
        known, used = 0, 0
        total = 0.0
        for first in range(0, n, batch_size):
            last = min(first + batch_size, n)
            for i in range(first, last):
                x = inputs[i]
                attend(k, p, contexts[i], a)
                output = p[bias]
                for j in range(seq_len):
                    output += x[j] * a[j] * w[j]
                error = output - targets[i]
                total += float(error) * float(error)
                slope = _f32(2) * error / _f32(last - first)
                for j in range(seq_len):
                    da[j] = slope * x[j] * w[j]
                    gw[j] += slope * x[j] * a[j]
                g[bias] += slope
                pull_back(k, p, contexts[i], a, da, g)
            if used == known:
                known, used = min(STEPS_AHEAD, -(-(n - first) // batch_size)), 0
                bias_corrections(powers, learning_rate, rates[:known], scales[:known])
            rate, scale = _f32(rates[used]), _f32(scales[used])
            used += 1
            for q in range(p.size):
                m[q] += (g[q] - m[q]) * _f32(1 - 0.9)
                v[q] = v[q] * _f32(0.999) + g[q] * g[q] * _f32(1 - 0.999)
                p[q] -= rate * m[q] / (np.sqrt(v[q]) * scale + _f32(1e-8))
                g[q] = _f32(0)
        errors[epoch] = total
        for q in range(p.size):  # Numba compiles this in seconds less than a whole row at once
            after[epoch, q] = p[q]


@register_jitable
def bias_corrections(
    powers: NDArray[np.float64], learning_rate: float, rates: NDArray[np.float64], scales: NDArray[np.float64]
) -> None:
    """Fill learning_rate / (1 - β₁ᵗ) and 1 / √(1 - β₂ᵗ) of the next steps t, and advance the powers by these steps.

    Many steps at once are vectors, and their roots and quotients do not stand in the way of the next step's.
    """
    first, second = powers
    for t in range(rates.size):
        first = max(first * 0.9, 1e-300)  # below 1e-308 a product takes a hundred times as long; 1 - first is 1 anyway
        second *= 0.999
        rates[t], scales[t] = first, second
    powers[0], powers[1] = first, second
    for t in range(rates.size):
        rates[t] = learning_rate / (1 - rates[t])
    for t in range(rates.size):
        scales[t] = 1 / np.sqrt(1 - scales[t])


# Not without the GIL: to take it again, among a study's threads, costs more than all of this.
@keep_compiled
@njit(error_model="numpy")
def attention_matrix(k: Kernel, p: Floats, attention: Floats) -> None:
    """Fill the attention (n_contexts, seq_len) from the attention's flat parameters."""
    for c in range(attention.shape[0]):
        attend(k, p, c, attention[c])
