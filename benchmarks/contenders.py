"""The article's training in different hands: each takes a training and returns the program to be timed, ready to run.

A program runs all epochs from the initial weights, and returns each epoch's MSE and the weights after all. What it
prepares first (compiles, copies) is not timed.
"""

import ctypes
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from attention.functions import ATTENTION_FUNCTIONS
from attention.params.schema import TrainParams
from attention.tasks.problem import Examples
from attention.training.engines import start_engine
from attention.weights import Arrays, Weights
from workbench.stage.streams import stream

SEED = 0
Result = tuple[list[float], Arrays]  # each epoch's MSE, and the weights after all
Program = Callable[[], Result]


@dataclass(frozen=True)
class Training:
    """What all have in common: initial weights, examples in their order, and the article's parameters."""

    weights: Weights
    examples: Examples
    epochs: int = 4
    learning_rate: float = 0.001

    @property
    def steps(self) -> int:
        """How many steps a training takes."""
        return self.epochs * len(self.examples.targets)

    def first(self, n: int, epochs: int = 1) -> "Training":
        """Return the training on the first examples alone."""
        return Training(self.weights, self.examples.take(slice(n)), epochs, self.learning_rate)


def compiled(training: Training) -> Program:
    """Run the project's compiled engine."""
    return _engine(training, "compiled")


def torch_loop(training: Training) -> Program:
    """Run the project's torch engine: the article's loop, over any function."""
    return _engine(training, "torch")


def _engine(training: Training, name: Any) -> Program:
    rate = training.learning_rate
    params = TrainParams(epochs=training.epochs, batch_size=1, learning_rate=rate, shuffle=False, engine=name)

    def run() -> Result:
        engine = start_engine(training.weights, params, SEED)
        epochs = list(engine.epochs(training.examples, training.epochs))
        errors = [error / len(training.examples.targets) for error, _ in epochs]
        return errors, epochs[-1][1].arrays

    run()  # torch and the compiler prepare at the first
    return run


def jax_scan(training: Training) -> Program | None:
    """Scan over the steps of JAX under jit; None without JAX, or without a twin of the function."""
    try:
        import jax
    except ModuleNotFoundError:
        return None
    from peers import jax_functions
    from peers.jax_training import Data, Steps, make_training

    weights, examples = training.weights, training.examples
    if weights.function not in jax_functions.FUNCTIONS:
        return None
    noise = None
    if ATTENTION_FUNCTIONS[weights.function].noisy:
        noise = stream(SEED, "gumbel noise").random((training.epochs, *examples.values.shape), dtype=np.float32)
    examples_there = Data(examples.values, examples.queries.astype(np.int32), None, examples.targets, noise)
    data = jax.device_put((dict(weights.arrays), examples_there))
    steps = Steps(training.epochs, learning_rate=training.learning_rate)
    train = jax.jit(make_training(weights.function, weights.options, steps)).lower(*data).compile()

    def run() -> Result:
        errors, after = train(*data)
        return errors.tolist(), {name: np.asarray(array) for name, array in after.items()}

    return run


def c_program(training: Training) -> Program | None:
    """Compile the plain loop for this machine."""
    return _c("loop.c", ["-march=native"], training)


def c_vectors(training: Training) -> Program | None:
    """Compile the strict vectors, for any processor of this kind."""
    avx2 = ["-mavx2"] if platform.machine() == "x86_64" else []
    return _c("vectors.c", ["-ffp-contract=off", *avx2], training)


def _c(source: str, flags: Sequence[str], training: Training) -> Program | None:
    if not (compiler := shutil.which("cc")):
        return None
    path, library = Path(__file__).parent / "peers" / source, Path(tempfile.mkdtemp()) / "loop.so"
    subprocess.run(
        [compiler, "-O3", *flags, "-fno-math-errno", "-shared", "-fPIC", path, "-o", library, "-lm"], check=True
    )
    train = ctypes.CDLL(str(library)).train
    train.restype = ctypes.c_double
    initial = np.concatenate([array.ravel() for array in training.weights.arrays.values()])
    examples = training.examples
    n = len(examples.targets)

    def run() -> Result:
        p, m, v = (np.zeros(-(-len(initial) // 8) * 8, np.float32) for _ in range(3))  # whole vectors
        p[: len(initial)] = initial
        arrays: list[Any] = [p, m, v, np.ones(2), examples.values, examples.queries, examples.targets]
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
        rate = ctypes.c_double(training.learning_rate)
        errors = [train(*pointers, ctypes.c_int64(n), rate) / n for _ in range(training.epochs)]
        after, first = {}, 0
        for name, array in training.weights.arrays.items():
            after[name] = p[first : first + array.size].reshape(array.shape)
            first += array.size
        return errors, after

    return run


class ArticleNetwork(nn.Module):
    """The article's network, as printed there."""

    def __init__(self, n_contexts: int, seq_len: int) -> None:
        super().__init__()
        self.context_embed = nn.Embedding(n_contexts, seq_len)
        self.linear = nn.Linear(seq_len, 1)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Predict."""
        a = self.context_embed(c)
        x = x * a
        return self.linear(x)  # type: ignore[no-any-return]


def article_loop(training: Training, fused: bool | None = None) -> Program:
    """Type the article's loop, with the lines that its listing lost."""
    from tqdm import tqdm

    weights, examples = training.weights, training.examples

    def run() -> Result:
        model = ArticleNetwork(weights.n_contexts, weights.seq_len)
        model.context_embed.weight.data = torch.from_numpy(weights.arrays["attention.scores"].copy())
        model.linear.weight.data = torch.from_numpy(weights.arrays["linear.weight"].copy())
        model.linear.bias.data = torch.from_numpy(weights.arrays["linear.bias"].copy())
        criterion = nn.MSELoss()
        optimizer = torch.optim.Adam(model.parameters(), lr=training.learning_rate, fused=fused)
        inputs, outputs = torch.from_numpy(examples.values), torch.from_numpy(examples.targets)
        context = torch.from_numpy(examples.queries)[:, None]
        errors = []
        for _ in range(training.epochs):
            losses = []
            for i in tqdm(range(len(outputs)), disable=None):
                inp = inputs[i]
                c = context[i]
                pred = model(inp, c).squeeze()
                loss = criterion(pred, outputs[i])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                losses.append(loss.item())
            errors.append(float(np.mean(losses)))
        after = [model.context_embed.weight, model.linear.weight, model.linear.bias]
        names = ("attention.scores", "linear.weight", "linear.bias")
        return errors, {name: tensor.detach().numpy() for name, tensor in zip(names, after, strict=True)}

    return run


def torch_fused(training: Training) -> Program:
    """Ask torch for its fused Adam."""
    return article_loop(training, fused=True)


def product(arrays: Arrays) -> NDArray[np.float32]:
    """Return a·w of embedding, the only part of the weights that the data determine."""
    found: NDArray[np.float32] = arrays["attention.scores"] * arrays["linear.weight"]
    return found
