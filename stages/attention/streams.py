"""One seed, and from it an independent stream of random numbers for each purpose.

A stream depends on the seed and its own name alone, so changing `train.epochs` or `data.n_train` never changes what
another purpose draws. NumPy's draws of integers and of 24-bit uniform numbers are exact: the same on any CPU.
"""

from typing import Literal, get_args

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
]
_PURPOSES: tuple[str, ...] = get_args(
    Purpose
)  # the position in this list is part of every result: append, never reorder


def stream(seed: int, purpose: Purpose, *index: int) -> np.random.Generator:
    """Return the generator of `purpose` (and, where there are many alike, its `index`: the epoch of a shuffle)."""
    return np.random.Generator(
        np.random.PCG64(np.random.SeedSequence(seed, spawn_key=(_PURPOSES.index(purpose), *index)))
    )
