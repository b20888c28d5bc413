"""The schema of params.yaml: its sections, and what each value may be."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, ValidationInfo, create_model, field_validator

from attention.functions import ATTENTION_FUNCTIONS, OPTIONS
from attention.functions.entry import Option, option_problems
from attention.tasks.problem import Problem, make_problem
from workbench.stage.errors import show_value
from workbench.stage.params import ComputeParams, Section, TrackingParams, whole

MOST_SEED = 2**63 - 1
MOST_ROWS = 10_000_000  # of a table of text: a third of a gigabyte


class DataParams(Section):
    """The toy problem: how many examples, how large, and which position each context reads."""

    n_train: Annotated[int, whole(1, 1_000_000_000)]
    n_test: Annotated[int, whole(1, 1_000_000_000)]
    seq_len: Annotated[int, whole(1, 1024)]
    n_contexts: Annotated[int, whole(1, 1024)]
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

    def problem(self, seed: int) -> Problem:
        """Return the task with all its sizes; what is random of them comes from the seed."""
        sizes = {"seq_len": self.seq_len, "n_contexts": self.n_contexts, "true_attention": self.true_attention}
        return make_problem("lookup", sizes, seed=seed)


def _registered(value: str) -> str:
    if value not in ATTENTION_FUNCTIONS:
        raise ValueError
    return value


class ModelParams(Section):
    """Which attention function the network has, and its options: null stands for the function's own default."""

    attention: Annotated[
        str, AfterValidator(_registered), Field(description="one of: " + ", ".join(ATTENTION_FUNCTIONS))
    ]

    @property
    def options(self) -> dict[str, Any]:
        """All options by name, also those that the function does not have."""
        return {name: getattr(self, name) for name in OPTIONS}


def _option(declared: tuple[Option, ...]) -> Any:
    """Return the field of an option: what any function takes that has it."""

    def taken(value: Any) -> Any:
        for option in declared:
            if value is None or option.takes(value):
                return None if value is None else option.convert(value)
        raise ValueError

    allowed = dict.fromkeys(["null", *(option.allowed for option in declared)])
    return Annotated[Any, AfterValidator(taken), Field(description=", or ".join(allowed))], None


if TYPE_CHECKING:
    ModelWithOptions = ModelParams
else:
    ModelWithOptions = create_model(
        "ModelWithOptions",
        __base__=ModelParams,
        __module__=__name__,
        **{name: _option(declared) for name, declared in OPTIONS.items()},
    )


class TrainParams(Section):
    """How the network is trained."""

    epochs: Annotated[int, whole(1, 10_000)]
    batch_size: Annotated[int, whole(1, 65_536)]
    learning_rate: Annotated[float, Field(ge=1e-30, le=10, description="a number from 1e-30 to 10")]
    shuffle: Annotated[bool, Field(description="true or false")]
    engine: Annotated[Literal["auto", "compiled", "torch"], Field(description="one of: auto, compiled, torch")]


class BestParams(Section):
    """Over which keys of the grid the best value is chosen, and by which measure."""

    over: Annotated[list[str], Field(min_length=1)]
    by: Literal["mse", "effective"]


class StudyParams(Section):
    """Which trainings are compared: every combination of the grid's values, each with so many seeds."""

    seeds: Annotated[int, whole(1, 100_000)]
    grid: Annotated[
        dict[str, list[Any]],
        Field(description="{}, or a mapping from keys like model.attention to lists of different values"),
    ]
    compare: Annotated[Literal["neighbours", "all", "none"], Field(description="one of: neighbours, all, none")]
    best: Annotated[
        BestParams | None,
        Field(description="null, or {over: [a key of study.grid, …], by: mse}, or by: effective"),
    ]


class Params(Section):
    """All of params.yaml."""

    seed: Annotated[int, whole(0, MOST_SEED)]
    data: DataParams
    model: ModelWithOptions
    train: TrainParams
    study: StudyParams
    tracking: TrackingParams
    compute: ComputeParams


def disagreements(params: Params) -> Iterator[str]:
    """Yield a line for each value that another section rules out."""
    name, options = params.model.attention, params.model.options
    function = ATTENTION_FUNCTIONS[name]
    for option, allowed in option_problems(function, options, params.data.seq_len).items():
        got = options[option]
        yield f"model.{option}: got {show_value(got)}; allowed with {name}: {allowed}"
    data = params.data
    most = MOST_ROWS // (data.n_contexts * data.seq_len)
    if params.train.epochs > most:
        yield (
            f"train.epochs: got {params.train.epochs}; allowed with {data.n_contexts} contexts of {data.seq_len} "
            f"positions: at most {most}, for data/train/attention.csv to have at most {MOST_ROWS:,} rows"
        )
