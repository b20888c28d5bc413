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
    """a = softmax(q_cᵀ W k_j); p holds q, k, W; scratch holds qᵀW, then its gradient."""

    n_contexts: int
    width: int
    scratch: Floats

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """Softmax of the products with qᵀW."""
        d = k.width
        query, keys, matrix = p[c * d : (c + 1) * d], p[k.n_contexts * d :], p[(k.n_contexts + a.size) * d :]
        projected = k.scratch[:d]
        projected[:] = _f32(0)
        for i in range(d):
            row = matrix[i * d : (i + 1) * d]
            for m in range(d):
                projected[m] += query[i] * row[m]
        products_of(projected, keys, a)
        softmax_of(a)

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """Through the products to k_j and u = qᵀW; from there ∂u/∂W = q, ∂u/∂q = W."""
        d = k.width
        softmax_pull_back(a, da)
        keys, matrix = k.n_contexts * d, (k.n_contexts + a.size) * d
        projected, dprojected = k.scratch[:d], k.scratch[d : 2 * d]
        dprojected[:] = _f32(0)
        products_pull_back(projected, p[keys:], da, dprojected, g[keys:])
        query, dquery = p[c * d : (c + 1) * d], g[c * d : (c + 1) * d]
        for i in range(d):
            row, drow = p[matrix + i * d : matrix + (i + 1) * d], g[matrix + i * d : matrix + (i + 1) * d]
            total = _f32(0)
            for m in range(d):
                drow[m] += query[i] * dprojected[m]
                total += row[m] * dprojected[m]
            dquery[i] += total


class Additive(NamedTuple):
    """a = softmax(v·tanh(W q_c + U k_j)); p holds q, k, W, U, v; scratch holds W q_c, then every tanh."""

    n_contexts: int
    width: int
    scratch: Floats

    @staticmethod
    def attend(k: Kernel, p: Floats, c: int, a: Floats) -> None:
        """Softmax of v·tanh(…), a position at a time."""
        d = k.width
        query, keys = p[c * d : (c + 1) * d], p[k.n_contexts * d :]
        w = p[(k.n_contexts + a.size) * d :]
        u, v = w[d * d :], w[2 * d * d : (2 * d + 1) * d]
        projected = k.scratch[:d]
        products_of(query, w, projected)
        hidden = k.scratch[d : (a.size + 1) * d]
        for j in range(a.size):
            row = hidden[j * d : (j + 1) * d]
            products_of(keys[j * d : (j + 1) * d], u, row)
            for i in range(d):
                row[i] += projected[i]
        for i in range(hidden.size):
            hidden[i] = tanh(hidden[i])
        products_of(v, hidden, a)
        softmax_of(a)

    @staticmethod
    def pull_back(k: Kernel, p: Floats, c: int, a: Floats, da: Floats, g: Floats) -> None:
        """∂tanh z/∂z = 1 - tanh² z, and through the two products of each z."""
        d = k.width
        softmax_pull_back(a, da)
        keys, w = k.n_contexts * d, (k.n_contexts + a.size) * d
        u, v = w + d * d, w + 2 * d * d
        value, dvalue = p[v : v + d], g[v : v + d]
        dprojected = k.scratch[:d]
        dprojected[:] = _f32(0)
        for j in range(a.size):
            hidden = k.scratch[(j + 1) * d : (j + 2) * d]
            for i in range(d):
                dvalue[i] += da[j] * hidden[i]
                hidden[i] = da[j] * value[i] * (_f32(1) - hidden[i] * hidden[i])
                dprojected[i] += hidden[i]
            key = slice(keys + j * d, keys + (j + 1) * d)
            products_pull_back(p[key], p[u:], hidden, g[key], g[u:])
        query = slice(c * d, (c + 1) * d)
        products_pull_back(p[query], p[w:], dprojected, g[query], g[w:])


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


@register_jitable
def products_of(q: Floats, keys: Floats, s: Floats) -> None:
    """Set s_j to q·k_j; the keys lie one after the other, and more may follow."""
    for j in range(s.size):
        key = keys[j * q.size : (j + 1) * q.size]
        total = _f32(0)
        for i in range(q.size):
            total += q[i] * key[i]
        s[j] = total


@register_jitable
def products_pull_back(q: Floats, keys: Floats, ds: Floats, dq: Floats, dkeys: Floats) -> None:
    """Add to dq and dkeys what ∂loss/∂s gives them."""
    for j in range(ds.size):
        key, dkey = keys[j * q.size : (j + 1) * q.size], dkeys[j * q.size : (j + 1) * q.size]
        for i in range(q.size):
            dq[i] += ds[j] * key[i]
            dkey[i] += ds[j] * q[i]


@register_jitable
def subtract_top(s: Floats) -> None:
    """Shift scores so that the largest is 0."""
    top = s[0]
    for j in range(s.size):
        top = max(top, s[j])
    for j in range(s.size):
        s[j] -= top


@register_jitable
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


@register_jitable
def softmax_pull_back(a: Floats, da: Floats) -> None:
    """Replace ∂loss/∂a by ∂loss/∂scores."""
    mean = _f32(0)
    for j in range(a.size):
        mean += a[j] * da[j]
    for j in range(a.size):
        da[j] = a[j] * (da[j] - mean)


@register_jitable
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


@register_jitable
def tanh(x: np.float32) -> np.float32:
    """Hyperbolic tangent, within 2 units in the last place: Cephes' polynomial near 0, else 1 - 2 / (exp(2|x|) + 1)."""
    size = abs(x)
    e = exp(_f32(-2) * size)
    far = (_f32(1) - e) / (_f32(1) + e)
    z = x * x
    y = _f32(-5.70498872745e-3)
    y = y * z + _f32(2.06390887954e-2)
    y = y * z + _f32(-5.37397155531e-2)
    y = y * z + _f32(1.33314422036e-1)
    y = y * z + _f32(-3.33332819422e-1)
    near = x + x * z * y
    return near if size < _f32(0.625) else (far if x > _f32(0) else -far)


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
