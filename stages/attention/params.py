"""The schema of params.yaml, read by every stage before anything else."""

import copy
import difflib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML

from attention.errors import ParamsError, show_name, show_value
from attention.functions import ATTENTION_FUNCTIONS
from attention.registry import OPTIONS, option_problems, resolve_options

PARAMS_FILE = "params.yaml"
GRID_SECTIONS = ("data.", "model.", "train.")  # what a study may vary, besides the seed
CLUSTERS = ("dask", "ray")
MOST_TRAININGS, MOST_SEED = 1_000_000, 2**63 - 1
_MISSING = object()


def _whole(low: int, high: int) -> Any:
    return Field(ge=low, le=high, description=f"a whole number from {low} to {high}")


class _Section(BaseModel):
    # strict: "4" is no number and true is no 1. A description is what an error shows as the allowed values.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class DataParams(_Section):
    """The toy problem: how many examples, how large, and which position each context reads."""

    n_train: Annotated[int, _whole(1, 1_000_000_000)]
    n_test: Annotated[int, _whole(1, 1_000_000_000)]
    seq_len: Annotated[int, _whole(1, 1024)]
    n_contexts: Annotated[int, _whole(1, 1024)]
    true_attention: Annotated[
        Literal["random"] | list[int],
        Field(description="the word random, or a list with a position (from 0 to data.seq_len - 1) for each context"),
    ]

    @field_validator("true_attention")
    @classmethod
    def _fits(cls, value: str | list[int], info: ValidationInfo) -> str | list[int]:
        sizes = info.data
        if isinstance(value, str) or "n_contexts" not in sizes or "seq_len" not in sizes:
            return value
        if len(value) != sizes["n_contexts"] or not all(0 <= p < sizes["seq_len"] for p in value):
            raise ValueError(
                f"the word random, or a list of {sizes['n_contexts']} positions (one for each of data.n_contexts), "
                f"each from 0 to {sizes['seq_len'] - 1} (data.seq_len - 1)"
            )
        return value


def _option(name: str) -> Any:
    option = OPTIONS[name]
    return Field(default=None, ge=option.low, le=option.high, description=f"null, or {option.allowed}")


class ModelParams(_Section):
    """Which attention function the network has, and its options: null stands for the function's own default."""

    attention: Annotated[str, Field(description="one of: " + ", ".join(ATTENTION_FUNCTIONS))]
    temperature: float | None = _option("temperature")
    width: int | None = _option("width")
    heads: int | None = _option("heads")
    window: int | None = _option("window")
    beta: float | None = _option("beta")

    @property
    def options(self) -> dict[str, float | None]:
        """All options by name, also those that the function does not have."""
        return {name: getattr(self, name) for name in OPTIONS}

    @field_validator("attention")
    @classmethod
    def _registered(cls, value: str) -> str:
        if value not in ATTENTION_FUNCTIONS:
            raise ValueError
        return value


class TrainParams(_Section):
    """How the network is trained."""

    epochs: Annotated[int, _whole(1, 10_000)]
    batch_size: Annotated[int, _whole(1, 65_536)]
    learning_rate: Annotated[float, Field(ge=1e-30, le=10, description="a number from 1e-30 to 10")]
    shuffle: Annotated[bool, Field(description="true or false")]
    engine: Annotated[Literal["auto", "compiled", "torch"], Field(description="one of: auto, compiled, torch")]


class StudyParams(_Section):
    """Which trainings are compared: every combination of the grid's values, each with so many seeds."""

    seeds: Annotated[int, _whole(1, 100_000)]
    grid: Annotated[
        dict[str, list[Any]],
        Field(description="{}, or a mapping from keys like model.attention to lists of different values"),
    ]


class ComputeParams(_Section):
    """Where a study is computed, and how many trainings at once; no result depends on it."""

    backend: Annotated[
        Literal["threading", "loky", "dask", "ray"], Field(description="one of: threading, loky, dask, ray")
    ]
    workers: Annotated[
        int | None,
        Field(ge=1, le=65_536, description="null, for all cores, or a whole number from 1 to 65536"),
    ]
    address: Annotated[
        str | None,
        Field(
            pattern=r"^\S+:\d+$", description="null, or host:port of a Dask scheduler or of the head of a Ray cluster"
        ),
    ]


class TrackingParams(_Section):
    """Where MLflow shows the runs; no result depends on it."""

    experiment: Annotated[str, Field(pattern=r"\S", description="the name of an MLflow experiment")]
    required: Annotated[bool, Field(description="true or false")]


class Params(_Section):
    """All of params.yaml."""

    seed: Annotated[int, _whole(0, MOST_SEED)]
    data: DataParams
    model: ModelParams
    train: TrainParams
    study: StudyParams
    tracking: TrackingParams
    compute: ComputeParams


class Configuration(NamedTuple):
    """One combination of the study's grid."""

    values: Mapping[str, Any]  # from each key of the grid to its value here
    params: Params  # what `dvc exp run -S key=value …` would make of params.yaml


def known_keys(section: type[BaseModel] = Params, prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every leaf, in the order of the file."""
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from known_keys(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def load_params(path: str | Path = PARAMS_FILE) -> Params:
    """Read and check all of `path`, the study's every configuration too.

    YAML is read as DVC reads it (version 1.2, so `1e-3` is a number), by the same library.

    Raises:
        ParamsError: one line for each problem, with the dotted key, the value got and what is allowed.

    """
    return load_study(path)[0]


def load_study(path: str | Path = PARAMS_FILE) -> tuple[Params, list[Configuration]]:
    """Read and check as `load_params`, and return the configurations of the study as well.

    Keys of the grid vary in the order of the schema, the last one fastest, each through its values as listed. Where
    they name attention functions, options of another function do not count.
    """
    tree = _read_tree(path)
    try:
        params = Params.model_validate(tree)
    except ValidationError as error:
        raise _refusal(path, [_describe(tree, problem) for problem in error.errors()]) from error
    if problems := [*_disagreements(params), *_study_problems(params)]:
        raise _refusal(path, problems)
    configurations, problems = _configurations(tree, params.study.grid)
    if problems:
        raise _refusal(path, problems)
    return params, configurations


def _refusal(path: str | Path, problems: list[str]) -> ParamsError:
    return ParamsError("\n".join(f"{path}: {line}" for line in dict.fromkeys(problems)))


def _read_tree(path: str | Path) -> dict[str, Any]:
    try:
        text = Path(path).read_bytes()
    except OSError as error:
        raise ParamsError(f"{path}: cannot be read ({error.strerror}); run from the repository root") from error
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except Exception as error:  # the parser lets many kinds escape on hostile bytes; each means the same to a user
        raise ParamsError(f"{path}: {_describe_syntax(error)}; mend that line") from error
    if not isinstance(tree, dict):
        raise ParamsError(
            f"{path}: got {show_value(tree)}; allowed: a mapping with the keys {', '.join(Params.model_fields)}; "
            f"`git checkout {path}` brings the default file back"
        )
    return tree


def _study_problems(params: Params) -> Iterator[str]:
    """Yield a line for each problem of a study and of where it is computed, before its values are looked at."""
    grid, seeds = params.study.grid, params.study.seeds
    allowed = [key for key in known_keys() if key.startswith(GRID_SECTIONS)]
    for key, values in grid.items():
        if key not in allowed:
            near = difflib.get_close_matches(key, allowed, n=1)
            hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(allowed)}"
            yield f"study.grid: got the key {show_name(key)}; {hint}"
        elif not values:
            yield f"study.grid: {key}: got []; allowed: a list of different values, at least one"
    trainings = seeds * math.prod(map(len, grid.values()))
    if trainings > MOST_TRAININGS:
        yield f"study.grid: got {trainings:,} trainings; allowed: at most {MOST_TRAININGS:,}; take fewer values"
    if params.compute.address is not None and params.compute.backend not in CLUSTERS:
        yield (
            f"compute.address: got {show_value(params.compute.address)}; allowed with {params.compute.backend}, "
            f"which uses this machine: null; or set compute.backend to one of: {', '.join(CLUSTERS)}"
        )


def _configurations(tree: Mapping[str, Any], grid: Mapping[str, list[Any]]) -> tuple[list[Configuration], list[str]]:
    """Return every combination of the grid's values, and a line for each problem that one of them has."""
    keys = [key for key in known_keys() if key in grid]
    found, problems = [], []
    for values in itertools.product(*(grid[key] for key in keys)):
        changed = {name: copy.copy(section) for name, section in tree.items()}
        for key, value in zip(keys, values, strict=True):
            section, _, name = key.partition(".")
            changed[section][name] = value
        if "model.attention" in keys:  # params.yaml may set options for a function that is not in the grid
            _drop_options(changed["model"], keys)
        try:
            params = Params.model_validate(changed)
        except ValidationError as error:
            problems += [f"study.grid: {_describe(changed, problem)}" for problem in error.errors()]
            continue
        problems += [f"study.grid: {line}" for line in _disagreements(params)]
        found.append(Configuration({key: _value(params, key) for key in keys}, params))
    for key in keys if not problems else []:
        texts = [_meaning(params) for params in _along(found, keys, grid, key)]
        if len(set(texts)) < len(texts):
            problems.append(
                f"study.grid: {key}: got {show_value(grid[key])}; allowed: a list of different values "
                "(null and auto are what they stand for)"
            )
    return found, problems


def _drop_options(model: dict[str, Any], keys: list[str]) -> None:
    """Set to null the options that the function does not have, unless the grid gives them."""
    function = ATTENTION_FUNCTIONS.get(model["attention"]) if isinstance(model["attention"], str) else None
    for name in set(OPTIONS) - set(function.options) if function else ():
        if f"model.{name}" not in keys:
            model[name] = None


def _along(found: list[Configuration], keys: list[str], grid: Mapping[str, list[Any]], key: str) -> Iterator[Params]:
    """Yield a configuration for each value of one key of the grid."""
    step = math.prod(len(grid[later]) for later in keys[keys.index(key) + 1 :])
    return (found[number * step].params for number in range(len(grid[key])))


def _meaning(params: Params) -> str:
    """Return all that a training is made from, with the function's own options for null, and its engine for auto."""
    function = ATTENTION_FUNCTIONS[params.model.attention]
    values = {key: _value(params, key) for key in known_keys() if key.startswith(GRID_SECTIONS)}
    options = resolve_options(function, params.model.options, params.data.seq_len)
    values |= {f"model.{name}": value for name, value in options.items()}
    if values["train.engine"] == "auto":
        values["train.engine"] = function.engine
    return json.dumps(values)


def _value(params: Params, key: str) -> Any:
    section, _, name = key.partition(".")
    return getattr(getattr(params, section), name)


def _disagreements(params: Params) -> Iterator[str]:
    """Yield a line for each value that another section rules out."""
    name, options = params.model.attention, params.model.options
    function = ATTENTION_FUNCTIONS[name]
    for option, allowed in option_problems(function, options, params.data.seq_len).items():
        got = options[option]
        yield f"model.{option}: got {show_value(got)}; allowed with {name}: {allowed}"
    if params.train.engine == "compiled" and not function.has_kernel:
        yield f"train.engine: got 'compiled'; allowed with {name}, which has no kernel: one of: auto, torch"


def _describe_syntax(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    what = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"{where}not valid YAML: {show_name(what, 200)}"


def _describe(tree: Any, problem: ErrorDetails) -> str:
    """Say in one line what is wrong at the problem's place; places inside a leaf (list items) count as the leaf."""
    section: type[BaseModel] = Params
    keys: list[str] = []
    for part in problem["loc"]:
        keys.append(str(part))
        key = ".".join(keys)
        if problem["type"] in ("extra_forbidden", "invalid_key") and part not in section.model_fields:
            return f"{show_name(key)}: unknown key; {_nearest(key)}"
        field = section.model_fields[str(part)]
        found = tree.get(part, _MISSING)
        if found is _MISSING or key in known_keys():
            break
        section, tree = cast(type[BaseModel], field.annotation), found
    allowed = field.description or "a section with the keys " + ", ".join(
        cast(type[BaseModel], field.annotation).model_fields
    )
    if problem["type"] == "value_error" and str(problem["ctx"]["error"]):
        allowed = str(problem["ctx"]["error"])
    got = "missing" if found is _MISSING else f"got {show_value(found)}"
    return f"{key}: {got}; allowed: {allowed}"


def _nearest(key: str) -> str:
    known = {name.rpartition(".")[2]: name for name in known_keys()}
    sections = () if "." in key else Params.model_fields
    near = difflib.get_close_matches(key, [*sections, *known.values()], n=1)
    near = near or [known[leaf] for leaf in difflib.get_close_matches(key.rpartition(".")[2], known, n=1)]
    return f"did you mean {near[0]}?" if near else "remove it; known keys: " + ", ".join(known.values())
