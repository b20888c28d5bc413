"""What is wrong with an attention function of one's own is told in one line, before anything is trained."""

# ruff: noqa: ARG005 - what a wrong function is given does not matter

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import ROOT, clean_environment

from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.check import FunctionError, check_function, draw_parameters, parameter_shapes
from attention.functions.entry import AttentionFunction, Option, with_defaults
from attention.functions.features import key_rows, query_rows, table_scores
from attention.functions.normalizers import NORMALIZERS
from attention.inference.definitions import check
from attention.params import load_params
from attention.tasks.problem import make_problem
from attention.training.compiled_engine import CompiledEngine
from attention.training.torch_engine import TorchEngine
from attention.weights import initial_weights
from workbench.stage.streams import stream

KINDS = ("one", "several", "real")


@pytest.mark.parametrize("name", ATTENTION_FUNCTIONS)
def test_a_function_that_does_what_its_entry_says_passes(name: str) -> None:
    function = ATTENTION_FUNCTIONS[name]
    for queries in KINDS:
        for keys in (*KINDS, "shared"):
            check_function(name, with_defaults(function, {}), function, queries, keys)  # type: ignore[arg-type]


@pytest.mark.parametrize("normalizer", NORMALIZERS)
def test_a_function_with_another_normalizer_passes(normalizer: str) -> None:
    function = ATTENTION_FUNCTIONS["dot"]
    check_function("dot", with_defaults(function, {"normalizer": normalizer, "width": 11}), function)


SCORES = ATTENTION_FUNCTIONS["softmax"].shapes
PRODUCTS = ATTENTION_FUNCTIONS["dot"].shapes


def transposed(p: Any, queries: Any, keys: Any, **_: Any) -> Any:
    """Forget to transpose the keys."""
    return (query_rows(p["query"], queries) @ key_rows(p["key"], keys)).softmax(-1)


def column(p: Any, queries: Any, keys: Any, **_: Any) -> Any:
    """Sum over the positions."""
    return table_scores(p["scores"], queries, keys).sum(-1, keepdim=True)


def renamed(p: Any, queries: Any, keys: Any, **_: Any) -> Any:
    """Ask for a parameter that its shapes do not name."""
    return table_scores(p["score"], queries, keys)


def no_number(p: Any, queries: Any, keys: Any, **_: Any) -> Any:
    """Take a root of what can be negative."""
    return table_scores(p["scores"], queries, keys).sqrt()


def steep(p: Any, queries: Any, keys: Any, **_: Any) -> Any:
    """Have a slope that is not finite at 0."""
    return (0 * table_scores(p["scores"], queries, keys)).sqrt()


def scores(p: Any, queries: Any, keys: Any) -> Any:
    """Return scores that are right."""
    return table_scores(p["scores"], queries, keys)


# of a function, its shapes and what it says of its values: the pattern of what is told
WRONG: list[tuple[Any, Any, str, str]] = [
    (
        transposed,
        PRODUCTS,
        "any",
        r"test_check\.py, line \d+: RuntimeError: mat1 and mat2 shapes cannot be multiplied \(3x8 and 11x8\); mend it",
    ),
    (column, SCORES, "any", r"returned the shape \(3, 1\) for 3 queries and 11 positions; allowed: \(3, 11\)"),
    (renamed, SCORES, "any", r"test_check\.py, line \d+: KeyError: 'score'; mend it"),
    (no_number, SCORES, "any", "returned nan; allowed: finite numbers"),
    (steep, SCORES, "any", "has a gradient for scores that is not finite; allowed: finite numbers"),
    (
        lambda *a, **_: scores(*a),
        SCORES,
        "in [0, 1]",
        r"returned -\S+; allowed: numbers in \[0, 1\], as its entry says",
    ),
    (
        lambda *a, **_: scores(*a).sigmoid(),
        SCORES,
        "shares",
        r"returned numbers that sum to [2-9]\S+; allowed: to 1, as its entry says \(values: shares\)",
    ),
    (
        lambda *a, **_: scores(*a).detach(),
        SCORES,
        "any",
        "has no gradient; allowed: operations of torch alone, none of them detached",
    ),
    (
        lambda *a, **_: scores(*a).double(),
        SCORES,
        "any",
        r"returned torch\.float64 for float32; allowed: the parameters' own type",
    ),
    (lambda *a, **_: scores(*a).tolist()[0], SCORES, "any", r"returned \[.*; allowed: a tensor"),
]


@pytest.mark.parametrize(("attend", "shapes", "values", "told"), WRONG)
def test_what_is_wrong_with_a_function_is_one_line_that_names_it(
    attend: Any, shapes: Any, values: Any, told: str
) -> None:
    function = AttentionFunction(attend, shapes, "", "", values, {"width": Option(8, 1, 1024)})
    with pytest.raises(FunctionError) as caught:
        check_function("mine", with_defaults(function, {}), function)
    assert re.fullmatch(f"model.attention: mine: attend: {told}", str(caught.value))


def shared_only(p: Any, queries: Any, keys: Any, **_: Any) -> Any:
    """Take keys that are the same for all examples, as those of lookup are."""
    return (p["query"][queries] @ p["key"][keys].t()).softmax(-1)


@pytest.mark.parametrize("task", ["recall", "caption", "biggest"])
def test_a_function_is_tried_with_queries_and_keys_such_as_its_task_has(
    task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = AttentionFunction(shared_only, PRODUCTS, "", "", "shares", {"width": Option(8, 1, 1024)})
    monkeypatch.setitem(ATTENTION_FUNCTIONS, "mine", entry)
    check(initial_weights("mine", make_problem("lookup"), 0))
    weights = initial_weights("mine", make_problem(task), 0)
    told = r"model\.attention: mine: attend: test_check\.py, line \d+: \w+Error: .*; mend it"
    for engine in (TorchEngine, CompiledEngine):
        with pytest.raises(FunctionError, match=rf"\A{told}\Z"):
            engine(weights, load_params().train, 0)


@pytest.mark.parametrize(
    ("shapes", "told"),
    [
        (lambda q, k: {"scores": (q, k)}, "TypeError: "),
        (lambda q, k, **_: {"scores": q}, "TypeError: 'int' object is not iterable; mend it"),
        (lambda q, k, **_: {"scores": (q, 0)}, "got {'scores': (5, 0)}; allowed: whole numbers above 0 for each name"),
        (lambda q, k, **_: [("scores", (q, k))], "AttributeError: 'list' object has no attribute 'items'; mend it"),
    ],
)
def test_shapes_that_are_none_are_one_line(shapes: Any, told: str) -> None:
    function = replace(ATTENTION_FUNCTIONS["softmax"], shapes=shapes)
    with pytest.raises(FunctionError) as caught:
        parameter_shapes("mine", 5, 7, {"temperature": 1.0}, function)
    line = str(caught.value)
    assert line.startswith("model.attention: mine: shapes: ")
    assert told in line


@pytest.mark.parametrize(
    ("initial", "told"),
    [
        (lambda random, shape: random.random(shape), "TypeError: "),
        (lambda random, shape, **_: random.random(3), "; allowed: finite numbers of shape (5, 7)"),
        (lambda random, shape, **_: np.full(shape, np.nan), "; allowed: finite numbers of shape (5, 7)"),
    ],
)
def test_initial_values_that_are_none_are_one_line(initial: Any, told: str) -> None:
    function = replace(ATTENTION_FUNCTIONS["softmax"], initial={"scores": initial})
    with pytest.raises(FunctionError) as caught:
        draw_parameters("mine", {"scores": (5, 7)}, stream(0, "x"), 7, {}, function)
    assert str(caught.value).startswith("model.attention: mine: initial scores: ")
    assert told in str(caught.value)


def file(**options: str) -> str:
    """Return the text of a file with one function, with these options."""
    of = ", ".join(f"{name!r}: {value}" for name, value in options.items())
    return (
        "from attention.functions.entry import AttentionFunction, Option\n"
        "from attention.functions.table import score_table\n"
        f"FUNCTIONS = {{'mine': AttentionFunction(lambda *_: 0, score_table, '', '', options={{{of}}})}}"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def (:", "SyntaxError: invalid syntax (mine.py, line 1); mend it, or take the file away"),
        ("import nonesuch", "ModuleNotFoundError: No module named 'nonesuch'; mend it, or take the file away"),
        ("x = 1", "AttributeError: module 'attention.functions.mine' has no attribute 'FUNCTIONS'; mend it, or"),
        ("FUNCTIONS = 5", "FUNCTIONS is 5; allowed: a mapping of names; entry.py beside it says what"),
        (
            file().replace("lambda *_: 0", "print"),
            "mine: attend: got <built-in function print>; allowed: a function written with def; entry.py",
        ),
        ("FUNCTIONS = {'mine': 5}", "mine: got 5; allowed: an AttentionFunction; entry.py beside"),
        ("FUNCTIONS = {'my own': 5}", "got the name 'my own'; allowed: a name like power; entry.py"),
        (file(a="0.5"), "mine: a: got 0.5; allowed: an Option whose default it takes; entry.py"),
        (
            file(a="Option(3, 5, 7)"),
            "mine: a: got Option(default=3, low=5, high=7, words=()); allowed: an Option whose default it takes; ",
        ),
        (
            file(**{"a b": "Option(3)"}),
            "mine: got the option 'a b'; allowed: a name like temperature; entry.py",
        ),
        (
            file().replace("options=", "values='share', options="),
            "mine: values: got 'share'; allowed: one of: any, in [0, 1], shares; entry.py",
        ),
        (
            file().replace("mine", "softmax"),
            "softmax: there is one of this name; allowed: another name; entry.py",
        ),
    ],
)
def test_a_file_that_cannot_be_used_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    """A stage that only imports the registry says so, without a traceback."""
    (tmp_path / "stages/attention").mkdir(parents=True)
    for part in ("workbench", "train.py", "attention/__init__.py", "attention/functions"):
        source, target = ROOT / "stages" / part, tmp_path / "stages" / part
        if part == "attention/functions":
            target.mkdir()
            for file in source.glob("*.py"):
                (target / file.name).symlink_to(file)
        else:
            target.symlink_to(source)
    (tmp_path / "stages/attention/functions/mine.py").write_text(text)
    script = "from workbench.stage.run import run_stage\nimport attention.functions"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=tmp_path / "stages",
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"stages/attention/functions/mine.py: {told}")


def test_noise_is_tried_with_and_without() -> None:
    seen = []

    def attend(p: Any, queries: Any, keys: Any, *, noise: Any, **_: Any) -> Any:
        seen.append(None if noise is None else (noise.min() >= 0, noise.max() < 1))
        return table_scores(p["scores"], queries, keys)

    check_function("mine", {}, AttentionFunction(attend, SCORES, "", "", noisy=True))
    assert seen == [(True, True), None]


def test_a_function_without_parameters_passes() -> None:
    def attend(p: Any, queries: Any, keys: Any, *, positions: Any, **_: Any) -> Any:  # noqa: ARG001
        return torch.ones(len(queries), len(positions)) / len(positions)

    check_function("uniform", {}, AttentionFunction(attend, lambda q, k: {}, "", "", "shares"))
