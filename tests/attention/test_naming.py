"""What runs are called."""

from typing import Any

import pytest
from conftest import ROOT

from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.entry import with_defaults
from attention.params import load_params
from attention.tracking.naming import DEFAULTS, differences, run_name

ARTICLE = {"seed": 0, "model.attention": "embedding", **DEFAULTS}


def test_the_defaults_are_those_of_params_yaml() -> None:
    found: dict[str, Any] = {}
    for section, values in (
        load_params(ROOT / "params.yaml").model_dump(exclude={"tracking", "study", "compute"}).items()
    ):
        leaves = values.items() if isinstance(values, dict) else [("", values)]
        found |= {f"{section}.{leaf}".rstrip("."): value for leaf, value in leaves}
    assert found == ARTICLE


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "embedding, seed 0"),
        (
            {"model.attention": "softmax", "train.learning_rate": 0.01, "seed": 3},
            "softmax, learning_rate 0.01, seed 3",
        ),
        ({"train.learning_rate": 1e-05}, "embedding, learning_rate 1e-05, seed 0"),
        ({"train.shuffle": True, "data.n_train": 211}, "embedding, n_train 211, shuffle true, seed 0"),
        ({"data.true_attention": [0, 0, 7, 1, 2]}, "embedding, true_attention 0 0 7 1 2, seed 0"),
        ({"data.true_attention": "random"}, "embedding, true_attention random, seed 0"),
        (
            {"data.n_contexts": 2, "data.true_attention": [0, 1]},
            "embedding, n_contexts 2, true_attention 0 1, seed 0",
        ),
        ({"data.n_contexts": 2, "data.true_attention": "random"}, "embedding, n_contexts 2, seed 0"),
        (
            {"data.n_contexts": 11, "data.true_attention": [*range(7), *range(4)]},
            "embedding, n_contexts 11, true_attention 0 1 2 3 4 5 6 0 1 2 …, seed 0",
        ),
        ({"model.attention": "softmax", "model.temperature": 1.0}, "softmax, seed 0"),
        ({"model.attention": "softmax", "model.temperature": 0.5}, "softmax, temperature 0.5, seed 0"),
        ({"model.attention": "multihead", "model.width": 8, "model.heads": 4}, "multihead, heads 4, seed 0"),
        ({"model.attention": "dot", "model.normalizer": "softmax"}, "dot, seed 0"),
        ({"model.attention": "dot", "model.normalizer": "entmax15"}, "dot, normalizer entmax15, seed 0"),
        (
            {"model.attention": "dot", "model.normalizer": "hard", "train.engine": "torch"},
            "dot, normalizer hard, engine torch, seed 0",
        ),
        ({"data.task": "recall", "data.n_tokens": 16, "data.keys": "content"}, "embedding, recall, seed 0"),
        ({"data.task": "caption", "data.n_colours": 5}, "embedding, caption, n_colours 5, seed 0"),
        ({"data.task": "neighbour", "data.keys": "colour"}, "embedding, neighbour, keys colour, seed 0"),
        ({"data.task": "someone's own", "data.side": 2}, "embedding, someone's own, side 2, seed 0"),
        ({"train.engine": "compiled"}, "embedding, seed 0"),
        ({"train.engine": "torch"}, "embedding, engine torch, seed 0"),
        ({"model.attention": "hard", "train.engine": "torch"}, "hard, engine torch, seed 0"),
        ({"model.attention": "someone's own", "model.width": 8}, "someone's own, width 8, seed 0"),
    ],
)
def test_a_name_says_the_function_what_differs_and_the_seed(changes: dict[str, Any], name: str) -> None:
    assert run_name(ARTICLE | changes) == name


def test_the_experiment_of_dvc_stands_behind() -> None:
    assert run_name(ARTICLE, "faster") == "embedding, seed 0 (faster)"


@pytest.mark.parametrize("name", ATTENTION_FUNCTIONS)
def test_a_function_with_its_own_options_differs_in_nothing(name: str) -> None:
    function = ATTENTION_FUNCTIONS[name]
    options = {f"model.{option}": value for option, value in with_defaults(function, {}).items()}
    resolved = ARTICLE | {"model.attention": name, "train.engine": "compiled"} | options
    assert differences(resolved) == {}


def test_what_is_not_known_yet_differs_in_nothing() -> None:
    assert run_name({"seed": 7, "model.attention": "dot"}) == "dot, seed 7"
