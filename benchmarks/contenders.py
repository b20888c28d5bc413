"""The same training, written by different hands: each takes the examples and the initial weights and runs four epochs.

A contender is a function that prepares (compiles, copies) and returns the function to be timed; that one returns the
last epoch's MSE and the product a·w, the only part of the weights that the data determine.
"""

import ctypes
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from attention.params.schema import TrainParams
from attention.tasks.problem import Examples
from attention.training.compiled_engine import CompiledEngine
from attention.training.engines import Engine
from attention.training.torch_engine import TorchEngine
from attention.weights import Weights

EPOCHS, LEARNING_RATE = 4, 0.001
Result = tuple[float, NDArray[np.floating[Any]]]  # MSE of the last epoch, a·w
Contender = Callable[[Examples, Weights], Callable[[], Result] | None]


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


def article_loop(examples: Examples, weights: Weights, fused: bool | None = None) -> Callable[[], Result]:
    """Type the article's loop, with the lines that its listing lost."""
    from tqdm import tqdm

    def run() -> Result:
        model = ArticleNetwork(weights.n_contexts, weights.seq_len)
        model.context_embed.weight.data = torch.from_numpy(weights.arrays["attention.scores"].copy())
        model.linear.weight.data = torch.from_numpy(weights.arrays["linear.weight"].copy())
        model.linear.bias.data = torch.from_numpy(weights.arrays["linear.bias"].copy())
        criterion = nn.MSELoss()
        optimizer = torch.optim.Adam(model.parameters(), fused=fused)
        inputs, outputs = torch.from_numpy(examples.values), torch.from_numpy(examples.targets)
        context = torch.from_numpy(examples.queries)[:, None]
        for _ in range(EPOCHS):
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
        product = model.context_embed.weight * model.linear.weight
        return float(np.mean(losses)), product.detach().numpy()

    return run


def torch_fused(examples: Examples, weights: Weights) -> Callable[[], Result]:
    """Ask torch for its fused Adam."""
    return article_loop(examples, weights, fused=True)


def jax_scan(examples: Examples, weights: Weights) -> Callable[[], Result] | None:
    """Scan over the steps of an epoch under jit."""
    try:
        import jax
    except ModuleNotFoundError:
        return None
    import jax.numpy as jnp

    def loss(p: Any, x: Any, c: Any, y: Any) -> Any:
        return ((x * p["e"][c]) @ p["w"] + p["b"] - y) ** 2

    def step(state: Any, example: Any) -> Any:
        p, m, v, t = state
        error, g = jax.value_and_grad(loss)(p, *example)
        t = t + 1
        m = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, m, g)
        v = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, v, g)
        rate, scale = LEARNING_RATE / (1 - 0.9**t), 1 / jnp.sqrt(1 - 0.999**t)
        p = jax.tree.map(lambda p, m, v: p - rate * m / (jnp.sqrt(v) * scale + 1e-8), p, m, v)
        return (p, m, v, t), error

    epoch = jax.jit(lambda state, data: jax.lax.scan(step, state, data))
    data = tuple(jnp.asarray(column) for column in (examples.values, examples.queries, examples.targets))

    def run() -> Result:
        arrays = weights.arrays
        p = {"e": arrays["attention.scores"], "w": arrays["linear.weight"][0], "b": arrays["linear.bias"][0]}
        p = {name: jnp.asarray(value) for name, value in p.items()}
        zero = {name: jnp.zeros_like(value) for name, value in p.items()}
        state: Any = (p, zero, zero, jnp.float32(0))
        for _ in range(EPOCHS):
            state, errors = epoch(state, data)
        return float(errors.mean()), np.asarray(state[0]["e"] * state[0]["w"])

    run()
    return run


def c_program(examples: Examples, weights: Weights) -> Callable[[], Result] | None:
    """Compile loop.c for this machine."""
    if not (compiler := shutil.which("cc")):
        return None
    library = Path(tempfile.mkdtemp()) / "loop.so"
    flags = ["-O3", "-march=native", "-fno-math-errno", "-shared", "-fPIC"]
    subprocess.run([compiler, *flags, Path(__file__).with_name("loop.c"), "-o", library, "-lm"], check=True)
    train = ctypes.CDLL(str(library)).train
    train.restype = ctypes.c_double

    def run() -> Result:
        p = np.concatenate([array.ravel() for array in weights.arrays.values()])
        arrays = [p, np.zeros_like(p), np.zeros_like(p), np.ones(2), *examples]
        pointers = [array.ctypes.data_as(ctypes.c_void_p) for array in arrays]
        n = len(examples.targets)
        for _ in range(EPOCHS):
            mse = train(*pointers, ctypes.c_int64(n), ctypes.c_double(LEARNING_RATE)) / n
        shape = weights.n_contexts, weights.seq_len
        return mse, p[: shape[0] * shape[1]].reshape(shape) * p[-1 - shape[1] : -1]

    return run


def compiled_engine(examples: Examples, weights: Weights) -> Callable[[], Result]:
    """Run the project's compiled engine."""
    return _engine(partial(CompiledEngine, seed=0), "compiled", examples, weights)


def torch_engine(examples: Examples, weights: Weights) -> Callable[[], Result]:
    """Run the project's torch engine."""
    return _engine(partial(TorchEngine, seed=0), "torch", examples, weights)


def _engine(
    kind: Callable[[Weights, TrainParams], Engine], name: Any, examples: Examples, weights: Weights
) -> Callable[[], Result]:
    params = TrainParams(epochs=EPOCHS, batch_size=1, learning_rate=LEARNING_RATE, shuffle=False, engine=name)

    def run() -> Result:
        engine = kind(weights, params)
        for _ in range(EPOCHS):
            mse = engine.train(examples) / len(examples.targets)
        arrays = engine.weights().arrays
        return mse, arrays.get("attention.scores", np.zeros(1)) * arrays["linear.weight"][0]

    return run
