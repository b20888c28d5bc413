"""params.yaml: what is refused and in which words, and that YAML is read as DVC reads it."""

import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from dvc.utils.serialize import parse_yaml  # type: ignore[import-untyped,unused-ignore]
from pydantic import ValidationError
from ruamel.yaml import YAML

from attention.functions import ATTENTION_FUNCTIONS, OPTIONS
from attention.params import load_params, load_study
from attention.params.schema import Params
from workbench.stage.errors import ParamsError
from workbench.stage.params import known_keys

# With each list on the line of its key, so that whoever spells a value in another way replaces one line.
DEFAULT = re.sub(
    r"(?m)^( *)(\S+):\n((?:\1- .*\n)+)",
    lambda found: f"{found[1]}{found[2]}: [{', '.join(re.findall(r'- (.*)', found[3]))}]\n",
    (ROOT / "params.yaml").read_text(),
)
TREE: dict[str, Any] = parse_yaml(DEFAULT, "params.yaml")

SEED = "a whole number from 0 to 9223372036854775807"
ADDRESS = "null, or host:port of a Dask scheduler or of the head of a Ray cluster"
SECTION = ", ".join(["attention", *OPTIONS])
NORMALIZER = "one of: softmax, sparsemax, entmax15, sigmoid, hard"
EPOCHS = "a whole number from 1 to 10000"
POSITIONS = (
    "the word random, or a list of 5 positions (one for each of data.n_contexts), each from 0 to 7 (data.seq_len - 1)"
)
POSITION_LIST = "null, or the word random, or a list with a position (from 0 to data.seq_len - 1) for each context"
NAMES = ", ".join(ATTENTION_FUNCTIONS)
MODEL = [f"{leaf}:" for leaf in TREE["model"]]
KNOWN = "known keys: seed, data, model, train, study, tracking, compute"
OF_TRAIN = "known keys: train.epochs, train.batch_size, train.learning_rate, train.shuffle, train.engine"

Load = Callable[[str | bytes], Params]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a text as if it were params.yaml of the folder one works in, as the stages do."""
    monkeypatch.chdir(tmp_path)

    def load_text(text: str | bytes) -> Params:
        (tmp_path / "params.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_params()

    return load_text


def spelled(leaf: str, value: str) -> str:
    """Return the default file with the value of a leaf spelled in another way."""
    text, count = re.subn(rf"(?m)^( *{leaf}:).*$", rf"\g<1> {value}", DEFAULT, count=1)
    assert count
    return text


def without(*lines: str) -> str:
    """Return the default file without the first line that starts with each of some texts."""
    text = DEFAULT
    for line in lines:
        text, count = re.subn(rf"(?m)^ *{re.escape(line)}.*\n", "", text, count=1)
        assert count
    return text


def leaves(tree: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in tree.items():
        inside = isinstance(value, dict) and name != "grid"  # whose keys are the user's
        yield from leaves(value, f"{prefix}{name}.") if inside else [prefix + name]


def refusal(load: Load, text: str | bytes) -> str:
    with pytest.raises(ParamsError) as caught:
        load(text)
    return str(caught.value)


def test_the_file_of_the_repository_holds_the_article_s_values(load: Load) -> None:
    params = load(DEFAULT)
    assert params.seed == 0
    assert params.data.model_dump() == {
        "task": "lookup",
        "n_train": 10000,
        "n_test": 2000,
        "seq_len": 8,
        "n_contexts": 5,
        "true_attention": [2, 7, 3, 5, 1],
        "n_tokens": None,
        "side": None,
        "n_colours": None,
        "keys": None,
    }
    assert params.model.attention == "embedding"
    assert params.train.model_dump() == {
        "epochs": 4,
        "batch_size": 1,
        "learning_rate": 0.001,
        "shuffle": False,
        "engine": "auto",
    }


def test_the_known_keys_are_the_leaves_of_the_file_in_its_order() -> None:
    assert list(known_keys(Params)) == list(leaves(TREE))


def test_params_cannot_be_changed_after_they_were_checked(load: Load) -> None:
    params = load(DEFAULT)
    with pytest.raises(ValidationError, match="frozen"):
        params.train.epochs = 0


EXPERIMENT = (
    "allowed: the name of an MLflow experiment: 1 to 200 characters, without / and \\, that begins with neither a dot "
    "nor a blank"
)


@pytest.mark.parametrize(
    ("leaf", "value"),
    [
        ("seed", "0"),
        ("seed", "9223372036854775807"),
        ("n_train", "1"),
        ("n_train", "1_000_000_000"),
        ("true_attention", "random"),
        ("true_attention", "[0, 0, 0, 0, 7]"),
        ("learning_rate", "10"),
        ("learning_rate", "1e-3"),
        ("learning_rate", "1e-05"),
        ("batch_size", "65536"),
        ("epochs", "007"),
        ("epochs", "0o7"),
        ("epochs", "0x1F"),
        ("shuffle", "TRUE"),
    ],
)
def test_a_legal_value_is_taken_as_dvc_reads_it(load: Load, leaf: str, value: str) -> None:
    text = spelled(leaf, value)
    key = next(k for k in known_keys(Params) if k.endswith(leaf))
    wanted, got = parse_yaml(text, "params.yaml"), load(text).model_dump()
    for name in key.split("."):
        wanted, got = wanted[name], got[name]
    assert got == wanted
    assert not isinstance(got, str) or value == "random"


@pytest.mark.parametrize(
    ("value", "read"), [("1e-3", 0.001), ("1e-05", 0.00001), ("1E-3", 0.001), ("1", 1.0), (".5", 0.5)]
)
def test_a_learning_rate_may_be_spelled_in_any_way_of_yaml_1_2(load: Load, value: str, read: float) -> None:
    assert load(spelled("learning_rate", value)).train.learning_rate == read


@pytest.mark.parametrize(
    ("leaf", "value", "message"),
    [
        ("seed", "-1", f"seed: got -1; allowed: {SEED}"),
        ("seed", "9223372036854775808", f"seed: got 9223372036854775808; allowed: {SEED}"),
        ("seed", "2026-01-01", f"seed: got datetime.date(2026, 1, 1); allowed: {SEED}"),
        ("n_train", "0", "data.n_train: got 0; allowed: a whole number from 1 to 1000000000"),
        ("n_train", "1000000001", "data.n_train: got 1000000001; allowed: a whole number from 1 to 1000000000"),
        ("n_test", "0", "data.n_test: got 0; allowed: a whole number from 1 to 1000000000"),
        ("n_test", "1000000001", "data.n_test: got 1000000001; allowed: a whole number from 1 to 1000000000"),
        ("seq_len", "0", "data.seq_len: got 0; allowed: null, or a whole number from 1 to 1024"),
        ("seq_len", "1025", "data.seq_len: got 1025; allowed: null, or a whole number from 1 to 1024"),
        ("n_contexts", "0", "data.n_contexts: got 0; allowed: null, or a whole number from 1 to 1024"),
        ("n_contexts", "1025", "data.n_contexts: got 1025; allowed: null, or a whole number from 1 to 1024"),
        ("true_attention", "[2, 7]", f"data.true_attention: got [2, 7]; allowed with lookup: {POSITIONS}"),
        ("true_attention", "[]", f"data.true_attention: got []; allowed with lookup: {POSITIONS}"),
        (
            "true_attention",
            "[2, 8, 3, 5, 1]",
            f"data.true_attention: got [2, 8, 3, 5, 1]; allowed with lookup: {POSITIONS}",
        ),
        (
            "true_attention",
            "[2, -1, 3, 5, 1]",
            f"data.true_attention: got [2, -1, 3, 5, 1]; allowed with lookup: {POSITIONS}",
        ),
        (
            "true_attention",
            "[2, a, b, 5, 1]",
            f"data.true_attention: got [2, 'a', 'b', 5, 1]; allowed: {POSITION_LIST}",
        ),
        (
            "true_attention",
            "[true, 7, 3, 5, 1]",
            f"data.true_attention: got [true, 7, 3, 5, 1]; allowed: {POSITION_LIST}",
        ),
        ("true_attention", "rnd", f"data.true_attention: got 'rnd'; allowed: {POSITION_LIST}"),
        ("epochs", '"4"', f"train.epochs: got '4'; allowed: {EPOCHS}"),
        ("epochs", "4.0", f"train.epochs: got 4.0; allowed: {EPOCHS}"),
        ("epochs", "true", f"train.epochs: got true; allowed: {EPOCHS}"),
        ("epochs", "null", f"train.epochs: got null; allowed: {EPOCHS}"),
        ("epochs", "", f"train.epochs: got null; allowed: {EPOCHS}"),
        ("epochs", "10001", f"train.epochs: got 10001; allowed: {EPOCHS}"),
        ("batch_size", "0", "train.batch_size: got 0; allowed: a whole number from 1 to 65536"),
        ("batch_size", "65537", "train.batch_size: got 65537; allowed: a whole number from 1 to 65536"),
        ("learning_rate", "0", "train.learning_rate: got 0; allowed: a number from 1e-30 to 10"),
        ("learning_rate", "1e-31", "train.learning_rate: got 1e-31; allowed: a number from 1e-30 to 10"),
        ("learning_rate", "10.1", "train.learning_rate: got 10.1; allowed: a number from 1e-30 to 10"),
        ("learning_rate", ".nan", "train.learning_rate: got nan; allowed: a number from 1e-30 to 10"),
        ("learning_rate", "1e400", "train.learning_rate: got inf; allowed: a number from 1e-30 to 10"),
        ("learning_rate", "true", "train.learning_rate: got true; allowed: a number from 1e-30 to 10"),
        ("shuffle", "on", "train.shuffle: got 'on'; allowed: true or false"),
        ("shuffle", "1", "train.shuffle: got 1; allowed: true or false"),
        ("temperature", "0", "model.temperature: got 0; allowed: null, or a number from 0.001 to 1000"),
        ("temperature", ".nan", "model.temperature: got nan; allowed: null, or a number from 0.001 to 1000"),
        ("width", "0", "model.width: got 0; allowed: null, or a whole number from 1 to 1024"),
        ("width", "8.0", "model.width: got 8.0; allowed: null, or a whole number from 1 to 1024"),
        ("heads", "true", "model.heads: got true; allowed: null, or a whole number from 1 to 1024"),
        ("window", "1025", "model.window: got 1025; allowed: null, or a whole number from 1 to 1024"),
        ("beta", "1001", "model.beta: got 1001; allowed: null, or a number from 0.001 to 1000"),
        ("normalizer", "argmax", f"model.normalizer: got 'argmax'; allowed: null, or {NORMALIZER}"),
        ("normalizer", "[]", f"model.normalizer: got []; allowed: null, or {NORMALIZER}"),
        ("seeds", "0", "study.seeds: got 0; allowed: a whole number from 1 to 100000"),
        ("backend", "threads", "compute.backend: got 'threads'; allowed: one of: threading, loky, dask, ray"),
        ("workers", "0", "compute.workers: got 0; allowed: null, for all cores, or a whole number from 1 to 65536"),
        ("address", '""', f"compute.address: got ''; allowed: {ADDRESS}"),
        ("address", "127.0.0.1", f"compute.address: got '127.0.0.1'; allowed: {ADDRESS}"),
        (
            "address",
            "127.0.0.1:8786",
            "compute.address: got '127.0.0.1:8786'; allowed with threading, which uses this machine: null; "
            "or set compute.backend to one of: dask, ray",
        ),
        ("experiment", '""', f"tracking.experiment: got ''; {EXPERIMENT}"),
        ("experiment", '"  "', f"tracking.experiment: got '  '; {EXPERIMENT}"),
        ("experiment", "3", f"tracking.experiment: got 3; {EXPERIMENT}"),
        ("experiment", '".."', f"tracking.experiment: got '..'; {EXPERIMENT}"),
        ("experiment", "../../up", f"tracking.experiment: got '../../up'; {EXPERIMENT}"),
        ("experiment", "a/b", f"tracking.experiment: got 'a/b'; {EXPERIMENT}"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(load: Load, leaf: str, value: str, message: str) -> None:
    assert refusal(load, spelled(leaf, value)) == f"params.yaml: {message}"


@pytest.mark.parametrize(("key", "leaf"), [("model.attention", "attention"), ("train.engine", "engine")])
def test_the_names_that_a_refusal_offers_are_the_names_that_are_taken(load: Load, key: str, leaf: str) -> None:
    told = refusal(load, spelled(leaf, "nonesuch"))
    start, _, names = told.rpartition("one of: ")
    assert start == f"params.yaml: {key}: got 'nonesuch'; allowed: "
    assert {"embedding"} <= set(names.split(", ")) or {"auto", "torch"} <= set(names.split(", "))
    for name in names.split(", "):
        load(spelled(leaf, name))


def with_model(**leaves: object) -> str:
    text = DEFAULT
    for leaf, value in leaves.items():
        text, count = re.subn(rf"(?m)^( *{leaf}:).*$", rf"\g<1> {value}", text, count=1)
        assert count
    return text


@pytest.mark.parametrize(
    ("leaves", "lines"),
    [
        (
            {"attention": "softmax", "heads": 4},
            [
                "model.heads: got 4; allowed with softmax: null, as the function has no such option (it has: "
                "temperature); set it to null"
            ],
        ),
        (
            {"width": 4, "beta": 2.5},
            [
                "model.width: got 4; allowed with embedding: null, as the function has no such option (it has: none); "
                "set it to null",
                "model.beta: got 2.5; allowed with embedding: null, as the function has no such option (it has: none); "
                "set it to null",
            ],
        ),
        (
            {"attention": "softmax", "normalizer": "hard"},
            [
                "model.normalizer: got 'hard'; allowed with softmax: null, as the function has no such option (it has: "
                "temperature); set it to null"
            ],
        ),
        (
            {"attention": "multihead", "heads": 3},
            ["model.heads: got 3; allowed with multihead: a divisor of the width, 8; change heads or width"],
        ),
        (
            {"attention": "multihead", "width": 7},
            ["model.heads: got null; allowed with multihead: a divisor of the width, 7; change heads or width"],
        ),
        (
            {"attention": "local", "window": 9},
            [
                "model.window: got 9; allowed with local: at most the number of positions, 8; choose a smaller window",
            ],
        ),
    ],
)
def test_values_that_the_attention_function_rules_out_are_refused(
    load: Load, leaves: dict[str, object], lines: list[str]
) -> None:
    assert refusal(load, with_model(**leaves)).split("\n") == [f"params.yaml: {line}" for line in lines]


def test_options_of_the_function_are_taken_and_may_be_left_out(load: Load) -> None:
    model = load(with_model(attention="multihead", heads=4, width=12)).model
    given = {"width": 12, "heads": 4}
    assert model.options == {name: given.get(name) for name in OPTIONS}
    assert load(without(*MODEL[1:])).model.options == dict.fromkeys(model.options)
    assert load(with_model(attention="softmax", temperature=2)).model.options["temperature"] == 2.0


def test_a_long_value_is_cut_so_that_the_line_stays_readable(load: Load) -> None:
    told = refusal(load, spelled("epochs", "a" * 500))
    assert told == f"params.yaml: train.epochs: got '{'a' * 76}...; allowed: {EPOCHS}"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (without("epochs:"), [f"train.epochs: missing; allowed: {EPOCHS}"]),
        (without("seed:"), [f"seed: missing; allowed: {SEED}"]),
        (
            without("model:", *MODEL),
            [f"model: missing; allowed: a section with the keys {SECTION}"],
        ),
        (
            without(*MODEL),
            [f"model: got null; allowed: a section with the keys {SECTION}"],
        ),
        (
            DEFAULT.replace("epochs:", "epoch:", 1),
            [f"train.epochs: missing; allowed: {EPOCHS}", "train.epoch: unknown key; did you mean train.epochs?"],
        ),
        (
            DEFAULT.replace("seed:", "sed:", 1),
            [
                f"seed: missing; allowed: {SEED}",
                "sed: unknown key; did you mean seed?",
            ],
        ),
        ("learning_rate: 0.1\n" + DEFAULT, ["learning_rate: unknown key; did you mean train.learning_rate?"]),
        ("zzzz: 3\n" + DEFAULT, [f"zzzz: unknown key; remove it; {KNOWN}"]),
        (
            DEFAULT.replace("train:\n", "train:\n  qqqqq: 3\n"),
            [f"train.qqqqq: unknown key; remove it; {OF_TRAIN}"],
        ),
        ("1: 3\n" + DEFAULT, [f"1: unknown key; remove it; {KNOWN}"]),
        ("null: 3\n" + DEFAULT, [f"None: unknown key; remove it; {KNOWN}"]),
        (
            DEFAULT.replace("train:\n", "train:\n  [7, 7]: 3\n"),
            [f"train.(7, 7): unknown key; remove it; {OF_TRAIN}"],
        ),
        (
            "sed: 1\n" + spelled("seed", "x").replace("epochs: 4", "epochs: 0").replace("seq_len: 8", "seq_len: 0"),
            [
                f"seed: got 'x'; allowed: {SEED}",
                "data.seq_len: got 0; allowed: null, or a whole number from 1 to 1024",
                f"train.epochs: got 0; allowed: {EPOCHS}",
                "sed: unknown key; did you mean seed?",
            ],
        ),
    ],
)
def test_every_problem_of_the_keys_gets_a_line_of_its_own(load: Load, text: str, lines: list[str]) -> None:
    assert refusal(load, text).split("\n") == [f"params.yaml: {line}" for line in lines]


LINE = {text: number for number, text in enumerate(DEFAULT.splitlines(), start=1)}


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        (
            DEFAULT.replace("  epochs: 4\n", "  epochs: 4\n  epochs: 5\n"),
            (LINE["  epochs: 4"] + 1, 3),
            'found duplicate key "epochs" with value "5" (original value: "4")',
        ),
        (spelled("epochs", "4: 3"), (LINE["  epochs: 4"], 12), "mapping values are not allowed here"),
        (
            DEFAULT.replace("  epochs: 4", "\tepochs: 4"),
            (LINE["  epochs: 4"], 1),
            "found character '\\t' that cannot start any token",
        ),
        (
            spelled("seed", "!!python/object/apply:os.getcwd []"),
            (LINE["seed: 0"], 7),
            "could not determine a constructor for the tag 'tag:yaml.org,2002:python/object/apply:os.getcwd'",
        ),
    ],
)
def test_what_is_no_yaml_is_refused_with_line_and_column(
    load: Load, text: str, where: tuple[int, int], what: str
) -> None:
    line, column = where
    told = refusal(load, text)
    assert told == f"params.yaml: line {line}, column {column}: not valid YAML: {what}; mend that line"


@pytest.mark.parametrize("text", ["seed: é".encode("latin-1"), b"seed: \0", b"seed: \xff\n" + DEFAULT.encode()])
def test_what_is_no_text_is_refused_in_one_line(load: Load, text: bytes) -> None:
    told = refusal(load, text)
    assert re.fullmatch(r"params\.yaml: not valid YAML: [^\n]+; mend that line", told)


@pytest.mark.parametrize(("text", "shown"), [("", "null"), ("- 1\n- 2\n", "[1, 2]"), ("4", "4"), ("seed", "'seed'")])
def test_what_is_no_mapping_is_refused(load: Load, text: str, shown: str) -> None:
    assert refusal(load, text) == (
        f"params.yaml: got {shown}; allowed: a mapping with the keys {', '.join(TREE)}; "
        "`git checkout params.yaml` brings the default file back"
    )


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError) as caught:
        load_params(tmp_path / "params.yaml")
    assert str(caught.value) == (
        f"{tmp_path}/params.yaml: cannot be read (No such file or directory); run from the repository root"
    )


def test_a_folder_in_the_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ParamsError, match=re.escape(f"{tmp_path}: cannot be read (Is a directory); run from the")):
        load_params(tmp_path)


def with_grid(grid: str, **leaves: object) -> str:
    """Return the default file with another grid, and other values of some leaves."""
    text, count = re.subn(r"(?m)^  grid:\n    .*$", f"  grid: {grid}", DEFAULT)
    assert count == 1
    for leaf, value in leaves.items():
        text, count = re.subn(rf"(?m)^( *{leaf}:).*$", rf"\g<1> {value}", text, count=1)
        assert count
    return text


VARIED = ", ".join(key for key in known_keys(Params) if key.partition(".")[0] in ("data", "model", "train"))
DIFFERENT = "allowed: a list of different values (null and auto are what they stand for)"
GRID = "study.grid: got {}; allowed: {{}}, or a mapping from keys like model.attention to lists of different values"


@pytest.mark.parametrize(
    ("grid", "lines"),
    [
        ("[3]", [GRID.format("[3]")]),
        ("{model.attention: softmax}", [GRID.format("{'model.attention': 'softmax'}")]),
        ("{train.epochs: []}", ["study.grid: train.epochs: got []; allowed: a list of different values, at least one"]),
        ("{model.attenton: [softmax]}", ["study.grid: got the key model.attenton; did you mean model.attention?"]),
        (
            "{seed: [1, 2]}",
            [f"study.grid: got the key seed; allowed: {VARIED}"],
        ),
        ("{train.epochs: [1, 2, 1]}", [f"study.grid: train.epochs: got [1, 2, 1]; {DIFFERENT}"]),
        ("{train.learning_rate: [1, 1.0]}", [f"study.grid: train.learning_rate: got [1, 1.0]; {DIFFERENT}"]),
        (
            "{train.epochs: [1, 0], train.shuffle: [true, on]}",
            [
                f"study.grid: train.epochs: got 0; allowed: {EPOCHS}",
                "study.grid: train.shuffle: got 'on'; allowed: true or false",
            ],
        ),
        ("{model.attention: [dot, dott]}", ["study.grid: model.attention: got 'dott'; allowed: one of: " + NAMES]),
        ("{model.width: [0]}", ["study.grid: model.width: got 0; allowed: null, or a whole number from 1 to 1024"]),
        ("{data.true_attention: [most]}", [f"study.grid: data.true_attention: got 'most'; allowed: {POSITION_LIST}"]),
        (
            f"{{train.epochs: {list(range(1, 1002))}, data.n_train: {list(range(1, 101))}}}",
            ["study.grid: got 2,002,000 trainings; allowed: at most 1,000,000; take fewer values"],
        ),
        (
            "{train.epochs: [10000, 9999, 1]}",
            [
                "study: got 60 trainings of 400,000 epochs in all; allowed: at most 199,999 epochs; "
                "take fewer values, seeds or epochs"
            ],
        ),
    ],
)  # fmt: skip
def test_a_grid_of_wrong_values_is_refused_a_line_a_problem(
    load: Load, grid: str, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("attention.params.grid.MOST_ROWS", 199_999)
    assert refusal(load, with_grid(grid)).splitlines() == [f"params.yaml: {line}" for line in lines]


@pytest.mark.parametrize(
    ("grid", "lines"),
    [
        ("{train.engine: [auto, compiled]}", [f"study.grid: train.engine: got ['auto', 'compiled']; {DIFFERENT}"]),
        (
            "{model.attention: [dot, additive], model.width: [4, null, 8]}",
            [f"study.grid: model.width: got [4, null, 8]; {DIFFERENT}"],
        ),
        (
            "{model.attention: [embedding, softmax], model.temperature: [null, 2.0]}",
            [
                "study.grid: model.temperature: got 2.0; allowed with embedding: null, as the function has no such "
                "option (it has: none); set it to null"
            ],
        ),
        (
            "{data.n_contexts: [2, 5]}",
            [
                "study.grid: data.true_attention: got [2, 7, 3, 5, 1]; allowed with lookup: "
                + POSITIONS.replace("5 pos", "2 pos")
            ],
        ),
        (
            "{data.seq_len: [1024], data.n_contexts: [1024], data.true_attention: [random], train.epochs: [9, 10]}",
            ["study.grid: train.epochs: got 10; allowed with 1024 contexts of 1024 positions: at most 9, for "
             "data/train/attention.csv to have at most 10,000,000 rows"],
        ),
    ],
)  # fmt: skip
def test_values_that_cannot_be_combined_are_refused_by_the_study_alone(load: Load, grid: str, lines: list[str]) -> None:
    assert load(with_grid(grid)).study.seeds == 20
    with pytest.raises(ParamsError) as caught:
        load_study()
    assert str(caught.value).splitlines() == [f"params.yaml: {line}" for line in lines]


BEST = "allowed: different keys of study.grid, which has: model.attention"


@pytest.mark.parametrize(
    ("study", "line"),
    [
        ("best: {over: [train.epochs], by: mse}", f"study.best: over: got ['train.epochs']; {BEST}"),
        ("best: {over: [model.attention, model.attention], by: mse}",
         f"study.best: over: got ['model.attention', 'model.attention']; {BEST}"),
        ("seeds: 1, best: {over: [model.attention], by: mse}",
         "study.seeds: got 1; allowed with study.best, half of them to choose with: at least 2"),
        ("best: {over: [], by: mse}",
         "study.best: got {'by': 'mse', 'over': []}; allowed: null, or {over: [a key of study.grid, …], by: mse}; "
         "by: mse, of classes the loss, normalized, effective or accuracy"),
        ("compare: pairs", "study.compare: got 'pairs'; allowed: one of: neighbours, all, none"),
        ("compare: all, grid: {train.epochs: [" + ", ".join(map(str, range(1, 449))) + "]}",
         "study.compare: got 'all', 100,128 pairs of configurations; allowed: at most 100,000; take fewer values, or "
         "set it to none"),
        ("seeds: 1, grid: {train.epochs: [" + ", ".join(map(str, range(1, 40))) + "], data.n_test: [" +
         ", ".join(map(str, range(1, 70))) + "]}",
         "study.compare: got 'neighbours', 142,623 pairs of configurations; allowed: at most 100,000; take fewer "
         "values, or set it to none"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_or_chosen_is_refused(load: Load, study: str, line: str) -> None:
    tree = YAML(typ="safe").load(with_grid("{model.attention: [softmax, dot]}"))
    tree["study"] |= YAML(typ="safe").load(f"{{{study}}}")
    assert refusal(load, json.dumps(tree)) == f"params.yaml: {line}"


def test_of_many_problems_some_are_told(load: Load) -> None:
    *lines, last = refusal(load, with_grid(f"{{train.epochs: {[-number for number in range(1, 100)]}}}")).splitlines()
    assert lines == [f"params.yaml: study.grid: train.epochs: got -{n}; allowed: {EPOCHS}" for n in range(1, 21)]
    assert last == "params.yaml: got 79 more such lines; mend those above first"


def test_a_file_larger_than_it_may_be_is_refused_before_it_is_parsed(load: Load) -> None:
    text = with_grid("{}") + "#" * 100_000
    told = f"params.yaml: cannot be read ({len(text.encode()):,} bytes, of which at most 100,000 are read); "
    assert refusal(load, text) == f"{told}give its lists fewer values"
    assert load(text.encode()[:100_000]).study.grid == {}


def test_attention_of_more_numbers_than_a_table_may_have_is_refused(load: Load) -> None:
    def text(epochs: int) -> str:
        return with_grid("{}", seq_len=512, n_contexts=512, true_attention="random", epochs=epochs)

    assert load(text(38)).train.epochs == 38
    assert refusal(load, text(39)) == (
        "params.yaml: train.epochs: got 39; allowed with 512 contexts of 512 positions: at most 38, for "
        "data/train/attention.csv to have at most 10,000,000 rows"
    )


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")], ids=["pipe", "device"])
def test_a_pipe_or_a_device_in_the_place_of_the_file_is_refused(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / "params.yaml")
    with pytest.raises(ParamsError) as caught:
        load_params(tmp_path / "params.yaml")
    told = "cannot be read (a pipe, a socket or a device in the place of a file); run from the repository root"
    assert str(caught.value) == f"{tmp_path}/params.yaml: {told}"


def test_a_grid_makes_every_combination_in_the_order_of_the_schema(tmp_path: Path) -> None:
    grid = "{train.learning_rate: [0.1, 0.01], model.attention: [softmax, dot], data.true_attention: [random]}"
    (tmp_path / "params.yaml").write_text(with_grid(grid))
    params, configurations = load_study(tmp_path / "params.yaml")
    assert [tuple(values.values()) for values, _ in configurations] == [
        ("random", "softmax", 0.1),
        ("random", "softmax", 0.01),
        ("random", "dot", 0.1),
        ("random", "dot", 0.01),
    ]
    assert list(configurations[0].values) == ["data.true_attention", "model.attention", "train.learning_rate"]
    assert configurations[3].params.model.attention == "dot"
    assert configurations[3].params.train == params.train.model_copy(update={"learning_rate": 0.01})
    assert configurations[3].params.data.n_train == params.data.n_train


def test_options_of_a_function_that_is_not_in_the_grid_do_not_count(tmp_path: Path) -> None:
    text = with_grid("{model.attention: [embedding, dot]}", attention="multihead", width=4, heads=2)
    (tmp_path / "params.yaml").write_text(text)
    params, configurations = load_study(tmp_path / "params.yaml")
    chosen = [model.options for model in (params.model, *(each.params.model for each in configurations))]
    assert [(each["width"], each["heads"]) for each in chosen] == [(4, 2), (None, None), (4, None)]


def test_in_a_copy_of_dvc_s_a_new_function_is_said_to_need_git_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / ".dvc/tmp/exps/standalone/one"
    copy.mkdir(parents=True)
    said = []
    for folder in (tmp_path, copy):
        monkeypatch.chdir(folder)
        (folder / "params.yaml").write_text(spelled("attention", "cubic"))
        with pytest.raises(ParamsError) as refused:
            load_params()
        said.append(str(refused.value))
    beside, within = said
    assert beside.endswith(f"model.attention: got 'cubic'; allowed: one of: {NAMES}")
    assert within == f"{beside}; with --temp or --queue, DVC runs a copy that has a new file only after `git add` of it"
