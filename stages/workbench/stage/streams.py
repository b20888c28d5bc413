"""One seed, and from it an independent stream of random numbers for each purpose.

A stream depends on the seed and its own name alone, so changing `train.epochs` or `data.n_train` never changes what
another purpose draws. NumPy's draws of integers and of 24-bit uniform numbers are exact: the same on any CPU.
"""

import zlib

import numpy as np


def stream(seed: int, purpose: str, *index: int) -> np.random.Generator:
    """Return the generator of `purpose` (and, where there are many alike, its `index`: the epoch of a shuffle)."""
    name = zlib.crc32(purpose.encode())
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(name, *index))))
