"""The study's grid: which trainings it names, and what is wrong with it."""

import copy
import difflib
import itertools
import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from pydantic import ValidationError

from workbench.stage.errors import show_name, show_value
from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.entry import OPTIONS, resolve_options
from attention.params.schema import Params, describe, disagreements, known_keys, value_of

GRID_SECTIONS = ("data.", "model.", "train.")  # what a study may vary, besides the seed
CLUSTERS = ("dask", "ray")
MOST_TRAININGS = 1_000_000


class Configuration(NamedTuple):
    """One combination of the study's grid."""

    values: Mapping[str, Any]  # from each key of the grid to its value here
    params: Params  # what `dvc exp run -S key=value …` would make of params.yaml


def study_problems(params: Params) -> Iterator[str]:
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


def all_configurations(tree: Mapping[str, Any], grid: Mapping[str, list[Any]]) -> tuple[list[Configuration], list[str]]:
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
            problems += [f"study.grid: {describe(changed, problem)}" for problem in error.errors()]
            continue
        problems += [f"study.grid: {line}" for line in disagreements(params)]
        found.append(Configuration({key: value_of(params, key) for key in keys}, params))
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
    values = {key: value_of(params, key) for key in known_keys() if key.startswith(GRID_SECTIONS)}
    options = resolve_options(function, params.model.options, params.data.seq_len)
    values |= {f"model.{name}": value for name, value in options.items()}
    if values["train.engine"] == "auto":
        values["train.engine"] = function.engine
    return json.dumps(values)
