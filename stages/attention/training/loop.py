"""Training: the article's loop, an epoch at a time, over whichever engine does the arithmetic."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.entry import resolve_options
from attention.inference.attention import attention_of
from attention.params.schema import Params, TrainParams
from attention.tasks.examples import Table
from attention.tasks.problem import Examples, Problem, contexts_of
from attention.training.engines import Engine, choose_engine, start_engine
from attention.weights import Weights, sized_weights
from workbench.stage.errors import UserError
from workbench.stage.streams import stream

ROWS_AT_ONCE = 1 << 19  # half a second: nothing interrupts an engine at work


class TrainingError(UserError):
    """Training cannot go on."""


@dataclass(frozen=True)
class Epoch:
    """What is known after an epoch (counted from 0)."""

    epoch: int
    loss: float  # mean over the examples of the squared error or cross-entropy, each taken just before its own step
    weights: Weights
    attention: NDArray[np.float32]  # (cases, seq_len)


def determining(params: Params, seed: int, problem: Problem) -> dict[str, Any]:
    """Return all that determines a training besides its data, by dotted key, with defaults and `auto` resolved."""
    function, train = params.model.attention, params.train
    options = resolve_options(ATTENTION_FUNCTIONS[function], params.model.options, problem.seq_len)
    return {
        "seed": seed,
        **({} if problem.task == "lookup" else {"data.task": problem.task}),
        "model.attention": function,
        **{f"model.{name}": value for name, value in options.items()},
        "train.epochs": train.epochs,
        "train.batch_size": train.batch_size,
        "train.learning_rate": train.learning_rate,
        "train.shuffle": train.shuffle,
        "train.engine": choose_engine(train, sized_weights(function, problem, options)),
    }


def train(
    weights: Weights,
    table: Table,
    params: TrainParams,
    seed: int,
    progress: Callable[[int], None] | None = None,
    cases: Examples | None = None,
) -> Iterator[Epoch]:
    """Train the network and yield one record an epoch.

    Adam (β 0.9 and 0.999, ε 1e-8) on the mean loss of each batch, in the order of the table or, with
    `shuffle`, in a new order each epoch: a permutation within consecutive runs of about 65,536 examples, so that a
    table larger than memory can be trained on.

    Args:
        weights: the initial weights; its `origin` goes with the trained ones.
        table: the training examples.
        params: epochs, batch_size, learning_rate, shuffle, engine.
        seed: what the shuffling, and the noise of a stochastic function, are derived from.
        progress: told the number of steps just taken; where nobody asks, a small table is trained on for many epochs in
            one go, which lets other threads be.
        cases: those by which attention is told; of lookup, by default, every context once.

    Raises:
        TrainingError: the error is no longer a finite number.

    """
    cases = contexts_of(table.problem) if cases is None else cases
    engine = start_engine(weights, params, seed)
    for epoch, (total, now) in enumerate(_epochs(engine, table, params, seed, progress)):
        loss = total / len(table)
        if not np.isfinite(loss) or not all(np.isfinite(array).all() for array in now.arrays.values()):
            error = "that of weights that are no numbers" if np.isfinite(loss) else loss
            raise TrainingError(
                f"params.yaml: train.learning_rate: got {params.learning_rate}, with which the error of epoch {epoch} "
                f"is {error}; allowed: one with which training converges; try a tenth of it"
            )
        yield Epoch(epoch, loss, now, attention_of(now, cases))


def _epochs(
    engine: Engine, table: Table, params: TrainParams, seed: int, progress: Callable[[int], None] | None
) -> Iterator[tuple[float, Weights]]:
    """Yield the sum of the losses of each epoch, and the weights after it."""
    if not progress and not params.shuffle and len(table) <= _block_rows(table, params):
        (whole,) = table.blocks(_block_rows(table, params))
        at_once = max(1, ROWS_AT_ONCE // len(table))
        for first in range(0, params.epochs, at_once):
            yield from engine.epochs(whole, min(at_once, params.epochs - first))
        return
    for epoch in range(params.epochs):
        total = 0.0
        for block in _blocks(table, params, seed, epoch):
            for first in range(0, len(block.targets), engine.rows_at_once):
                piece = block.take(slice(first, first + engine.rows_at_once))
                total += engine.train(piece)
                if progress:
                    progress(-(-len(piece.targets) // params.batch_size))
        yield total, engine.weights()


def _block_rows(table: Table, params: TrainParams) -> int:
    return max(1, table.problem.block_rows // params.batch_size) * params.batch_size  # so no batch spans two blocks


def _blocks(table: Table, params: TrainParams, seed: int, epoch: int) -> Iterator[Examples]:
    """Yield the blocks of an epoch; each is read while the one before is trained on."""
    with ThreadPoolExecutor(1) as reader:
        blocks = _ordered(table, params, seed, epoch)
        coming = reader.submit(next, blocks, None)
        while (block := coming.result()) is not None:
            coming = reader.submit(next, blocks, None)
            yield block


def _ordered(table: Table, params: TrainParams, seed: int, epoch: int) -> Iterator[Examples]:
    order = stream(seed, "shuffle", epoch)
    for block in table.blocks(_block_rows(table, params)):
        yield block.take(order.permutation(len(block.targets))) if params.shuffle else block
