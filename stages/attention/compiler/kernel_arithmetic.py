"""What the kernels share: products, softmax, exponentials, in strict IEEE float32.

No fused or reordered operation and no call into a mathematical library, so that the bytes are the same on any CPU;
loops over elements still become vector instructions, because each element is computed on its own.
"""

import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_f32 = np.float32


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
