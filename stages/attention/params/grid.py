"""The study's grid: which trainings it names, and what is wrong with it."""

import difflib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from attention.functions import ATTENTION_FUNCTIONS, OPTIONS
from attention.functions.entry import resolve_options
from attention.params.schema import MOST_ROWS, SIZES, Params, disagreements
from attention.tasks import TASKS
from workbench.stage.errors import show_name, show_value
from workbench.stage.params import describe, known_keys, value_of, values_type

GRID_SECTIONS = ("data.", "model.", "train.")  # what a study may vary, besides the seed
CLUSTERS = ("dask", "ray")
MOST_TRAININGS = 1_000_000
MOST_PAIRS = 100_000


class Configuration(NamedTuple):
    """One combination of the study's grid."""

    values: Mapping[str, Any]  # from each key of the grid to its value here
    params: Params  # what `dvc exp run -S key=value …` would make of params.yaml


def study_problems(params: Params) -> Iterator[str]:
    """Yield a line for each problem of a study and of where it is computed, each value of the grid taken by itself."""
    grid, seeds = params.study.grid, params.study.seeds
    allowed = [key for key in known_keys(Params) if key.startswith(GRID_SECTIONS)]
    problems = [line for key, values in grid.items() for line in _value_problems(key, values, allowed)]
    yield from problems
    trainings = seeds * math.prod(map(len, grid.values()))
    if trainings > MOST_TRAININGS:
        yield f"study.grid: got {trainings:,} trainings; allowed: at most {MOST_TRAININGS:,}; take fewer values"
    elif not problems:
        yield from _comparison_problems(params)
        epochs = grid.get("train.epochs", [params.train.epochs])
        if (rows := trainings // len(epochs) * sum(epochs)) > MOST_ROWS:
            yield (
                f"study: got {trainings:,} trainings of {rows:,} epochs in all; allowed: at most {MOST_ROWS:,} epochs; "
                "take fewer values, seeds or epochs"
            )
    if params.compute.address is not None and params.compute.backend not in CLUSTERS:
        yield (
            f"compute.address: got {show_value(params.compute.address)}; allowed with {params.compute.backend}, "
            f"which uses this machine: null; or set compute.backend to one of: {', '.join(CLUSTERS)}"
        )


def _comparison_problems(params: Params) -> Iterator[str]:
    """Yield a line for each problem of what is chosen, and of what is compared."""
    grid, best = params.study.grid, params.study.best
    over = best.over if best else []
    if set(over) - set(grid) or len(set(over)) < len(over):
        keys = ", ".join(grid) or "none"
        yield f"study.best: over: got {show_value(over)}; allowed: different keys of study.grid, which has: {keys}"
        return
    if best and params.study.seeds < 2:
        yield f"study.seeds: got {params.study.seeds}; allowed with study.best, half of them to choose with: at least 2"
    sizes = [len(values) for key, values in grid.items() if key not in over]
    configurations = math.prod(sizes)
    a_key = configurations * sum(size - 1 for size in sizes) // 2
    pairs = {"all": configurations * (configurations - 1) // 2, "neighbours": a_key, "none": 0}[params.study.compare]
    if pairs > MOST_PAIRS:
        yield (
            f"study.compare: got {params.study.compare!r}, {pairs:,} pairs of configurations; "
            f"allowed: at most {MOST_PAIRS:,}; take fewer values, or set it to none"
        )


def _value_problems(key: str, values: list[Any], allowed: list[str]) -> Iterator[str]:
    """Yield a line for each problem of one key of the grid."""
    if key not in allowed:
        near = difflib.get_close_matches(key, allowed, n=1)
        hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(allowed)}"
        yield f"study.grid: got the key {show_name(key)}; {hint}"
        return
    if not values:
        yield f"study.grid: {key}: got []; allowed: a list of different values, at least one"
    try:
        meant = values_type(Params, key).validate_python(values)
    except ValidationError as error:
        section, _, name = key.partition(".")
        for problem in error.errors():
            value, problem["loc"] = values[int(problem["loc"][0])], (section, name)
            yield f"study.grid: {describe(Params, {section: {name: value}}, problem)}"
        return
    if len(set(map(repr, meant))) < len(meant):
        yield _not_different(key, values)


def _not_different(key: str, values: list[Any]) -> str:
    return (
        f"study.grid: {key}: got {show_value(values)}; allowed: a list of different values "
        "(null and auto are what they stand for)"
    )


def all_configurations(params: Params) -> tuple[list[Configuration], list[str]]:
    """Return every combination of the grid's values, and a line for each problem that one of them has."""
    grid = params.study.grid
    keys = [key for key in known_keys(Params) if key in grid]
    made, problems = [], []
    for prefix in GRID_SECTIONS:  # a section is checked once, not in each combination with the others
        sections, found = _sections(params, prefix, keys)
        made.append(sections)
        problems += found
    if problems:
        return [], problems
    configurations = [
        Configuration({key: value_of(chosen, key) for key in keys}, chosen)
        for data, model, train in itertools.product(*made)
        for chosen in [params.model_copy(update={"data": data, "model": model, "train": train})]
    ]
    checked = {}  # by all that sections can disagree on
    for _, chosen in configurations:
        data, train = chosen.data, chosen.train
        checked[id(chosen.model), id(data), train.engine, train.epochs] = chosen
    problems = [f"study.grid: {line}" for chosen in checked.values() for line in disagreements(chosen)]
    for key in keys if not problems else []:
        texts = [_meaning(chosen) for chosen in _along(configurations, keys, grid, key)]
        if len(set(texts)) < len(texts):
            problems.append(_not_different(key, grid[key]))
    return configurations, problems


def _sections(params: Params, prefix: str, keys: list[str]) -> tuple[list[Any], list[str]]:
    """Return a section of the parameters with every combination of its own values, and what is wrong with them."""
    name = prefix.rstrip(".")
    own = [key for key in keys if key.startswith(prefix)]
    section = getattr(params, name)
    found, problems = [], []
    for values in itertools.product(*(params.study.grid[key] for key in own)):
        changed = section.model_dump() | {
            key.removeprefix(prefix): value for key, value in zip(own, values, strict=True)
        }
        if "model.attention" in own:  # params.yaml may set options for a function that is not in the grid
            _drop_options(changed, own)
        if "data.task" in own:  # and sizes for a task that is not
            _drop_sizes(changed, own)
        try:
            found.append(type(section).model_validate(changed))
        except ValidationError as error:
            for problem in error.errors():
                problem["loc"] = (name, *problem["loc"])
                problems.append(f"study.grid: {describe(Params, {name: changed}, problem)}")
    return found, problems


def _drop_options(model: dict[str, Any], keys: list[str]) -> None:
    """Set to null the options that the function does not have, unless the grid gives them."""
    for name in set(OPTIONS) - set(ATTENTION_FUNCTIONS[model["attention"]].options):
        if f"model.{name}" not in keys:
            model[name] = None


def _drop_sizes(data: dict[str, Any], keys: list[str]) -> None:
    """Set to null the sizes that the task does not have, and what its keys hold, unless the grid gives them."""
    for name in {*SIZES, "keys"} - set(TASKS[data["task"]].sizes):
        if f"data.{name}" not in keys:
            data[name] = None


def _along(found: list[Configuration], keys: list[str], grid: Mapping[str, list[Any]], key: str) -> Iterator[Params]:
    """Yield a configuration for each value of one key of the grid."""
    step = math.prod(len(grid[later]) for later in keys[keys.index(key) + 1 :])
    return (found[number * step].params for number in range(len(grid[key])))


def _meaning(params: Params) -> str:
    """Return all that a training is made from, with the function's own options for null, and its engine for auto."""
    function = ATTENTION_FUNCTIONS[params.model.attention]
    values = {key: value_of(params, key) for key in known_keys(Params) if key.startswith(GRID_SECTIONS)}
    problem = params.data.problem(0)
    options = resolve_options(function, params.model.options, problem.seq_len)
    values |= {f"data.{name}": problem.sizes.get(name) for name in SIZES} | {"data.keys": problem.keys}
    values |= {f"model.{name}": value for name, value in options.items()}
    if values["train.engine"] == "auto":
        values["train.engine"] = "compiled"
    return json.dumps(values)
