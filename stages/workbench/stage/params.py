"""params.yaml, read and checked: what any project's schema is made of, and how a value that it refuses is told."""

import difflib
import errno
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML

from workbench.stage.errors import ParamsError, show_name, show_value
from workbench.stage.inputs import regular

PARAMS_FILE = "params.yaml"
MOST_BYTES = 100_000  # of a file; YAML takes 14 µs a byte, and DVC reads it too: room for lists of some 10,000 values
MOST_PROBLEMS = 20  # that are told at once
_MISSING = object()

P = TypeVar("P", bound="Section")


class Section(BaseModel):
    """A part of params.yaml, or all of it. The description of a field is what an error shows as the allowed values."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)  # strict: "4" is no number and true is no 1


def whole(low: int, high: int) -> Any:
    """Return the field of a whole number."""
    return Field(ge=low, le=high, description=f"a whole number from {low} to {high}")


class TrackingParams(Section):
    """Where MLflow shows the runs; no result depends on it."""

    experiment: Annotated[
        str,
        # a folder of this name holds its artifacts
        Field(
            pattern=r"^[^\s./\\][^/\\\n]{0,199}$",
            description="the name of an MLflow experiment: 1 to 200 characters, "
            "without / and \\, that begins with neither a dot nor a blank",
        ),
    ]
    required: Annotated[bool, Field(description="true or false")]


class ComputeParams(Section):
    """Where many pieces of work are computed, and how many at once; no result depends on it."""

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


def read_params(schema: type[P], path: str | Path = PARAMS_FILE) -> P:
    """Read and check `path`.

    Raises:
        ParamsError: one line for each problem, with the dotted key, the value got and what is allowed.

    """
    return check_tree(schema, read_tree(schema, path), path)


def read_tree(schema: type[Section], path: str | Path) -> dict[str, Any]:
    """Read YAML as DVC reads it (version 1.2, so `1e-3` is a number), by the same library."""
    try:
        text = regular(path, MOST_BYTES).read_bytes()
    except OSError as error:
        hint = "give its lists fewer values" if error.errno == errno.EFBIG else "run from the repository root"
        raise ParamsError(f"{path}: cannot be read ({error.strerror}); {hint}") from error
    try:
        tree = YAML(typ="safe", pure=True).load(text)
    except Exception as error:  # the parser lets many kinds escape on hostile bytes; each means the same to a user
        raise ParamsError(f"{path}: {_describe_syntax(error)}; mend that line") from error
    if not isinstance(tree, dict):
        raise ParamsError(
            f"{path}: got {show_value(tree)}; allowed: a mapping with the keys {', '.join(schema.model_fields)}; "
            f"`git checkout {path}` brings the default file back"
        )
    return tree


def check_tree(schema: type[P], tree: Mapping[str, Any], path: str | Path) -> P:
    """Return what was read as the schema has it."""
    try:
        return schema.model_validate(tree)
    except ValidationError as error:
        raise refusal(path, [describe(schema, tree, problem) for problem in error.errors()]) from error


def refusal(path: str | Path, problems: list[str]) -> ParamsError:
    """Return the error that tells all problems of a file, one line each."""
    lines = [f"{path}: {line}" for line in dict.fromkeys(problems)]
    more = len(lines) - MOST_PROBLEMS
    left_out = [f"{path}: got {more:,} more such lines; mend those above first"] if more > 0 else []
    return ParamsError("\n".join(lines[:MOST_PROBLEMS] + left_out))


def known_keys(schema: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every leaf, in the order of the file."""
    for name, field in schema.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from known_keys(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def value_of(params: BaseModel, key: str) -> Any:
    """Return the value of a dotted key."""
    value: Any = params
    for name in key.split("."):
        value = getattr(value, name)
    return value


def values_type(schema: type[BaseModel], key: str) -> TypeAdapter[list[Any]]:
    """Return what checks a list of values of a dotted key in a section, each by itself."""
    section, _, name = key.partition(".")
    field = cast(type[BaseModel], schema.model_fields[section].annotation).model_fields[name]
    kind: Any = Annotated[cast(Any, field.annotation), field.description, *field.metadata]
    return TypeAdapter(list[kind], config=ConfigDict(strict=True))


def is_text(schema: type[BaseModel], key: str) -> bool:
    """Whether the value of a dotted key is always a text."""
    kind: Any = schema
    for name in key.split("."):
        kind = kind.model_fields[name].annotation
    return kind is str or (get_origin(kind) is Literal and all(isinstance(value, str) for value in get_args(kind)))


def describe(schema: type[BaseModel], tree: Any, problem: ErrorDetails) -> str:
    """Say in one line what is wrong at the problem's place; places inside a leaf (list items) count as the leaf."""
    section, known = schema, list(known_keys(schema))
    keys: list[str] = []
    for part in problem["loc"]:
        keys.append(str(part))
        key = ".".join(keys)
        if problem["type"] in ("extra_forbidden", "invalid_key") and part not in section.model_fields:
            return f"{show_name(key)}: unknown key; {_nearest(schema, key)}"
        field = section.model_fields[str(part)]
        found = tree.get(part, _MISSING)
        if found is _MISSING or key in known:
            break
        section, tree = cast(type[BaseModel], field.annotation), found
    allowed = field.description or "a section with the keys " + ", ".join(
        cast(type[BaseModel], field.annotation).model_fields
    )
    if problem["type"] == "value_error" and str(problem["ctx"]["error"]):
        allowed = str(problem["ctx"]["error"])
    got = "missing" if found is _MISSING else f"got {show_value(found)}"
    return f"{key}: {got}; allowed: {allowed}"


def parse_value(text: str) -> Any:
    """Return the value of a parameter from the text that MLflow keeps of it."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # of more than 4,300 digits, or brackets a thousand deep
        return text


def _nearest(schema: type[BaseModel], key: str) -> str:
    known = {name.rpartition(".")[2]: name for name in known_keys(schema)}
    sections = () if "." in key else schema.model_fields
    near = difflib.get_close_matches(key, [*sections, *known.values()], n=1)
    near = near or [known[leaf] for leaf in difflib.get_close_matches(key.rpartition(".")[2], known, n=1)]
    section = key.partition(".")[0]
    beside = [name for name in known.values() if name.startswith(f"{section}.")] if "." in key else schema.model_fields
    return f"did you mean {near[0]}?" if near else "remove it; known keys: " + ", ".join(beside)


def _describe_syntax(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    what = getattr(error, "problem", None) or str(error).partition("\n")[0]
    return f"{where}not valid YAML: {show_name(what, 200)}"
