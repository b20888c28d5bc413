"""The schema of params.yaml: its sections, what each value may be, and how a value that it may not be is told."""

import difflib
from collections.abc import Iterator
from typing import Annotated, Any, Literal, cast

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator
from pydantic_core import ErrorDetails

from workbench.stage.errors import show_name, show_value
from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.entry import OPTIONS, option_problems

MOST_SEED = 2**63 - 1
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


class Params(_Section):
    """All of params.yaml."""

    seed: Annotated[int, _whole(0, MOST_SEED)]
    data: DataParams
    model: ModelParams
    train: TrainParams
    study: StudyParams
    tracking: TrackingParams
    compute: ComputeParams


def known_keys(section: type[BaseModel] = Params, prefix: str = "") -> Iterator[str]:
    """Yield the dotted key of every leaf, in the order of the file."""
    for name, field in section.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from known_keys(inner, f"{prefix}{name}.")
        else:
            yield prefix + name


def value_of(params: Params, key: str) -> Any:
    """Return the value of a dotted key in a section."""
    section, _, name = key.partition(".")
    return getattr(getattr(params, section), name)


def disagreements(params: Params) -> Iterator[str]:
    """Yield a line for each value that another section rules out."""
    name, options = params.model.attention, params.model.options
    function = ATTENTION_FUNCTIONS[name]
    for option, allowed in option_problems(function, options, params.data.seq_len).items():
        got = options[option]
        yield f"model.{option}: got {show_value(got)}; allowed with {name}: {allowed}"
    if params.train.engine == "compiled" and not function.has_kernel:
        yield f"train.engine: got 'compiled'; allowed with {name}, which has no kernel: one of: auto, torch"


def describe(tree: Any, problem: ErrorDetails) -> str:
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
