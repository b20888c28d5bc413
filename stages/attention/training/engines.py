"""Who does the arithmetic: torch, which defines it, or the compiled kernels, which are fast.

The modules of an engine are imported when it is used: torch takes seconds, Numba half a second.
"""

from collections.abc import Iterator
from types import MappingProxyType
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.entry import Options
from attention.params.schema import TrainParams
from attention.tasks.problem import Examples
from attention.weights import Weights


class Engine(Protocol):
    """Adam on the mean squared error of each batch."""

    rows_at_once: int  # how many examples to hand over in a call: progress is reported in between

    def train(self, examples: Examples) -> float:
        """Take one step a batch, in order; return the sum of the squared errors."""

    def epochs(self, examples: Examples, number: int) -> Iterator[tuple[float, Weights]]:
        """Train on the same examples again and again; yield what `train` and then `weights` would give each time."""

    def weights(self) -> Weights:
        """Return a copy of the weights as they are now."""


def choose_engine(engine: str, function: str, options: Options = MappingProxyType({})) -> str:
    """Resolve `train.engine`: auto is compiled where the attention function has a kernel for its options."""
    return ATTENTION_FUNCTIONS[function].engine(options) if engine == "auto" else engine


def promises_bytes(engine: str) -> bool:
    """Whether the same training gives the same bytes on any CPU.

    The compiled engine does: strict IEEE arithmetic in a fixed order. torch takes the instructions that the CPU has.
    """
    return engine == "compiled"


def start_engine(weights: Weights, params: TrainParams, seed: int) -> Engine:
    """Return the engine that `train.engine` asks for, ready to train from these weights; the seed is that of noise."""
    if choose_engine(params.engine, weights.function, weights.options) == "compiled":
        from attention.training.compiled_engine import CompiledEngine

        return CompiledEngine(weights, params)
    from attention.training.torch_engine import TorchEngine

    return TorchEngine(weights, params, seed)


def attention_of(weights: Weights) -> NDArray[np.float32]:
    """Return the attention (n_contexts, seq_len) that a network with these weights pays in every context.

    By the kernel where there is one, whichever engine trained: its bytes do not depend on the CPU.
    """
    if choose_engine("auto", weights.function, weights.options) == "compiled":
        from attention.training.compiled_engine import compiled_attention

        return compiled_attention(weights)
    from attention.training.torch_engine import torch_attention

    return torch_attention(weights)
