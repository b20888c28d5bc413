"""The numbers of a network: their distributions, their file byte by byte, and what a reader refuses."""

import hashlib
import json
import math
import pickle
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save

from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.entry import with_defaults
from attention.inference.attention import attention_of
from attention.tasks import TASKS
from attention.tasks.problem import Problem, lookup, make_problem
from attention.weights import Arrays, ModelError, Weights, draw_weights, initial_weights, load_weights, save_weights

AGAIN = "`dvc repro -f train` writes it again"
CONSTANT = {
    f"attention.{name}" for name in ("sharpness", "log_beta", "log_gamma", "shift", "every_shift")
}  # start alike whatever the seed
ORIGIN: dict[str, dict[str, Any]] = {
    "parameters": {"seed": 11, "train.epochs": 2},
    "data": {"train.parquet": "900150983cd24fb0d6963f7d28e17f72"},
}
SHAPES = "{'attention.scores': (3, 7), 'linear.weight': (1, 7), 'linear.bias': (1,)}"


@pytest.fixture
def weights() -> Weights:
    return draw_weights("embedding", 3, 7, 11, ORIGIN)


@pytest.fixture
def path(tmp_path: Path, weights: Weights) -> Path:
    path = tmp_path / "model.safetensors"
    save_weights(path, weights)
    return path


def about(weights: Weights, **changes: object) -> dict[str, Any]:
    return {
        "function": weights.function,
        "n_contexts": weights.n_contexts,
        "seq_len": weights.seq_len,
        "origin": weights.origin,
        "key": weights.key,
        **changes,
    }


def with_metadata(path: Path, arrays: Arrays, text: str) -> None:
    path.write_bytes(save(arrays, metadata={"attention": text}))


def refusal(path: Path, problem: Problem | None = None) -> str:
    with pytest.raises(ModelError) as caught:
        load_weights(path, problem)
    return str(caught.value)


@pytest.mark.parametrize("function", ATTENTION_FUNCTIONS)
def test_attention_parameters_start_standard_normal_unless_the_registry_says_otherwise(function: str) -> None:
    entry = ATTENTION_FUNCTIONS[function]
    options = {"width": 104} if "width" in entry.options else {}
    for name, array in draw_weights(function, 101, 103, 0, options=options).arrays.items():
        if name.startswith("attention.") and array.size > 10_000 and name[10:] not in entry.initial:
            assert array.dtype == np.float32
            assert abs(array.mean()) < 0.05
            assert abs(array.std() - 1) < 0.05
            assert abs((np.abs(array) < 1).mean() - math.erf(math.sqrt(0.5))) < 0.025


@pytest.mark.parametrize(
    ("function", "name"), [("bilinear", "W"), ("additive", "U"), ("local", "W_p"), ("multihead", "W_k")]
)
def test_matrices_start_uniform_as_in_a_linear_layer(function: str, name: str) -> None:
    array: NDArray[np.float32] = draw_weights(function, 3, 7, 0, options={"width": 106}).arrays[f"attention.{name}"]
    bound = 1 / math.sqrt(106)
    assert array.dtype == np.float32
    assert -bound <= array.min() < -0.98 * bound
    assert 0.98 * bound < array.max() <= bound
    assert abs(array.var() / (bound**2 / 3) - 1) < 0.1


def test_gaussians_start_anywhere_and_see_everything() -> None:
    arrays = draw_weights("gaussian", 1009, 11, 0).arrays
    centre: NDArray[np.float32] = arrays["attention.centre"]
    assert 0 <= centre.min() < 0.1 < 9.9 < centre.max() <= 10
    assert abs(centre.mean() - 5) < 0.5
    assert set(arrays["attention.sharpness"].tolist()) == {float(np.float32(2 / 11))}


@pytest.mark.parametrize("function", ATTENTION_FUNCTIONS)
def test_the_linear_layer_starts_uniform_whatever_the_function(function: str) -> None:
    arrays = draw_weights(function, 3, 1021, 0).arrays
    bound = 1 / math.sqrt(1021)
    weight: NDArray[np.float32] = arrays["linear.weight"]
    assert weight.dtype == arrays["linear.bias"].dtype == np.float32
    assert 0.98 * bound < weight.max() <= bound
    assert -bound <= weight.min() < -0.98 * bound
    assert abs(weight.mean()) < 0.1 * bound
    assert abs(weight.var() / (bound**2 / 3) - 1) < 0.1
    assert np.array_equal(weight, draw_weights("embedding", 5, 1021, 0).arrays["linear.weight"])


def test_the_bias_is_uniform_over_the_seeds() -> None:
    biases = np.array([draw_weights("embedding", 3, 7, seed).arrays["linear.bias"][0] for seed in range(400)])
    bound = 1 / math.sqrt(7)
    assert np.abs(biases).max() <= bound
    assert abs(biases.mean()) < 0.15 * bound
    assert abs(biases.var() / (bound**2 / 3) - 1) < 0.2


@pytest.mark.parametrize("function", ATTENTION_FUNCTIONS)
def test_weights_have_the_shapes_of_the_registry_and_their_seed(function: str) -> None:
    one, again, other = (draw_weights(function, 3, 7, seed) for seed in (0, 0, 1))
    entry = ATTENTION_FUNCTIONS[function]
    shapes = {f"attention.{name}": shape for name, shape in entry.shapes(3, 7, **with_defaults(entry, {})).items()}
    assert {name: array.shape for name, array in one.arrays.items()} == shapes | {
        "linear.weight": (1, 7),
        "linear.bias": (1,),
    }
    for name, array in one.arrays.items():
        assert array.tobytes() == again.arrays[name].tobytes()
        assert (array.tobytes() == other.arrays[name].tobytes()) == (name in CONSTANT)


def test_the_key_is_the_digest_of_the_origin_in_any_order(weights: Weights) -> None:
    assert (
        draw_weights("embedding", 3, 2, 0, {"b": 1, "a": [2]}).key
        == (hashlib.sha256(b'{"a":[2],"b":1}').hexdigest()[:32])
    )
    backwards = {name: dict(reversed(part.items())) for name, part in reversed(ORIGIN.items())}
    assert draw_weights("embedding", 3, 7, 11, backwards).key == weights.key
    assert draw_weights("embedding", 3, 7, 11, {**ORIGIN, "parameters": {"seed": 11}}).key != weights.key


def test_other_arrays_belong_to_the_same_network(weights: Weights) -> None:
    trained = weights.with_arrays({name: array + 1 for name, array in weights.arrays.items()})
    assert (trained.key, trained.function, trained.n_contexts, trained.seq_len) == (weights.key, "embedding", 3, 7)
    assert np.array_equal(trained.arrays["linear.bias"], weights.arrays["linear.bias"] + 1)


@pytest.mark.parametrize("task", [task for task in TASKS if task != "lookup"])
def test_the_network_of_a_task_is_read_back_with_its_problem(tmp_path: Path, task: str) -> None:
    problem = make_problem(task)
    weights = initial_weights("scaled_dot", problem, 11, ORIGIN)
    save_weights(tmp_path / "m", weights)
    back = load_weights(tmp_path / "m", problem)
    assert about(back) == about(weights)
    assert (back.problem, back.n_keys, back.classes) == (problem, problem.n_keys, problem.classes)
    assert back.arrays["attention.key"].shape == (problem.n_keys, 8)
    assert back.arrays["linear.bias"].shape == (problem.classes or 1,)
    other = make_problem(task, keys="position")
    assert refusal(tmp_path / "m", other).endswith(f"keys position, as the data have; {AGAIN}")


@pytest.mark.parametrize(
    "change",
    [
        {"n_keys": 15},
        {"classes": 2},
        {"problem": {"task": "nonesuch", "sizes": {}, "keys": "content"}},
        {"problem": {"task": "recall", "sizes": {"seq_len": 8}, "keys": "content"}},
        {"problem": {"task": "recall", "sizes": {"seq_len": 8, "n_tokens": 16}, "keys": "content", "seed": 3}},
        {"problem": {"task": "recall", "sizes": {"seq_len": 8, "n_tokens": 17}, "keys": "content"}},
        {"problem": {"task": "recall", "sizes": {"seq_len": 8, "n_tokens": 16}, "keys": "nothing"}},
        {"problem": ["recall"]},
    ],
)
def test_a_problem_that_does_not_fit_the_network_is_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    weights = initial_weights("scaled_dot", make_problem("recall"), 11, ORIGIN)
    save_weights(tmp_path / "m", weights)
    with safe_open(tmp_path / "m", framework="numpy") as file:
        said = json.loads(file.metadata()["attention"])
    with_metadata(tmp_path / "m", weights.arrays, json.dumps({**said, **change}))
    assert refusal(tmp_path / "m") == f"{tmp_path}/m: its metadata does not describe a network; {AGAIN}"


@pytest.mark.parametrize("function", ATTENTION_FUNCTIONS)
def test_what_is_saved_is_read_back_to_the_bit(tmp_path: Path, function: str) -> None:
    weights = draw_weights(function, 3, 7, 11, ORIGIN)
    save_weights(tmp_path / "model.safetensors", weights)
    back = load_weights(tmp_path / "model.safetensors", lookup([2, 6, 3], 7))
    assert about(back) == about(weights)
    assert back.options == weights.options
    assert attention_of(back).tobytes() == attention_of(weights).tobytes()  # in which order the file has its arrays
    assert {n: (a.dtype, a.tobytes()) for n, a in back.arrays.items()} == {
        n: (a.dtype, a.tobytes()) for n, a in weights.arrays.items()
    }


def test_the_metadata_rebuild_the_network(path: Path, weights: Weights) -> None:
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata()
    assert list(metadata) == ["attention"]
    assert json.loads(metadata["attention"]) == {
        "function": "embedding",
        "n_contexts": 3,
        "seq_len": 7,
        "origin": ORIGIN,
        "key": weights.key,
    }


def test_the_metadata_hold_the_options_of_a_function_that_has_some(tmp_path: Path) -> None:
    weights = draw_weights("multihead", 3, 7, 11, ORIGIN, {"heads": 4})
    save_weights(tmp_path / "model.safetensors", weights)
    with safe_open(tmp_path / "model.safetensors", framework="numpy") as file:
        assert json.loads(file.metadata()["attention"])["options"] == {
            "width": 8,
            "heads": 4,
            "normalizer": "softmax",
            "temperature": 1.0,
        }
    assert load_weights(tmp_path / "model.safetensors").options == {
        "width": 8,
        "normalizer": "softmax",
        "temperature": 1.0,
        "heads": 4,
    }


@pytest.mark.parametrize("options", [{}, {"width": 8}, {"width": 8, "heads": 3}, {"width": "8", "heads": 2}, [], 7])
def test_metadata_of_impossible_options_are_refused(tmp_path: Path, options: object) -> None:
    weights = draw_weights("multihead", 3, 7, 11, ORIGIN)
    with_metadata(tmp_path / "m", weights.arrays, json.dumps(about(weights, options=options)))
    assert refusal(tmp_path / "m") == f"{tmp_path}/m: its metadata does not describe a network; {AGAIN}"


def test_equal_weights_give_equal_bytes_in_every_process(path: Path) -> None:
    script = f"from attention.weights import *; save_weights('other', draw_weights('embedding', 3, 7, 11, {ORIGIN}))"
    for hash_seed in ("1", "2"):
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=path.parent,
            env={"PYTHONPATH": str(ROOT / "stages"), "PYTHONHASHSEED": hash_seed},
            check=True,
        )
        assert (path.parent / "other").read_bytes() == path.read_bytes()


def test_the_name_of_the_file_and_the_order_of_the_arrays_do_not_reach_its_bytes(path: Path, weights: Weights) -> None:
    save_weights(path.with_name("b"), weights.with_arrays(dict(reversed(weights.arrays.items()))))
    assert path.with_name("b").read_bytes() == path.read_bytes()


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("exploded"),))


def test_a_pickle_is_refused_and_not_executed(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(path.parent)
    path.write_bytes(pickle.dumps(Bomb()))
    assert refusal(path) == f"{path}: not a safetensors file; {AGAIN}"
    assert not Path("exploded").exists()


def test_a_file_cut_short_or_too_long_is_refused(path: Path) -> None:
    whole = path.read_bytes()
    header = 8 + struct.unpack("<Q", whole[:8])[0]
    for damaged in (b"", whole[:5], whole[: header - 1], whole[:header], whole[:-1], whole + b"\0"):
        path.write_bytes(damaged)
        assert refusal(path) == f"{path}: not a safetensors file; {AGAIN}"


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_another_project_s_model_is_refused(path: Path, weights: Weights, metadata: dict[str, str] | None) -> None:
    path.write_bytes(save(weights.arrays, metadata=metadata))
    assert refusal(path) == f"{path}: has no 'attention' metadata, so it is not a network of this project; {AGAIN}"


@pytest.mark.parametrize("text", ["", "{", "[]", "7", "null", "[" * 100_000])
def test_metadata_that_are_no_description_are_refused(path: Path, weights: Weights, text: str) -> None:
    with_metadata(path, weights.arrays, text)
    assert refusal(path) == f"{path}: its metadata does not describe a network; {AGAIN}"


@pytest.mark.parametrize("name", ["function", "n_contexts", "seq_len", "origin", "key"])
def test_metadata_without_one_of_their_parts_are_refused(path: Path, weights: Weights, name: str) -> None:
    parts = {key: value for key, value in about(weights).items() if key != name}
    with_metadata(path, weights.arrays, json.dumps(parts))
    assert refusal(path) == f"{path}: its metadata does not describe a network; {AGAIN}"


@pytest.mark.parametrize(
    "change",
    [{"function": "nonesuch"}, {"function": ["embedding"]}, {"n_contexts": 3.0}, {"seq_len": 7.0}, {"seq_len": "7"}],
)
def test_metadata_of_no_possible_network_are_refused(path: Path, weights: Weights, change: dict[str, object]) -> None:
    with_metadata(path, weights.arrays, json.dumps(about(weights, **change)))
    assert refusal(path) == f"{path}: its metadata does not describe a network; {AGAIN}"


@pytest.mark.parametrize("change", [{"key": "0" * 32}, {"origin": {**ORIGIN, "data": {}}}])
def test_a_key_that_does_not_fit_the_origin_is_refused(path: Path, weights: Weights, change: dict[str, object]) -> None:
    with_metadata(path, weights.arrays, json.dumps(about(weights, **change)))
    assert refusal(path) == f"{path}: its experiment key does not belong to its parameters; {AGAIN}"


@pytest.mark.parametrize(
    ("name", "array", "found"),
    [
        ("linear.bias", None, "{'attention.scores': (3, 7), 'linear.weight': (1, 7)}"),
        ("linear.bias", np.zeros(2), "{'attention.scores': (3, 7), 'linear.bias': (2,), 'linear.weight': (1, 7)}"),
        (
            "attention.scores",
            np.zeros((7, 3)),
            "{'attention.scores': (7, 3), 'linear.bias': (1,), 'linear.weight': (1, 7)}",
        ),
        ("a", np.zeros(1), "{'a': (1,), 'attention.scores': (3, 7), 'linear.bias': (1,), 'linear.weight': (1, 7)}"),
    ],
)
def test_arrays_of_other_shapes_are_refused(
    path: Path, weights: Weights, name: str, array: NDArray[np.float32] | None, found: str
) -> None:
    arrays = {key: value for key, value in weights.arrays.items() if key != name}
    if array is not None:
        arrays[name] = array.astype(np.float32)
    with_metadata(path, arrays, json.dumps(about(weights)))
    assert refusal(path) == f"{path}: got arrays {found}; allowed for embedding: {SHAPES}; {AGAIN}"


def test_sizes_that_do_not_fit_the_arrays_are_refused(path: Path, weights: Weights) -> None:
    with_metadata(path, weights.arrays, json.dumps(about(weights, n_contexts=5)))
    found = "{'attention.scores': (3, 7), 'linear.bias': (1,), 'linear.weight': (1, 7)}"
    assert refusal(path) == (
        f"{path}: got arrays {found}; allowed for embedding: {SHAPES.replace('(3, 7)', '(5, 7)')}; {AGAIN}"
    )


@pytest.mark.parametrize(
    ("name", "spoilt"),
    [
        ("linear.bias", np.array([np.nan], np.float32)),
        ("linear.bias", np.array([-np.inf], np.float32)),
        ("attention.scores", np.zeros((3, 7), np.float64)),
        ("linear.weight", np.zeros((1, 7), np.int32)),
        ("linear.weight", np.zeros((1, 7), np.float16)),
    ],
)
def test_arrays_of_other_numbers_are_refused(
    path: Path, weights: Weights, name: str, spoilt: NDArray[np.generic]
) -> None:
    path.write_bytes(save({**weights.arrays, name: spoilt}, metadata={"attention": json.dumps(about(weights))}))
    assert refusal(path) == f"{path}: {name} must hold finite float32 numbers; {AGAIN}"


@pytest.mark.parametrize(
    ("problem", "allowed"),
    [
        (lookup([2, 6, 3, 1, 0], 7), "5 contexts and 7 positions"),
        (lookup([2, 6, 3], 11), "3 contexts and 11 positions"),
        (make_problem("recall"), "recall, seq_len 8, n_tokens 16, keys content"),
    ],
)
def test_a_network_for_other_data_is_refused(path: Path, problem: Problem, allowed: str) -> None:
    assert refusal(path, problem) == (
        f"{path}: got a network of 3 contexts and 7 positions; allowed: {allowed}, as the data have; {AGAIN}"
    )


def test_a_missing_model_is_refused(tmp_path: Path) -> None:
    told = "cannot be read (No such file or directory); `dvc repro train` writes it"
    assert refusal(tmp_path / "model.safetensors") == f"{tmp_path}/model.safetensors: {told}"
