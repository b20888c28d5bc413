"""The compiled engine against the torch engine, and how it starts."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT, clean_environment

from attention.compiler.adam import STEPS_AHEAD
from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.entry import AttentionFunction
from attention.inference.attention import attention_of, compiled_attention
from attention.network import AttentionNetwork, torch_attention
from attention.params.schema import TrainParams
from attention.tasks.examples import ExampleTable, write_examples
from attention.tasks.problem import Examples, draw_columns, draw_examples, lookup, make_problem
from attention.training.compiled_engine import CompiledEngine
from attention.training.engines import EngineError, choose_engine, start_engine
from attention.training.loop import Epoch, train
from attention.training.torch_engine import TorchEngine
from attention.weights import Weights, draw_weights, initial_weights
from workbench.stage.errors import DataError

N_CONTEXTS, SEQ_LEN = 3, 7
PROBLEM = lookup([2, 6, 3], SEQ_LEN)


def settings(**changes: object) -> TrainParams:
    values = {"epochs": 1, "batch_size": 1, "learning_rate": 0.001, "shuffle": False, "engine": "compiled"}
    return TrainParams.model_validate(values | changes)


def some_examples(n: int) -> Examples:
    (examples,) = draw_examples(PROBLEM, 5, "train", n)
    return examples


@pytest.mark.parametrize("name", ATTENTION_FUNCTIONS)
def test_attention_is_that_of_torch(name: str) -> None:
    weights = draw_weights(name, N_CONTEXTS, SEQ_LEN, seed=3)
    expected = AttentionNetwork.from_weights(weights).double().eval().get_attention(torch.arange(N_CONTEXTS))
    np.testing.assert_allclose(compiled_attention(weights), expected.detach(), rtol=3e-6, atol=3e-7)


@pytest.mark.parametrize(("query", "told"), [(3, 3), (-1, -1), (2, None)])
def test_a_query_that_a_network_does_not_know_is_refused(query: int, told: int | None) -> None:
    weights, examples = draw_weights("softmax", N_CONTEXTS, SEQ_LEN, seed=3), some_examples(5)
    examples.queries[3] = query
    if told is None:
        assert attention_of(weights, examples).shape == (5, SEQ_LEN)
        return
    with pytest.raises(DataError, match=f"^queries: got {told}; allowed of this network: 0 to 2$"):
        attention_of(weights, examples)


def test_a_key_that_a_network_does_not_know_is_refused() -> None:
    problem = make_problem("recall", keys="content+position")
    (examples,) = draw_examples(problem, 0, "train", 5)
    weights = initial_weights("softmax", problem, 0)
    examples.keys[1, 2, 0] = -1  # of several features none
    attention_of(weights, examples)
    examples.keys[1, 2, 0] = -2
    with pytest.raises(DataError, match=f"^keys: got -2; allowed of this network: -1 to {problem.n_keys - 1}$"):
        attention_of(weights, examples)


@pytest.mark.parametrize(("n_keys", "classes"), [(13, None), (None, 3), (13, 3)])
def test_a_network_without_a_task_trains_on_keys_and_classes_of_its_own(
    n_keys: int | None, classes: int | None
) -> None:
    random, n = np.random.default_rng(2), 53
    weights = draw_weights("dot", N_CONTEXTS, SEQ_LEN, 3, n_keys=n_keys, classes=classes)
    keys = random.integers(0, n_keys, (n, SEQ_LEN)) if n_keys else np.arange(SEQ_LEN)
    values = random.random((n, SEQ_LEN, *([classes] if classes else [])), dtype=np.float32)
    targets = random.integers(0, classes, n) if classes else random.random(n, dtype=np.float32)
    nowhere = np.zeros(n, np.int64)
    examples = Examples(values, random.integers(0, N_CONTEXTS, n), keys, targets, nowhere, nowhere)
    engines = [Engine(weights, settings(batch_size=11), 0) for Engine in (CompiledEngine, TorchEngine)]
    errors = [engine.train(examples) for engine in engines]
    assert errors[0] == pytest.approx(errors[1], rel=1e-5)
    for name, array in engines[1].weights().arrays.items():
        np.testing.assert_allclose(engines[0].weights().arrays[name], array, rtol=1e-4, atol=1e-5)
    for asked in (examples, None):
        np.testing.assert_allclose(compiled_attention(weights, asked), torch_attention(weights, asked), rtol=1e-5)


@pytest.mark.parametrize("name", [name for name in ATTENTION_FUNCTIONS if name != "embedding"])
def test_large_scores_neither_overflow_nor_leave_numbers_that_are_none(name: str) -> None:
    weights = draw_weights(name, N_CONTEXTS, SEQ_LEN, seed=0)
    for array in weights.arrays.values():
        array *= 1e4
    expected = AttentionNetwork.from_weights(weights).get_attention(torch.arange(N_CONTEXTS)).detach()
    if expected.isfinite().all():
        np.testing.assert_allclose(compiled_attention(weights), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["softmax", "sparsemax", "entmax15", "hard"])
def test_scores_that_are_no_numbers_harm_nothing_else(name: str) -> None:
    """Whatever training comes to, no program reads or writes beyond its arrays."""
    weights = draw_weights(name, N_CONTEXTS, SEQ_LEN, seed=0)
    weights.arrays["attention.scores"][1, 2] = np.nan
    attention = compiled_attention(weights)
    assert np.isfinite(attention[[0, 2]]).all()
    CompiledEngine(weights, settings(), 0).train(some_examples(17))


def history(table: ExampleTable, name: str, params: TrainParams) -> list[Epoch]:
    return list(train(draw_weights(name, N_CONTEXTS, SEQ_LEN, seed=1), table, params, seed=1))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ExampleTable:
    path = tmp_path_factory.mktemp("data") / "train.parquet"
    write_examples(path, draw_columns(PROBLEM, 1, "train", 211), PROBLEM)
    return ExampleTable(path, PROBLEM)


@pytest.mark.parametrize("name", ATTENTION_FUNCTIONS)
@pytest.mark.parametrize(("batch_size", "shuffle"), [(1, False), (7, True)])
def test_both_engines_train_alike(table: ExampleTable, name: str, batch_size: int, shuffle: bool) -> None:
    """Rounding differs in the order of a few sums: 1e-7 a step, which steps of 0.003 carry on but do not yet amplify.

    Longer runs part: once the error is at its floor, the sign of each gradient is that of its rounding.
    """
    common = {"epochs": 2, "batch_size": batch_size, "shuffle": shuffle, "learning_rate": 0.003}
    compiled = history(table, name, settings(**common, engine="compiled"))
    torch_ = history(table, name, settings(**common, engine="torch"))
    for ours, meant in zip(compiled, torch_, strict=True):
        assert ours.loss == pytest.approx(meant.loss, rel=1e-4)
        np.testing.assert_allclose(ours.attention, meant.attention, atol=2e-4)
        for array, other in zip(ours.weights.arrays.values(), meant.weights.arrays.values(), strict=True):
            np.testing.assert_allclose(array, other, atol=2e-4)


def test_a_wrong_gradient_would_be_seen(table: ExampleTable) -> None:
    """The twin of the test above: one part in a hundred more on the learning rate is outside its tolerance."""
    ours = history(table, "softmax", settings(epochs=2, learning_rate=0.00303))[-1]
    meant = history(table, "softmax", settings(epochs=2, learning_rate=0.003, engine="torch"))[-1]
    assert np.abs(ours.attention - meant.attention).max() > 2e-4


@pytest.mark.parametrize("rows", [7, 211])
def test_results_do_not_depend_on_row_groups(table: ExampleTable, tmp_path: Path, rows: int) -> None:
    write_examples(tmp_path / "t.parquet", draw_columns(PROBLEM, 1, "train", 211, rows), PROBLEM)
    other = history(ExampleTable(tmp_path / "t.parquet", PROBLEM), "softmax", settings(batch_size=7, shuffle=True))
    same = history(table, "softmax", settings(batch_size=7, shuffle=True))
    assert other[0].loss == same[0].loss
    assert (other[0].attention == same[0].attention).all()


@pytest.mark.parametrize(("name", "batch_size"), [("embedding", 1), ("hard", 1), ("softmax", 7)])
def test_it_does_not_matter_how_many_steps_a_call_takes(name: str, batch_size: int) -> None:
    """Corrections of Adam's bias are computed for blocks of steps, which end with each call."""
    examples = some_examples((3 * STEPS_AHEAD + 5) * batch_size)
    weights, params = draw_weights(name, N_CONTEXTS, SEQ_LEN, 0), settings(batch_size=batch_size)
    whole, parts = (CompiledEngine(weights, params, 0) for _ in range(2))
    whole.train(examples)
    for first, last in ((0, 1), (1, STEPS_AHEAD + 1), (STEPS_AHEAD + 1, 3 * STEPS_AHEAD + 5)):
        parts.train(examples.take(slice(first * batch_size, last * batch_size)))
    assert (whole._parameters == parts._parameters).all()
    assert whole._powers == pytest.approx([0.9 ** (3 * STEPS_AHEAD + 5), 0.999 ** (3 * STEPS_AHEAD + 5)])


def test_the_squares_are_those_of_float64() -> None:
    """Of errors in float32, which a square in float32 would round once more."""
    examples = some_examples(1)
    weights = draw_weights("embedding", N_CONTEXTS, SEQ_LEN, 0)
    outputs = AttentionNetwork.from_weights(weights)(torch.tensor(examples.values), torch.tensor(examples.queries))
    error = float(outputs.detach()[0]) - float(examples.targets[0])
    assert CompiledEngine(weights, settings(), 0).train(examples) == pytest.approx(error**2, rel=1e-5)


# What cannot be compiled.


def own(parameters: dict[str, torch.Tensor], queries: torch.Tensor, keys: torch.Tensor, **_: object) -> torch.Tensor:
    """Decide by a value, as no compiled program can."""
    scores = parameters["scores"][queries][..., keys]
    return scores if scores.sum() > 0 else -scores


TOLD = (
    "decided: cannot be compiled: got a decision that depends on values in line {} of test_compiled_engine.py "
    "(return scores if scores.sum() > 0 else -scores); use torch.where, write it otherwise, or choose "
    "train.engine: torch"
)


@pytest.fixture
def decided(monkeypatch: pytest.MonkeyPatch) -> Weights:
    entry = AttentionFunction(own, ATTENTION_FUNCTIONS["embedding"].shapes, "±E", "a test")
    monkeypatch.setitem(ATTENTION_FUNCTIONS, "decided", entry)
    return draw_weights("decided", N_CONTEXTS, SEQ_LEN, 0)


def test_what_cannot_be_compiled_trains_through_torch_and_says_why(
    decided: Weights, capsys: pytest.CaptureFixture[str]
) -> None:
    told = TOLD.format(own.__code__.co_firstlineno + 3)
    assert choose_engine(settings(engine="auto"), decided) == "torch"
    assert choose_engine(settings(engine="auto"), draw_weights("softmax", N_CONTEXTS, SEQ_LEN, 0)) == "compiled"
    for _ in range(2):
        engine = start_engine(decided, settings(engine="auto"), 0)
    assert capsys.readouterr().err == f"{told}; training goes on through torch\n", "once"
    assert engine.train(some_examples(5)) > 0
    assert attention_of(decided).shape == (N_CONTEXTS, SEQ_LEN)
    with pytest.raises(EngineError) as refused:
        start_engine(decided, settings(engine="compiled"), 0)
    assert str(refused.value) == f"train.engine: got 'compiled'; allowed with decided: one of: auto, torch; {told}"


# How it starts.

LOAD = """
import sys
sys.path.insert(0, "stages")
from attention.inference.attention import compiled_attention
from attention.training.compiled_engine import CompiledEngine
from attention.params.schema import TrainParams
from attention.weights import draw_weights
weights = draw_weights(sys.argv[1], 3, 7, 0)
params = TrainParams(epochs=1, batch_size=1, learning_rate=0.1, shuffle=False, engine="compiled")
CompiledEngine(weights, params, 0)
print("torch" in sys.modules, "sympy" in sys.modules, compiled_attention(weights)[0, 0])
"""


def load(name: str, cwd: Path, **environment: str) -> "subprocess.Popen[str]":
    environ = clean_environment(PYTHONWARNINGS="ignore", **environment)
    return subprocess.Popen([sys.executable, "-c", LOAD, name], cwd=cwd, env=environ, stdout=subprocess.PIPE, text=True)


def said(process: "subprocess.Popen[str]") -> list[str]:
    return process.communicate(timeout=240)[0].split()


def test_programs_are_found_again_from_any_copy_without_torch_even_when_two_processes_make_them_at_once(
    tmp_path: Path,
) -> None:
    """One hangs meanwhile: nobody is waited for."""
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "stages").symlink_to(ROOT / "stages")
    cache = str(tmp_path / "cache")
    hanging = load("embedding", ROOT, XDG_CACHE_HOME=cache)
    os.kill(hanging.pid, signal.SIGSTOP)
    try:
        made = [said(process) for process in [load("embedding", ROOT, XDG_CACHE_HOME=cache) for _ in range(2)]]
        found = said(load("embedding", copy, XDG_CACHE_HOME=cache))
    finally:
        hanging.kill()
        hanging.communicate()
    assert [each[:2] for each in made] == [["True", "True"]] * 2
    assert found[:2] == ["False", "False"]
    assert {each[2] for each in [*made, found]} == {found[2]}


def test_programs_are_made_where_nothing_can_be_kept(tmp_path: Path) -> None:
    """A home that is a file can hold no folder: the code is compiled for the process alone."""
    (tmp_path / "home").write_text("")
    process = load("embedding", ROOT, XDG_CACHE_HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path))
    assert said(process)[0] == "True"
    assert process.returncode == 0
    assert {path.name for path in tmp_path.iterdir()} == {"home"}
