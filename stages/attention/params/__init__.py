"""params.yaml as every stage reads it before anything else: whole, and checked."""

from pathlib import Path
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML

from workbench.stage.errors import ParamsError, show_name, show_value
from attention.params.grid import Configuration, all_configurations, study_problems
from attention.params.schema import Params, describe, disagreements

PARAMS_FILE = "params.yaml"


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
        raise _refusal(path, [describe(tree, problem) for problem in error.errors()]) from error
    if problems := [*disagreements(params), *study_problems(params)]:
        raise _refusal(path, problems)
    configurations, problems = all_configurations(tree, params.study.grid)
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


def _describe_syntax(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    what = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"{where}not valid YAML: {show_name(what, 200)}"
