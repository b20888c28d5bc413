"""Compiled twins of the attention functions: each one's forward pass and vector-Jacobian product beside each other."""

import math
from typing import Any, NamedTuple

import numpy as np

from attention.compiler.kernel_arithmetic import (
    Floats,
    exp,
    products_of,
    products_pull_back,
    softmax_of,
    softmax_pull_back,
    subtract_top,
    tanh,
)
from attention.compiler.lanes import Lanes, add_outer, combine_rows, transpose

Kernel = Any  # an instance of a class of KERNELS: its type tells Numba which functions to compile in

_f32 = np.float32


# A kernel is a class of its own, whose fields are the sizes and options that it needs (compiled_engine.py fills them),
# with two functions:
#
#   attend(k, p, c, a)             fills the attention a (seq_len,) of context c from the flat parameters p, which hold
#                                  the arrays of functions.py in its order;
#   pull_back(k, p, c, a, da, g)   adds to g, laid out like p, the product of da = ∂loss/∂a with the Jacobian ∂a/∂p;
#                                  it may overwrite da. It follows an `attend` of the same context, so that it finds in
#                                  `k.scratch` what that left there.
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


class Sigmoid(NamedTuple):
    """a = σ(E[c])."""

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """1 / (1 + exp(-s)), which is exp(s) / (1 + exp(s))."""
        row = p[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            e = exp(-abs(row[j]))
            a[j] = (_f32(1) if row[j] >= _f32(0) else e) / (_f32(1) + e)

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """∂a_j/∂s_j = a_j (1 - a_j)."""
        row = g[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            row[j] += da[j] * (_f32(1) - a[j]) * a[j]


class Softmax(NamedTuple):
    """a = softmax(E[c] / τ)."""

    temperature: np.float32

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """exp(s_j - max s) / Σ."""
        row = p[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            a[j] = row[j] / k.temperature
        softmax_of(a)

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """∂a_i/∂s_j = a_i (δ_ij - a_j)."""
        softmax_pull_back(a, da)
        row = g[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            row[j] += da[j] / k.temperature


class Sparsemax(NamedTuple):
    """a = the point of the simplex nearest to E[c] / τ."""

    temperature: np.float32

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """max(s_j - t, 0), with t such that they sum to 1.

        Michelot's algorithm: t that suits all scores is too low; those at most t cannot be in the support, so leave
        them out and choose again, until none goes. With max s = 0, t >= -1.
        """
        row = p[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            a[j] = row[j] / k.temperature
        subtract_top(a)
        threshold, size = _f32(-1), a.size + 1
        while True:
            total, count = _f32(0), 0
            for j in range(a.size):
                if a[j] > threshold:
                    total += a[j]
                    count += 1
            if count >= size:  # rounding can bring back a score that equals t: going on would never end
                break
            size = count
            threshold = (total - _f32(1)) / _f32(count)
        for j in range(a.size):
            a[j] = max(a[j] - threshold, _f32(0))

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """∂a_i/∂s_j = δ_ij - 1/|support|, for i and j in the support."""
        total, count = _f32(0), 0
        for j in range(a.size):
            if a[j] > _f32(0):
                total += da[j]
                count += 1
        mean = total / _f32(count)
        row = g[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            if a[j] > _f32(0):
                row[j] += (da[j] - mean) / k.temperature


class Entmax15(NamedTuple):
    """a = the point of the simplex that maximises a·E[c]/τ + 4/3 Σ (a_j - a_j^1.5)."""

    temperature: np.float32

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """max(s_j/2 - t, 0)², with t such that they sum to 1.

        That sum is convex and falls in t, so that Newton's method from the left ends at t and never jumps over it: it
        stops where rounding no longer lets t grow. With max s = 0, t >= -1.
        """
        row = p[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            a[j] = row[j] / k.temperature
        subtract_top(a)
        threshold, better = _f32(-2), _f32(-1)
        while better > threshold:
            threshold = better
            total, slope = _f32(0), _f32(0)
            for j in range(a.size):
                root = max(_f32(0.5) * a[j] - threshold, _f32(0))
                total += root * root
                slope += root
            better = threshold + (total - _f32(1)) / (_f32(2) * slope)
        for j in range(a.size):
            root = max(_f32(0.5) * a[j] - threshold, _f32(0))
            a[j] = root * root

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """∂a_i/∂s_j = √a_i (δ_ij - √a_j / Σ√a)."""
        total, weighted = _f32(0), _f32(0)
        for j in range(a.size):
            root = np.sqrt(a[j])
            total += root
            weighted += root * da[j]
        mean = weighted / total
        row = g[c * a.size : (c + 1) * a.size]
        for j in range(a.size):
            row[j] += np.sqrt(a[j]) * (da[j] - mean) / k.temperature


class Gaussian(NamedTuple):
    """a_j = exp(-z_j²/2), z_j = (j - μ_c) / σ_c; p holds every μ, then every 1/σ."""

    n_contexts: int

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """exp(-z_j²/2)."""
        centre, sharpness = p[c], p[k.n_contexts + c]
        for j in range(a.size):
            z = (_f32(j) - centre) * sharpness
            a[j] = exp(_f32(-0.5) * (z * z))

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """∂a_j/∂μ = a_j z_j / σ, ∂a_j/∂(1/σ) = -a_j z_j (j - μ)."""
        centre, sharpness = p[c], p[k.n_contexts + c]
        first, second = _f32(0), _f32(0)
        for j in range(a.size):
            distance = _f32(j) - centre
            dz = -da[j] * a[j] * (distance * sharpness)
            first -= dz * sharpness
            second += dz * distance
        g[c] += first
        g[k.n_contexts + c] += second


class Dot(NamedTuple):
    """a = softmax(q_c·k_j)."""

    n_contexts: int
    width: int

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """Softmax of the products."""
        products_of(p[c * k.width : (c + 1) * k.width], p[k.n_contexts * k.width :], a)
        softmax_of(a)

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """∂s_j/∂q = k_j, ∂s_j/∂k_j = q."""
        softmax_pull_back(a, da)
        query, keys = slice(c * k.width, (c + 1) * k.width), k.n_contexts * k.width
        products_pull_back(p[query], p[keys:], da, g[query], g[keys:])


class ScaledDot(NamedTuple):
    """a = softmax(q_c·k_j / √d)."""

    n_contexts: int
    width: int

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """Softmax of the products over √d."""
        products_of(p[c * k.width : (c + 1) * k.width], p[k.n_contexts * k.width :], a)
        root = _f32(math.sqrt(k.width))
        for j in range(a.size):
            a[j] /= root
        softmax_of(a)

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """∂s_j/∂q = k_j / √d, ∂s_j/∂k_j = q / √d."""
        softmax_pull_back(a, da)
        root = _f32(math.sqrt(k.width))
        for j in range(a.size):
            da[j] /= root
        query, keys = slice(c * k.width, (c + 1) * k.width), k.n_contexts * k.width
        products_pull_back(p[query], p[keys:], da, g[query], g[keys:])


class Bilinear(NamedTuple):
    """a = softmax(q_cᵀ W k_j); p holds q, k, W; scratch holds u = qᵀW, then ∂loss/∂u, then the transposed W."""

    n_contexts: int
    lanes: Lanes
    scratch: Floats

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """Softmax of the products with u."""
        d = len(k.lanes)
        keys, matrix = k.n_contexts * d, (k.n_contexts + a.size) * d
        for i in range(d):
            k.scratch[i] = _f32(0)
        combine_rows(k.scratch, 0, p, c * d, p, matrix, k.lanes)
        products_of(k.scratch[:d], p[keys:], a)
        softmax_of(a)

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """Through the products to k_j and u; from there ∂u/∂W = q, ∂u/∂q = W."""
        softmax_pull_back(a, da)
        d = len(k.lanes)
        keys, matrix = k.n_contexts * d, (k.n_contexts + a.size) * d
        projected, dprojected, columns = k.scratch[:d], k.scratch[d : 2 * d], k.scratch[2 * d :]
        for i in range(d):
            dprojected[i] = _f32(0)
        products_pull_back(projected, p[keys:], da, dprojected, g[keys:])
        add_outer(g, matrix, p, c * d, dprojected, 0, k.lanes)
        transpose(p, matrix, columns, k.lanes)
        combine_rows(g, c * d, dprojected, 0, columns, 0, k.lanes)


class Additive(NamedTuple):
    """a = softmax(v·tanh(W q_c + U k_j)); p holds q, k, W, U, v.

    Scratch holds W q_c, then every tanh, then a transposed matrix.
    """

    n_contexts: int
    lanes: Lanes
    scratch: Floats

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """Softmax of v·tanh(…)."""
        d = len(k.lanes)
        keys, w = k.n_contexts * d, (k.n_contexts + a.size) * d
        u, v = w + d * d, w + 2 * d * d
        projected, hidden, columns = k.scratch[:d], k.scratch[d : (a.size + 1) * d], k.scratch[(a.size + 1) * d :]
        for i in range(d):
            projected[i] = _f32(0)
        transpose(p, w, columns, k.lanes)
        combine_rows(projected, 0, p, c * d, columns, 0, k.lanes)
        transpose(p, u, columns, k.lanes)
        for j in range(a.size):
            for i in range(d):
                hidden[j * d + i] = _f32(0)
            combine_rows(hidden, j * d, p, keys + j * d, columns, 0, k.lanes)
            for i in range(d):
                hidden[j * d + i] += projected[i]
        for i in range(hidden.size):
            hidden[i] = tanh(hidden[i])
        products_of(p[v : v + d], hidden, a)
        softmax_of(a)

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """∂tanh z/∂z = 1 - tanh² z, and through the two products of each z."""
        softmax_pull_back(a, da)
        d = len(k.lanes)
        keys, w = k.n_contexts * d, (k.n_contexts + a.size) * d
        u, v = w + d * d, w + 2 * d * d
        dprojected, hidden = k.scratch[:d], k.scratch[d : (a.size + 1) * d]
        for i in range(d):
            dprojected[i] = _f32(0)
        for j in range(a.size):
            for i in range(d):
                value = hidden[j * d + i]
                slope = da[j] * p[v + i] * (_f32(1) - value * value)
                g[v + i] += da[j] * value
                hidden[j * d + i] = slope
                dprojected[i] += slope
            combine_rows(g, keys + j * d, hidden, j * d, p, u, k.lanes)
            add_outer(g, u, hidden, j * d, p, keys + j * d, k.lanes)
        combine_rows(g, c * d, dprojected, 0, p, w, k.lanes)
        add_outer(g, w, dprojected, 0, p, c * d, k.lanes)


KERNELS: dict[str, Any] = {
    "embedding": Embedding,
    "sigmoid": Sigmoid,
    "softmax": Softmax,
    "sparsemax": Sparsemax,
    "entmax15": Entmax15,
    "gaussian": Gaussian,
    "dot": Dot,
    "scaled_dot": ScaledDot,
    "bilinear": Bilinear,
    "additive": Additive,
}
