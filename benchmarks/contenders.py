"""The article's training in different hands: each takes a problem and returns the program to be timed, ready to run.

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
from attention.tasks.examples import Examples
from attention.training.engines import start_engine
from attention.weights import Arrays, Weights
from workbench.stage.streams import stream

SEED = 0
Result = tuple[list[float], Arrays]  # each epoch's MSE, and the weights after all
Program = Callable[[], Result]


@dataclass(frozen=True)
class Problem:
    """What all have in common: the initial weights, and the training of the article."""

    weights: Weights
    examples: Examples
    epochs: int = 4
    learning_rate: float = 0.001

    @property
    def steps(self) -> int:
        """How many steps a training takes."""
        return self.epochs * len(self.examples.targets)

    def first(self, n: int, epochs: int = 1) -> "Problem":
        """Return the problem with the first examples alone."""
        return Problem(self.weights, self.examples.take(slice(n)), epochs, self.learning_rate)


def compiled(problem: Problem) -> Program:
    """Run the project's compiled engine."""
    return _engine(problem, "compiled")


def torch_loop(problem: Problem) -> Program:
    """Run the project's torch engine: the article's loop, over any function."""
    return _engine(problem, "torch")


def _engine(problem: Problem, name: Any) -> Program:
    rate = problem.learning_rate
    params = TrainParams(epochs=problem.epochs, batch_size=1, learning_rate=rate, shuffle=False, engine=name)

    def run() -> Result:
        engine = start_engine(problem.weights, params, SEED)
        epochs = list(engine.epochs(problem.examples, problem.epochs))
        errors = [error / len(problem.examples.targets) for error, _ in epochs]
        return errors, epochs[-1][1].arrays

    run()  # torch and Numba prepare at the first
    return run


def jax_scan(problem: Problem) -> Program | None:
    """Scan over the steps of JAX under jit; None without JAX, or without a twin of the function."""
    try:
        import jax
    except ModuleNotFoundError:
        return None
    from peers import jax_functions
    from peers.jax_training import Data, Steps, training

    weights, (values, contexts, targets) = problem.weights, problem.examples
    if weights.function not in jax_functions.FUNCTIONS:
        return None
    noise = None
    if ATTENTION_FUNCTIONS[weights.function].noisy:
        noise = stream(SEED, "gumbel noise").random((problem.epochs, *values.shape), dtype=np.float32)
    data = jax.device_put((dict(weights.arrays), Data(values, contexts.astype(np.int32), None, targets, noise)))
    steps = Steps(problem.epochs, learning_rate=problem.learning_rate)
    train = jax.jit(training(weights.function, weights.options, steps)).lower(*data).compile()

    def run() -> Result:
        errors, after = train(*data)
        return errors.tolist(), {name: np.asarray(array) for name, array in after.items()}

    return run


def c_program(problem: Problem) -> Program | None:
    """Compile the plain loop for this machine."""
    return _c("loop.c", ["-march=native"], problem)


def c_vectors(problem: Problem) -> Program | None:
    """Compile the strict vectors, for any processor of this kind."""
    avx2 = ["-mavx2"] if platform.machine() == "x86_64" else []
    return _c("vectors.c", ["-ffp-contract=off", *avx2], problem)


def _c(source: str, flags: Sequence[str], problem: Problem) -> Program | None:
    if not (compiler := shutil.which("cc")):
        return None
    path, library = Path(__file__).parent / "peers" / source, Path(tempfile.mkdtemp()) / "loop.so"
    subprocess.run(
        [compiler, "-O3", *flags, "-fno-math-errno", "-shared", "-fPIC", path, "-o", library, "-lm"], check=True
    )
    train = ctypes.CDLL(str(library)).train
    train.restype = ctypes.c_double
    initial = np.concatenate([array.ravel() for array in problem.weights.arrays.values()])
    n = len(problem.examples.targets)

    def run() -> Result:
        p, m, v = (np.zeros(-(-len(initial) // 8) * 8, np.float32) for _ in range(3))  # whole vectors
        p[: len(initial)] = initial
        arrays: list[Any] = [p, m, v, np.ones(2), *problem.examples]
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
        rate = ctypes.c_double(problem.learning_rate)
        errors = [train(*pointers, ctypes.c_int64(n), rate) / n for _ in range(problem.epochs)]
        after, first = {}, 0
        for name, array in problem.weights.arrays.items():
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


def article_loop(problem: Problem, fused: bool | None = None) -> Program:
    """Type the article's loop, with the lines that its listing lost."""
    from tqdm import tqdm

    weights, examples = problem.weights, problem.examples

    def run() -> Result:
        model = ArticleNetwork(weights.n_contexts, weights.seq_len)
        model.context_embed.weight.data = torch.from_numpy(weights.arrays["attention.scores"].copy())
        model.linear.weight.data = torch.from_numpy(weights.arrays["linear.weight"].copy())
        model.linear.bias.data = torch.from_numpy(weights.arrays["linear.bias"].copy())
        criterion = nn.MSELoss()
        optimizer = torch.optim.Adam(model.parameters(), lr=problem.learning_rate, fused=fused)
        inputs, outputs = torch.from_numpy(examples.inputs), torch.from_numpy(examples.targets)
        context = torch.from_numpy(examples.contexts)[:, None]
        errors = []
        for _ in range(problem.epochs):
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


def torch_fused(problem: Problem) -> Program:
    """Ask torch for its fused Adam."""
    return article_loop(problem, fused=True)


def product(arrays: Arrays) -> NDArray[np.float32]:
    """Return a·w of embedding, the only part of the weights that the data determine."""
    found: NDArray[np.float32] = arrays["attention.scores"] * arrays["linear.weight"]
    return found
