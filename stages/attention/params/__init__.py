"""params.yaml as every stage reads it before anything else: whole, and checked."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attention.params.grid import Configuration, all_configurations, study_problems
from attention.params.schema import Params, disagreements
from workbench.stage.params import PARAMS_FILE, check_tree, read_tree, refusal


def load_params(path: str | Path = PARAMS_FILE) -> Params:
    """Read and check all of `path`: of the study's grid each value by itself, in time linear in their number.

    Raises:
        ParamsError: one line for each problem, with the dotted key, the value got and what is allowed.

    """
    return check_params(read_tree(Params, path), path)


def check_params(tree: Mapping[str, Any], path: str | Path) -> Params:
    """Check what was read from `path`, or stands for it, as `load_params` does."""
    params = check_tree(Params, tree, path)
    if problems := [*disagreements(params), *study_problems(params)]:
        raise refusal(path, problems)
    return params


def load_study(path: str | Path = PARAMS_FILE) -> tuple[Params, list[Configuration]]:
    """Read and check as `load_params`, and the values of the grid together; return all configurations of the study.

    Keys of the grid vary in the order of the schema, the last one fastest, each through its values as listed. Where
    they name attention functions, options of another function do not count.
    """
    params = load_params(path)
    configurations, problems = all_configurations(params)
    if problems:
        raise refusal(path, problems)
    return params, configurations
