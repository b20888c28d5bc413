"""Who does the arithmetic: torch, which defines it, or a program compiled from that definition, which is fast.

The modules of an engine are imported when it is used: torch takes seconds.
"""

import functools
import sys
from collections.abc import Iterator
from typing import Protocol

from attention.params.schema import TrainParams
from attention.tasks.problem import Examples
from attention.weights import Weights
from workbench.stage.errors import UserError


class EngineError(UserError):
    """Training is asked for through an engine that cannot do it."""


class Engine(Protocol):
    """Adam on the mean loss of each batch."""

    rows_at_once: int  # how many examples to hand over in a call: progress is reported in between

    def train(self, examples: Examples) -> float:
        """Take one step a batch, in order; return the sum of the losses."""

    def epochs(self, examples: Examples, number: int) -> Iterator[tuple[float, Weights]]:
        """Train on the same examples again and again; yield what `train` and then `weights` would give each time."""

    def weights(self) -> Weights:
        """Return a copy of the weights as they are now."""


def choose_engine(train: TrainParams, weights: Weights) -> str:
    """Resolve `train.engine` for networks of this function and these sizes: auto is compiled wherever that can be."""
    return train.engine if train.engine != "auto" else "torch" if _why_not(train, weights) else "compiled"


def _why_not(train: TrainParams, weights: Weights) -> str | None:
    """Return why a network cannot be compiled, in one line; None if it can."""
    from attention.compiler import CannotCompile
    from attention.training.compiled_engine import compiled_training

    try:
        compiled_training(weights, train)
    except CannotCompile as error:
        return str(error)
    return None


def promises_bytes(engine: str) -> bool:
    """Whether the same training gives the same bytes on any CPU.

    The compiled engine does: strict IEEE arithmetic in a fixed order. torch takes the instructions that the CPU has.
    """
    return engine == "compiled"


def start_engine(weights: Weights, params: TrainParams, seed: int) -> Engine:
    """Return the engine that `train.engine` asks for, ready to train from these weights; the seed is that of noise.

    Raises:
        EngineError: the engine is to be compiled, and the attention function cannot be.

    """
    if params.engine != "torch":
        why_not = _why_not(params, weights)
        if not why_not:
            from attention.training.compiled_engine import CompiledEngine

            return CompiledEngine(weights, params, seed)
        if params.engine == "compiled":
            raise EngineError(
                f"train.engine: got 'compiled'; allowed with {weights.function}: one of: auto, torch; {why_not}"
            )
        _tell(why_not)
    from attention.training.torch_engine import TorchEngine

    return TorchEngine(weights, params, seed)


@functools.cache
def _tell(why_not: str) -> None:
    print(f"{why_not}; training goes on through torch", file=sys.stderr)  # once a process
