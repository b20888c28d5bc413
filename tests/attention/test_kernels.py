"""The compiled kernels against torch autograd, and the compiled engine against the torch engine."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, clean_environment
from filelock import FileLock
from numpy.typing import NDArray

from attention.compiler.compiled_loop import STEPS_AHEAD
from attention.compiler.kernel_arithmetic import exp, tanh
from attention.compiler.kernels import KERNELS
from attention.functions import ATTENTION_FUNCTIONS
from attention.network import AttentionNetwork
from attention.params.schema import TrainParams
from attention.tasks.examples import ExampleTable, write_examples
from attention.tasks.problem import Examples, draw_columns, draw_examples, lookup
from attention.training.compiled_engine import CompiledEngine, compiled_attention
from attention.training.engines import choose_engine
from attention.training.loop import Epoch, train
from attention.weights import Weights, draw_weights

# (n_contexts, seq_len): primes, one position, one context, more than a vector of either kind
SIZES = [(3, 7), (5, 2), (1, 13), (11, 1), (2, 37)]


def settings(**changes: object) -> TrainParams:
    values = {"epochs": 1, "batch_size": 1, "learning_rate": 0.001, "shuffle": False, "engine": "compiled"}
    return TrainParams.model_validate(values | changes)


def some_examples(n: int, n_contexts: int, seq_len: int) -> Examples:
    truth = np.arange(n_contexts) * 3 % seq_len
    (examples,) = draw_examples(lookup(truth, seq_len), 5, "train", n)
    return examples


def torch_gradient(weights: Weights, examples: Examples, dtype: torch.dtype) -> dict[str, NDArray[Any]]:
    network = AttentionNetwork.from_weights(weights).to(dtype)
    outputs = network(torch.tensor(examples.values, dtype=dtype), torch.tensor(examples.queries))
    loss = torch.nn.functional.mse_loss(outputs, torch.tensor(examples.targets, dtype=dtype))
    names, parameters = zip(*network.named_parameters(), strict=True)
    gradients = torch.autograd.grad(loss, parameters)
    return {name: gradient.numpy() for name, gradient in zip(names, gradients, strict=True)}


def kernel_gradient(weights: Weights, examples: Examples) -> dict[str, NDArray[np.float32]]:
    """Adam's running mean after its first step, over 1 - β₁, is the gradient."""
    engine = CompiledEngine(weights, settings(batch_size=len(examples.targets)))
    engine.train(examples)
    ends = np.cumsum([array.size for array in weights.arrays.values()])[:-1]
    parts: list[NDArray[np.float32]] = np.split(engine._means[0] / np.float32(0.1), ends)
    return {
        name: np.reshape(part, array.shape) for (name, array), part in zip(weights.arrays.items(), parts, strict=True)
    }


def test_the_registry_says_which_functions_have_a_kernel() -> None:
    assert {name for name, function in ATTENTION_FUNCTIONS.items() if function.has_kernel} == set(KERNELS)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("n_contexts", "seq_len"), SIZES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 2e-6)])
def test_attention_and_gradients_are_those_of_autograd(
    name: str, n_contexts: int, seq_len: int, dtype: torch.dtype, tolerance: float
) -> None:
    weights = draw_weights(name, n_contexts, seq_len, seed=3)
    network = AttentionNetwork.from_weights(weights).to(dtype)
    expected = network.get_attention(torch.arange(n_contexts)).detach().numpy()
    near_zero = 3e-7 if (expected == 0).any() else 1e-30  # at the edge of a support only absolute errors are small
    np.testing.assert_allclose(compiled_attention(weights), expected, rtol=tolerance, atol=near_zero)

    examples = some_examples(17, n_contexts, seq_len)
    found = kernel_gradient(weights, examples)
    for parameter, gradient in torch_gradient(weights, examples, dtype).items():
        scale = np.abs(gradient).max()  # sums of 17 terms of either sign lose digits relative to the largest
        np.testing.assert_allclose(found[parameter], gradient, rtol=tolerance, atol=5e-6 * scale, err_msg=parameter)


@pytest.mark.parametrize("name", [name for name in KERNELS if name != "embedding"])
def test_large_scores_neither_overflow_nor_leave_numbers_that_are_none(name: str) -> None:
    weights = draw_weights(name, 3, 5, seed=0)
    for array in weights.arrays.values():
        array *= 1e4
    attention = compiled_attention(weights)
    expected = AttentionNetwork.from_weights(weights).get_attention(torch.arange(3)).detach().numpy()
    np.testing.assert_allclose(attention, expected, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (name, {option: 0.7 if option == "temperature" else 3})
        for name in KERNELS
        for option in ATTENTION_FUNCTIONS[name].options
    ],
)
def test_options_reach_the_kernel(name: str, options: dict[str, float]) -> None:
    weights = draw_weights(name, 5, 7, seed=3, options=options)
    network = AttentionNetwork.from_weights(weights).to(torch.float64)
    expected = network.get_attention(torch.arange(5)).detach().numpy()
    np.testing.assert_allclose(compiled_attention(weights), expected, rtol=1e-6, atol=3e-7)
    assert np.abs(compiled_attention(draw_weights(name, 5, 7, seed=3)) - expected).max() > 0.01
    examples = some_examples(17, 5, 7)
    found = kernel_gradient(weights, examples)
    for parameter, gradient in torch_gradient(weights, examples, torch.float64).items():
        scale = np.abs(gradient).max()
        np.testing.assert_allclose(found[parameter], gradient, rtol=1e-6, atol=5e-6 * scale, err_msg=parameter)


@pytest.mark.parametrize("name", ["sparsemax", "entmax15"])
def test_sparse_kernels_end_at_ties_and_on_long_sequences(name: str) -> None:
    """Their search for a threshold has no fixed number of rounds."""
    random = np.random.default_rng(0)
    at_the_threshold = [0.0, -0.07803529500961304, -0.5390176177024841]  # rounding drops the last, then brings it back
    for row in (
        at_the_threshold,
        [0.0] * 11,
        [1.0, 1.0, -1.0],
        [3e38, -3e38],
        [0.0, -1.0, -2.0],
        random.standard_normal(1021) * 1e-3,
    ):
        scores = np.array([row], np.float32)
        weights = draw_weights(name, 1, scores.size, 0)
        attention = compiled_attention(weights.with_arrays(weights.arrays | {"attention.scores": scores}))[0]
        attend = ATTENTION_FUNCTIONS[name].attend
        table, keys = torch.tensor(scores).double(), torch.arange(scores.size)
        exact = attend({"scores": table}, torch.tensor(0), keys, temperature=1.0)
        np.testing.assert_allclose(attention, exact, atol=1e-6)


def test_tanh_is_within_three_units_in_the_last_place() -> None:
    x = np.linspace(-11, 11, 100_003, dtype=np.float32)
    exact = np.tanh(x.astype(np.float64))
    found = np.array([tanh(value) for value in x])
    assert found.dtype == np.float32
    assert (np.abs(found - exact) / np.spacing(np.abs(exact).astype(np.float32))).max() < 3
    with np.errstate(over="ignore", invalid="ignore"):  # of the polynomial that is not chosen there
        assert [tanh(np.float32(end)) for end in (-3e38, 0, 3e38)] == [-1, 0, 1]


def test_exp_is_within_two_units_in_the_last_place() -> None:
    x = np.linspace(-87, 0, 100_003, dtype=np.float32)
    exact = np.exp(x.astype(np.float64))
    off = np.abs(np.array([exp(value) for value in x], dtype=np.float64) - exact) / np.spacing(exact.astype(np.float32))
    assert off.max() < 2
    assert exp(np.float32(0)) == 1
    assert exp(np.float32(-87.5)) == exp(np.float32("-inf")) == 0


def history(table: ExampleTable, name: str, params: TrainParams) -> list[Epoch]:
    return list(
        train(draw_weights(name, table.problem.n_queries, table.problem.seq_len, seed=1), table, params, seed=1)
    )


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ExampleTable:
    problem = lookup([2, 6, 3], 7)
    path = tmp_path_factory.mktemp("data") / "train.parquet"
    write_examples(path, draw_columns(problem, 1, "train", 211), problem)
    return ExampleTable(path, problem)


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize(("batch_size", "shuffle"), [(1, False), (1, True), (7, True), (223, False)])
def test_both_engines_train_alike(table: ExampleTable, name: str, batch_size: int, shuffle: bool) -> None:
    """Rounding differs in the order of a few sums: 1e-7 a step, which steps of 0.01 carry on but do not yet amplify.

    Longer runs part: once the error is at its floor, the sign of each gradient is that of its rounding.
    """
    common = {"epochs": 2, "batch_size": batch_size, "shuffle": shuffle, "learning_rate": 0.003}
    compiled = history(table, name, settings(**common, engine="compiled"))
    torch_ = history(table, name, settings(**common, engine="torch"))
    for ours, meant in zip(compiled, torch_, strict=True):
        assert ours.mse == pytest.approx(meant.mse, rel=1e-4)
        np.testing.assert_allclose(ours.attention, meant.attention, atol=2e-4)
        for array, other in zip(ours.weights.arrays.values(), meant.weights.arrays.values(), strict=True):
            np.testing.assert_allclose(array, other, atol=2e-4)


def test_a_wrong_gradient_would_be_seen(table: ExampleTable) -> None:
    """The twin of the test above: one part in a hundred more on the learning rate is outside its tolerance."""
    ours = history(table, "softmax", settings(epochs=2, learning_rate=0.00303))[-1]
    meant = history(table, "softmax", settings(epochs=2, learning_rate=0.003, engine="torch"))[-1]
    assert np.abs(ours.attention - meant.attention).max() > 2e-4


@pytest.mark.parametrize("rows", [7, 64, 211])
def test_results_do_not_depend_on_row_groups(table: ExampleTable, tmp_path: Path, rows: int) -> None:
    write_examples(tmp_path / "t.parquet", draw_columns(table.problem, 1, "train", 211, rows), table.problem)
    other = history(
        ExampleTable(tmp_path / "t.parquet", table.problem), "softmax", settings(batch_size=5, shuffle=True)
    )
    same = history(table, "softmax", settings(batch_size=5, shuffle=True))
    assert other[0].mse == same[0].mse
    assert (other[0].attention == same[0].attention).all()


def test_it_does_not_matter_how_many_steps_a_call_takes() -> None:
    """Corrections of Adam's bias are computed for blocks of steps, which end with each call."""
    examples = some_examples(3 * STEPS_AHEAD + 5, 3, 7)
    whole, parts = (CompiledEngine(draw_weights("embedding", 3, 7, 0), settings()) for _ in range(2))
    whole.train(examples)
    for piece in (slice(0, 1), slice(1, STEPS_AHEAD + 1), slice(STEPS_AHEAD + 1, None)):
        parts.train(examples.take(piece))
    assert (whole._parameters == parts._parameters).all()
    assert whole._powers == pytest.approx([0.9 ** len(examples.targets), 0.999 ** len(examples.targets)])


def test_auto_is_compiled_where_there_is_a_kernel() -> None:
    for name, function in ATTENTION_FUNCTIONS.items():
        assert choose_engine("auto", name) == ("compiled" if function.has_kernel else "torch")
        assert choose_engine("torch", name) == "torch"


LOAD = """
import sys
import numpy as np
sys.path.insert(0, "stages")
from attention.training.compiled_engine import CompiledEngine, compiled_attention
from attention.compiler.compiled_loop import train_epochs
from attention.tasks.problem import Examples
from attention.params.schema import TrainParams
from attention.weights import draw_weights
weights = draw_weights(sys.argv[1], 3, 7, 0)
params = TrainParams(epochs=1, batch_size=1, learning_rate=0.1, shuffle=False, engine="compiled")
none = np.empty(0, np.int64)
nothing = Examples(np.empty((0, 7), np.float32), none, np.arange(7), np.empty(0, np.float32), none, none)
CompiledEngine(weights, params).train(nothing)
print(sum(train_epochs.stats.cache_hits.values()), compiled_attention(weights)[0, 0])
"""


def load(name: str, cwd: Path, **environment: str) -> "subprocess.Popen[str]":
    environ = clean_environment(**environment)
    return subprocess.Popen([sys.executable, "-c", LOAD, name], cwd=cwd, env=environ, stdout=subprocess.PIPE, text=True)


def test_compiled_code_is_found_again_from_any_copy_even_when_two_processes_compile_at_once(tmp_path: Path) -> None:
    """Two functions are compiled side by side, then loaded from a copy of the project that lies elsewhere."""
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "stages").symlink_to(ROOT / "stages")
    cache = str(tmp_path / "cache")
    first = [load(name, ROOT, NUMBA_CACHE_DIR=cache) for name in ("embedding", "softmax")]
    compiled = [process.communicate(timeout=120)[0].split() for process in first]
    again = [load(name, copy, NUMBA_CACHE_DIR=cache) for name in ("embedding", "softmax")]
    loaded = [process.communicate(timeout=120)[0].split() for process in again]
    assert [hits for hits, _ in compiled] == ["0", "0"]
    assert [hits for hits, _ in loaded] == ["1", "1"]
    assert [value for _, value in loaded] == [value for _, value in compiled]


def test_kernels_compile_where_nothing_can_be_cached(tmp_path: Path) -> None:
    """A home that is a file can hold no folder: the code is compiled for the process alone."""
    (tmp_path / "home").write_text("")
    process = load("embedding", ROOT, XDG_CACHE_HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path))
    assert process.communicate(timeout=120)[0].split()[0] == "0"
    assert process.returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"home"}


def test_nobody_is_waited_for(tmp_path: Path) -> None:
    """A process that hangs while it has what all need, as an earlier release had a lock, costs the others nothing."""
    cache = tmp_path / "cache"
    with FileLock(cache.parent / "compiling.lock"):
        cache.mkdir(0o700)
        hanging = load("embedding", ROOT, NUMBA_CACHE_DIR=str(cache))
        os.kill(hanging.pid, signal.SIGSTOP)
        try:
            assert load("embedding", ROOT, NUMBA_CACHE_DIR=str(cache)).communicate(timeout=240)[0].split()[0] == "0"
            assert load("embedding", ROOT, NUMBA_CACHE_DIR=str(cache)).communicate(timeout=240)[0].split()[0] == "1"
        finally:
            hanging.kill()
            hanging.communicate()
