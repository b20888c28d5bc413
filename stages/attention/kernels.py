"""Compiled twins of the attention functions, and the training loop over them.

Strict IEEE float32: no fused or reordered operation, no call into a mathematical library, so that the bytes are the
same on any CPU; loops over elements still become vector instructions, because each element is computed on its own.
"""

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numba.extending import overload, register_jitable
from numpy.typing import NDArray

from attention.kernel_cache import use_content_cache

use_content_cache()

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]
Kernel = Any  # an instance of a class of KERNELS: its type tells Numba which functions to compile in

_f32 = np.float32


# A kernel is a class of its own, whose fields are the sizes and options that it needs, with two functions:
#
#   attend(k, p, c, a)             fills the attention a (seq_len,) of context c from the flat parameters p;
#   pull_back(k, p, c, a, da, g)   adds to g, laid out like p, the product of da = ∂loss/∂a with the Jacobian ∂a/∂p;
#                                  it may overwrite da.
#
# Slices come before loops: indices that start at 0 spare Numba the test for negative ones, and LLVM can vectorise.


class Embedding(NamedTuple):
    """a = E[c]."""

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """Copy the row."""
        row = p[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            a[j] = row[j]

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """∂a_j/∂E[c,j] = 1."""
        row = g[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            row[j] += da[j]


class Softmax(NamedTuple):
    """a = softmax(E[c])."""

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """exp(s_j - max s) / Σ."""
        row = p[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            a[j] = row[j]
        softmax_of(a)

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """∂a_i/∂s_j = a_i (δ_ij - a_j)."""
        softmax_pull_back(a, da)
        row = g[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            row[j] += da[j]


KERNELS: dict[str, type] = {"embedding": Embedding, "softmax": Softmax}


@register_jitable(inline="always")
def softmax_of(s: Floats) -> None:
    """Replace scores by their softmax."""
    top = s[0]
    for j in range(s.size):
        top = max(top, s[j])
    for j in range(s.size):
        s[j] = exp(s[j] - top)
    total = _f32(0)
    for j in range(s.size):
        total += s[j]
    for j in range(s.size):
        s[j] /= total


@register_jitable(inline="always")
def softmax_pull_back(a: Floats, da: Floats) -> None:
    """Replace ∂loss/∂a by ∂loss/∂scores."""
    mean = _f32(0)
    for j in range(a.size):
        mean += a[j] * da[j]
    for j in range(a.size):
        da[j] = a[j] * (da[j] - mean)


@register_jitable(inline="always")
def exp(x: np.float32) -> np.float32:
    """e^x for x <= 0, within 2 units in the last place; 0 below -87, where float32 has no more normal numbers.

    x = n·ln 2 + r with |r| <= ln 2 / 2, and e^r by the polynomial of Cephes' expf (S. Moshier): a mathematical library
    would give other last bits on other CPUs.
    """
    x = max(x, _f32(-88.0))
    n = np.floor(x * _f32(1.44269504088896341) + _f32(0.5))
    r = (x - n * _f32(0.693359375)) - n * _f32(-2.12194440e-4)
    y = _f32(1.9875691500e-4)
    y = y * r + _f32(1.3981999507e-3)
    y = y * r + _f32(8.3334519073e-3)
    y = y * r + _f32(4.1665795894e-2)
    y = y * r + _f32(1.6666665459e-1)
    y = y * r + _f32(5.0000001201e-1)
    y = y * (r * r) + r + _f32(1.0)
    power = np.int32((np.int32(n) + np.int32(127)) << np.int32(23)).view(np.float32)  # 2^n, from its exponent bits
    return y * power if x >= _f32(-87.0) else _f32(0.0)


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


@njit(cache=True, nogil=True, error_model="numpy")
def train_steps(
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
) -> float:
    """Take one step of Adam a batch, in order; return the sum of the squared errors, each before its own step.

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

    """
    n, seq_len = inputs.shape
    bias = p.size - 1
    w = p[bias - seq_len : bias]
    g = np.zeros_like(p)
    gw = g[bias - seq_len : bias]
    a = np.empty(seq_len, _f32)
    da = np.empty(seq_len, _f32)
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
        powers[0] *= 0.9
        powers[1] *= 0.999
        step = _f32(learning_rate / (1 - powers[0]))
        scale = _f32(1 / math.sqrt(1 - powers[1]))
        for q in range(p.size):
            m[q] += (g[q] - m[q]) * _f32(1 - 0.9)
            v[q] = v[q] * _f32(0.999) + g[q] * g[q] * _f32(1 - 0.999)
            p[q] -= step * m[q] / (np.sqrt(v[q]) * scale + _f32(1e-8))
            g[q] = _f32(0)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def attention_matrix(k: Kernel, p: Floats, attention: Floats) -> None:
    """Fill the attention (n_contexts, seq_len) from the attention's flat parameters."""
    for c in range(attention.shape[0]):
        attend(k, p, c, attention[c])
