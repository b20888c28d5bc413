"""One seed, and from it an independent stream of random numbers for each purpose.

A stream depends on the seed and its own name alone, so changing `train.epochs` or `data.n_train` never changes what
another purpose draws. NumPy's draws of integers and of 24-bit uniform numbers are exact: the same on any CPU.
"""

import zlib
from typing import Literal

import numpy as np

Purpose = Literal[
    "truth",
    "train inputs",
    "train contexts",
    "test inputs",
    "test contexts",
    "attention weights",
    "linear weights",
    "shuffle",
    "gumbel noise",
    "bootstrap",
]


def stream(seed: int, purpose: Purpose, *index: int) -> np.random.Generator:
    """Return the generator of `purpose` (and, where there are many alike, its `index`: the epoch of a shuffle)."""
    name = zlib.crc32(purpose.encode())
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(name, *index))))
