"""The compiler against torch: each operation over random shapes, each gradient; and what it says it cannot do."""

import functools
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from numpy.typing import NDArray
from programs import evaluate, interpret, run
from torch import Tensor

from attention.compiler import CannotCompile, Definition, compiled, primitives
from attention.compiler.aten import OPERATIONS
from attention.compiler.machine import compile_program
from attention.compiler.programs import evaluation_program, training_program
from attention.compiler.tracing import trace_forward, trace_training
from attention.functions import ATTENTION_FUNCTIONS
from attention.inference.definitions import takes_noise, training_definition
from attention.weights import Weights, draw_weights

Tensors = dict[str, Tensor]
Function = Callable[[Tensors, Tensors], Any]
PRIMES = st.sampled_from([1, 2, 3, 5, 7, 13, 19])  # less and more than a vector, or than four
few = settings(max_examples=2, deadline=None, derandomize=True, phases=[Phase.generate])  # nothing is shrunk: slow
precise = pytest.mark.parametrize(("kind", "tolerance"), [("float64", 1e-13), ("float32", 3e-6)])


def define(
    function: Function, parameters: Mapping[str, tuple[int, ...]], kind: str = "float32", **example: Any
) -> Definition:
    return Definition("a test", "", parameters, {"at": ((), "int64"), **example}, lambda: function, kind=kind)


def numbers(shapes: Mapping[str, tuple[int, ...]], kind: str, seed: int = 3) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    return {name: random.standard_normal(shape).astype(kind) for name, shape in shapes.items()}


def check(function: Function, shapes: Mapping[str, tuple[int, ...]], kind: str, tolerance: float) -> None:
    """Compare all outputs with torch's."""
    definition, parameters = define(function, shapes, kind), numbers(shapes, kind)
    example = {"at": np.array([1, 0])}
    found = evaluate(definition, trace_forward(definition), parameters, example)
    tensors = {name: torch.from_numpy(array) for name, array in parameters.items()}
    for row, at in enumerate(example["at"].tolist()):
        for name, expected in function(tensors, {"at": torch.tensor(at)}).items():
            assert found[name].shape[1:] == expected.shape, name
            assert found[name].dtype == expected.numpy().dtype, name
            np.testing.assert_allclose(found[name][row], expected.numpy(), tolerance, tolerance, err_msg=name)


def elementwise(p: Tensors, _: Tensors) -> Tensors:
    x, y = p["x"], p["y"]  # (n, m) and (m,)
    small, above = x.abs() + 0.5, x > y
    return {
        "arithmetic": (x + y) * (x - y) / small - 2 * x + (1 - y) / 3,
        "scaled": torch.add(x, y, alpha=3) + torch.sub(x, y, alpha=0.5) + torch.rsub(x, y),
        "exponentials": (x.exp() + small.log() + x.tanh() + x.sigmoid()) / 2,
        "roots": small.sqrt() + small.rsqrt() + small.reciprocal() + x.abs() + x.neg(),
        "powers": x**2 + x**3 + small**-1 + small**0.5 + small**1.7 + small**y,
        "near zero": (x / 1000).expm1() + (x / 1000).log1p() + x.expm1() + small.log1p(),
        "limits": x.relu() + x.clamp(min=-0.5) + x.clamp(max=0.5) + x.clamp(-0.3, 0.3) + x.sign(),
        "extremes": torch.maximum(x, y) + torch.minimum(x, y),
        "elu": torch.nn.functional.elu(x) + torch.nn.functional.silu(x) + torch.nn.functional.softplus(x),
        "comparisons": (x < y) & (x <= 1) | (x >= y) & ~(x == y) & (x != 0),
        "chosen": torch.where(above, x, y) + x.masked_fill(above, 3.0) + torch.where(above, 1.0, 0.0),
        "logical": torch.logical_and(x > 0, y > 0) | torch.logical_or(x > 1, torch.logical_not(y > 1)),
        "types": x.double() + (x > 0).double() + (x * 3).long().double() + above.long().to(x.dtype),
        "constants": x + torch.arange(x.shape[-1]) + torch.ones(x.shape) * torch.full((x.shape[-1],), 2.0),
    }


def views(p: Tensors, _: Tensors) -> Tensors:
    x, y = p["x"], p["y"]
    n, m = x.shape
    written = x.clone()
    written[:, : (m + 1) // 2] = 3.0
    written[n // 2] = y
    return {
        "written": written,
        "transposed": x.T + 0,
        "turned": x.T.exp() * y.unsqueeze(-1),
        "expanded": x.unsqueeze(1) * y.expand(2, m).unsqueeze(0),
        "flat": (x * 2).reshape(-1) + (x.T * 1).reshape(-1),
        "parted": x.reshape(1, n, m, 1).squeeze(0) + x.reshape(n, m).unsqueeze(-1),
        "row": x[n // 2] * x[:, m // 2].sum(),
        "part": x[:, : (m + 1) // 2].exp() + x[:, (m - 1) // 2 * 0 : (m + 1) // 2],
        "every other": x[::2] * 3,
        "together": torch.cat([x, x * 2, y.unsqueeze(0)], 0),
        "stacked": torch.stack([x, -x], 1),
        "copied": x.clone() + x.detach() + x.contiguous(),
    }


def reductions(p: Tensors, _: Tensors) -> Tensors:
    x, y = p["x"], p["y"]
    return {
        "sums": x.sum() + x.sum(0) * 2 + (x * y).sum(-1, keepdim=True),
        "means": x.mean() + x.mean(0) + x.mean(1, keepdim=True),
        "extremes": x.amax(-1, keepdim=True) + x.amin(0) + x.max() + x.min(),
        "largest": x.max(-1).values + x.min(-1).values,
        "where": x.argmax(-1) + x.argmin(-1) * 100 + x.argmax(),
        "norms": torch.linalg.vector_norm(x, dim=-1) + x.norm(dim=-1) + x.norm(1, dim=-1),
        "softmax": x.softmax(-1) + x.softmax(0) + x.log_softmax(-1) + x.log_softmax(0),
        "running": x.cumsum(-1) + x.cumsum(0),
        "sorted": x.sort(-1).values + x.sort(-1, descending=True).values * 2 + x.sort(0).values * 3,
        "order": x.sort(-1, descending=True).indices + 100 * x.sort(stable=True, dim=-1).indices,
        "counted": (x > 0).sum(-1) + (x > y).sum(),
    }


def long_sums(p: Tensors, _: Tensors) -> Tensors:
    x = p["z"]
    return {"all": x.sum() + x.mean(0) + x.amax(0), "softmax": x.softmax(0), "running": x.cumsum(0)}


def products(p: Tensors, _: Tensors) -> Tensors:
    x, y, z = p["x"], p["y"], p["z"]  # (n, m), (m,), (m, n)
    return {
        "matrices": x @ z,
        "turned": x @ x.T + z.T @ z,
        "vectors": (x @ y) * (y @ y) + (y @ z),
        "outer": torch.outer(y, y) + y.unsqueeze(-1) * y,
        "linear": torch.nn.functional.linear(y, x, z[0]),
        "batches": torch.bmm(x.expand(2, *x.shape), z.exp().expand(2, *z.shape)),
    }


def tables(p: Tensors, e: Tensors) -> Tensors:
    x, at = p["x"], e["at"].unsqueeze(0)  # (n, m); 1 or 0
    some = torch.cat([at, 1 - at, at])
    order = x.argsort(-1)
    return {
        "row": x[at] + x[at - 1],
        "rows": x[some].exp() + torch.nn.functional.embedding(some, x) + x.index_select(0, some),
        "columns": x[:, some] * 2,
        "element": x[at, at] + x[at, some].sum() + x[some, 1 - some].sum(),
        "fixed": x[:, torch.tensor([1, 0, 1])] + x[torch.arange(x.shape[0])][:, :1],
        "gathered": x.gather(-1, order) + x.gather(0, torch.zeros_like(order)),
        "one": torch.zeros_like(x).scatter(-1, x.argmax(-1, keepdim=True), 1.0),
        "put": torch.zeros_like(x).scatter(-1, order, x * 2) + torch.zeros_like(x).scatter_add(-1, order, x),
        "added": torch.zeros_like(x).index_put((some,), x[some], accumulate=True),
        "negative": x[-1] * x[:1, -2],
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", [elementwise, views, reductions, products])
@precise
@few
@given(n=PRIMES, m=PRIMES)
def test_operations_are_torch_s(function: Function, kind: str, tolerance: float, n: int, m: int) -> None:
    check(function, {"x": (n, m), "y": (m,), "z": (m, n)}, kind, tolerance)


@precise
@few
@given(n=PRIMES, m=PRIMES)
def test_tables_are_torch_s(kind: str, tolerance: float, n: int, m: int) -> None:
    check(tables, {"x": (n + 1, m + 1)}, kind, tolerance)


def test_sums_longer_than_what_is_written_out_are_torch_s() -> None:
    for function in (long_sums, products):
        check(function, {"x": (3, 307), "y": (307,), "z": (307, 3)}, "float64", 1e-12)


def test_what_all_rounds_of_a_loop_read_is_gathered_once() -> None:
    """Of x (64, 8) and w (8, 8) one is read across its rows: w, whose vectors stay in registers for all rows of x."""
    definition = define(lambda p, _: {"y": p["x"] @ p["w"].T}, {"x": (64, 8), "w": (8, 8)})
    gathered = re.findall(r"p\[([^][]*) : [^][]* : 8\]", evaluation_program(definition, trace_forward(definition)).text)
    assert gathered == [str(64 * 8 + column) for column in range(8)]


def losses(p: Tensors, e: Tensors) -> tuple[Tensor, Tensor]:
    """Use a table in many ways, so that its gradient is put together from many parts."""
    x, some = p["x"], torch.stack([e["at"], 1 - e["at"], e["at"]])  # (n, m); 1 or 0, three times
    rows = (
        x[some].tanh().sum(0)
        + torch.nn.functional.embedding(some, x)[0]
        + x[1] * x[:, 1].sum()
        + x[1:].sum(0)
        + x.sort(-1).values.exp()[0]
    )
    values = rows + x.gather(-1, x.argsort(-1))[0] + x.cumsum(-1)[1] + x.max(0).values + x.log_softmax(-1)[0]
    loss = torch.nn.functional.cross_entropy(torch.cat([values, x[0]]).unsqueeze(0), e["at"].unsqueeze(0))
    return loss + (x.norm(dim=-1) * p["y"]).mean(), loss.double() * 2


@pytest.mark.parametrize("shape", [(2, 3), (5, 11), (3, 17)])
def test_the_gradient_of_a_table_is_put_together_from_its_parts(shape: tuple[int, int]) -> None:
    shapes = {"x": shape, "y": shape[:1]}
    definition, parameters = define(losses, shapes, "float64"), numbers(shapes, "float64")
    found = evaluate(definition, trace_training(definition), parameters, {"at": np.array([1, 0, 1])})
    for row, at in enumerate([1, 0, 1]):
        tensors = {name: torch.from_numpy(array).requires_grad_() for name, array in parameters.items()}
        loss, measured = losses(tensors, {"at": torch.tensor(at)})
        loss.backward()  # type: ignore[no-untyped-call]
        assert found["measured"][row] == pytest.approx(measured.item(), rel=1e-13)
        for name, tensor in tensors.items():
            assert tensor.grad is not None
            np.testing.assert_allclose(found[f"gradient {name}"][row], tensor.grad, 1e-11, 1e-12, err_msg=name)


# The words of the programs.


@pytest.mark.parametrize(
    ("word", "meant", "low", "high", "most"),
    [
        ("exp", np.exp, -87.33, 88.7, 2),
        ("tanh", np.tanh, -11, 11, 3),
        ("log", np.log, 1e-37, 1e4, 2),
        ("exp64", np.exp, -700, 700, 2),
        ("tanh64", np.tanh, -19, 19, 3),
        ("log64", np.log, 1e-300, 1e4, 3),
    ],
)
def test_functions_are_right_to_a_few_units_in_the_last_place(
    word: str, meant: Callable[[Any], Any], low: float, high: float, most: float
) -> None:
    kind = np.float64 if word.endswith("64") else np.float32
    x = np.concatenate([np.linspace(low, high, 100_003), np.geomspace(max(low, 1e-9), high, 100_003)]).astype(kind)
    exact = meant(x.astype(np.float64))
    with np.errstate(all="ignore"):  # in what `where` does not choose
        found = getattr(primitives, word)(x)
    assert found.dtype == kind
    assert (np.abs(found - exact) / np.spacing(np.abs(exact).astype(kind))).max() < most


def test_functions_at_their_edges() -> None:
    nan, inf = np.float32("nan"), np.float32("inf")
    with np.errstate(all="ignore"):
        for word in ("exp", "log", "tanh"):
            assert np.isnan(getattr(primitives, word)(nan)), word
        assert [primitives.exp(np.float32(x)) for x in (-inf, -88, 0, 89, inf)] == [0, 0, 1, inf, inf]
        assert primitives.exp(np.float32(-87.33)) == pytest.approx(np.exp(-87.33), rel=1e-6)
        assert [primitives.log(np.float32(x)) for x in (0, 1, inf)] == [-inf, 0, inf]
        assert np.isnan(primitives.log(np.float32(-1)))
        assert primitives.log(np.float32(1e-44)) == pytest.approx(np.log(np.float64(np.float32(1e-44))))
        assert [primitives.tanh(x) for x in (-inf, np.float32(-0.0), inf)] == [-1, 0, 1]


def test_no_index_reaches_beyond_its_table() -> None:
    """Indices are numbers like others: what a function of one's own computes could be any."""

    def rows(p: Tensors, e: Tensors) -> Tensors:
        return {"row": p["x"][e["at"].unsqueeze(0)][0]}

    definition, parameters = define(rows, {"x": (3, 2)}), numbers({"x": (3, 2)}, "float32")
    wild = np.array([-1, 2, 3, -4, 2**62, -(2**62)])
    found = evaluate(definition, trace_forward(definition), parameters, {"at": wild})["row"]
    assert np.array_equal(found, parameters["x"][[2, 2, 2, 0, 2, 0]])


# Whole functions.

SIZES = [(3, 7), (5, 2), (1, 13), (2, 37)]


@functools.cache
def network(name: str, n_contexts: int, seq_len: int) -> Weights:
    return draw_weights(name, n_contexts, seq_len, seed=3, options={"window": 1} if name == "local" else {})


def examples_of(weights: Weights, kind: str, n: int = 5) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(5)
    columns = {
        "values": random.random((n, weights.seq_len)).astype(kind),
        "queries": random.integers(0, weights.n_contexts, n),
        "targets": random.random(n).astype(kind),
    }
    return columns | ({"noise": random.random((n, weights.seq_len)).astype(kind)} if takes_noise(weights) else {})


@pytest.mark.parametrize("name", ATTENTION_FUNCTIONS)
@pytest.mark.parametrize(("n_contexts", "seq_len"), SIZES)
def test_gradients_are_those_of_autograd(name: str, n_contexts: int, seq_len: int) -> None:
    """In float64, where no rounding hides a mistake."""
    weights = network(name, n_contexts, seq_len)
    definition, examples = training_definition(weights), examples_of(weights, "float64")
    fields = {key: (shape, kind.replace("float32", "float64")) for key, (shape, kind) in definition.example.items()}
    definition = replace(definition, example=fields, kind="float64")
    arrays = {key: array.astype(np.float64) for key, array in weights.arrays.items()}
    found = evaluate(definition, trace_training(definition), arrays, examples)
    loss_of = definition.build()
    for row in range(len(examples["targets"])):
        tensors = {key: torch.from_numpy(array).requires_grad_() for key, array in arrays.items()}
        loss, measured = loss_of(tensors, {key: torch.as_tensor(column[row]) for key, column in examples.items()})
        assert found["measured"][row] == pytest.approx(measured.item(), rel=1e-11)
        gradients = torch.autograd.grad(loss, list(tensors.values()))
        for key, gradient in zip(tensors, gradients, strict=True):
            scale = gradient.abs().max().item()
            np.testing.assert_allclose(found[f"gradient {key}"][row], gradient, 1e-9, 1e-10 * scale, err_msg=key)


@pytest.mark.parametrize("name", ["embedding", "sparsemax", "hard", "multihead"])
@pytest.mark.parametrize("batch_size", [1, 4])
def test_training_in_python_gives_the_bits_of_the_machine_code(name: str, batch_size: int) -> None:
    weights = network(name, 3, 7)
    definition, examples = training_definition(weights), examples_of(weights, "float32", 11)
    program = training_program(definition, trace_training(definition), single=batch_size == 1)
    results = list[bytes]()
    for execute in (run, interpret):
        parameters = np.concatenate([array.ravel() for array in weights.arrays.values()])
        state: list[NDArray[Any]] = [parameters, np.zeros_like(parameters), np.zeros_like(parameters), np.ones(2)]
        filled: list[NDArray[Any]] = [np.zeros(2), np.zeros((2, parameters.size), np.float32)]
        columns = [np.ascontiguousarray(column) for column in examples.values()]
        arguments = [*state, *columns, 11, batch_size, 2, 0.01, *filled]
        execute(program, *(x.reshape(-1) if isinstance(x, np.ndarray) else x for x in arguments))
        results.append(b"".join(array.tobytes() for array in [*state, *filled]))
    assert results[0] == results[1]


# What cannot be compiled.


def on_values(p: Tensors, _: Tensors) -> Tensors:
    return {"x": p["x"] if p["x"].sum() > 0 else -p["x"]}


def untranslated(p: Tensors, _: Tensors) -> Tensors:
    return {"x": p["x"].erfinv()}


def of_another_size(p: Tensors, _: Tensors) -> Tensors:
    return {"x": p["x"][p["x"] > 0]}


@pytest.mark.parametrize(
    ("function", "told"),
    [
        (
            on_values,
            r"a test: cannot be compiled: got a decision that depends on values in line \d+ of test_compiler.py "
            r"\(return .* if p\[\"x\"\].sum\(\) > 0 .*\); use torch.where, write it otherwise, or choose "
            r"train.engine: torch",
        ),
        (
            untranslated,
            r"a test: cannot be compiled: got the operation aten.erfinv, of which aten.py has no translation; "
            r"write it otherwise, or choose train.engine: torch",
        ),
        (
            of_another_size,
            r"a test: cannot be compiled: got aten.index, whose result has a size that depends on values; "
            r"write it otherwise, or choose train.engine: torch",
        ),
    ],
)
def test_what_cannot_be_compiled_is_told_in_one_line(function: Function, told: str) -> None:
    definition = Definition("a test", told, {"x": (3,)}, {"at": ((), "int64")}, lambda: function)
    for _ in range(2):  # that it cannot is kept too
        with pytest.raises(CannotCompile, match=f"^{told}$"):
            compiled(definition, "evaluation")


def test_a_program_has_no_words_but_its_own() -> None:
    with pytest.raises(ImportError):
        compile_program('def program(x: "float32[:]"):\n    import os\n', "none")


def test_every_operation_of_the_table_is_seen_by_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """The twin: a translation that no test reaches could say anything."""
    seen, table = set[str](), dict(OPERATIONS)

    def watched(name: str) -> Callable[..., Any]:
        def operation(*given: Any, **more: Any) -> Any:
            seen.add(name)
            return table[name](*given, **more)

        return operation

    for name in table:
        monkeypatch.setitem(OPERATIONS, name, watched(name))
    for function in (elementwise, views, reductions, products, tables):
        trace_forward(define(function, {"x": (3, 3), "y": (3,), "z": (3, 3)}))
    trace_training(define(losses, {"x": (2, 3), "y": (2,)}))
    for name in ATTENTION_FUNCTIONS:
        trace_training(training_definition(network(name, 3, 7)))
    assert sorted(OPERATIONS.keys() - seen) == []
