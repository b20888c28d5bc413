"""The schema of params.yaml: its sections, and what each value may be."""

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, Field, create_model

from attention.functions import ATTENTION_FUNCTIONS, OPTIONS
from attention.functions.entry import Option, option_problems
from attention.tasks import TASKS
from attention.tasks.problem import Problem, make_problem, number_of_cases, size_problems
from workbench.stage.errors import show_value
from workbench.stage.params import ComputeParams, Section, TrackingParams, whole

MOST_SEED = 2**63 - 1
NEW_FILES = "; with --temp or --queue, DVC runs a copy that has a new file only after `git add` of it"
MOST_ROWS = 10_000_000  # of a table of text: a third of a gigabyte


def _one_of(names: Collection[str]) -> Any:
    allowed = "one of: " + ", ".join(names)

    def known(value: str) -> str:
        if value not in names:
            raise ValueError(allowed + (NEW_FILES if ".dvc/tmp/exps" in Path.cwd().as_posix() else ""))
        return value

    return Annotated[str, AfterValidator(known), Field(description=allowed)]


class TaskParams(Section):
    """What is to be learned, and from how many examples."""

    task: _one_of(TASKS)  # type: ignore[valid-type]
    n_train: Annotated[int, whole(1, 1_000_000_000)]
    n_test: Annotated[int, whole(1, 1_000_000_000)]

    @property
    def sizes(self) -> dict[str, Any]:
        """The sizes by name, and the keys; those of lookup, as params.yaml comes, say nothing of another task."""
        return {
            name: value
            for name in (*SIZES, "keys")
            for value in [getattr(self, name)]
            if name in TASKS[self.task].sizes or name not in ARTICLE or value != ARTICLE[name].default
        }

    @property
    def problem(self) -> Callable[[int], Problem]:
        """From a seed, of which comes what is random of the sizes, to the task with all its sizes."""
        task, sizes = self.task, self.sizes
        keys = sizes.pop("keys")
        return lambda seed: make_problem(task, sizes, keys, seed=seed)


ARTICLE = TASKS["lookup"].sizes
SIZES = {name: size for task in TASKS.values() for name, size in task.sizes.items()}


def _size(name: str) -> Any:
    """Return the field of a size: what a task makes of it, `disagreements` tells."""
    if name == "true_attention":
        return (
            Literal["random"] | list[int] | None,
            Field(default=None, description=f"null, or {SIZES[name].allowed}"),
        )
    limits = [task.sizes[name] for task in TASKS.values() if name in task.sizes]
    least, most = min(one.low for one in limits), max(one.high for one in limits)
    text = f"null, or a whole number from {least} to {most}"
    return (int | None, Field(default=None, ge=least, le=most, description=text))


_KEYS = (str | None, Field(default=None, description="null, or what keys hold: position, or what the task names"))
if TYPE_CHECKING:
    DataParams = TaskParams
else:
    DataParams = create_model(
        "DataParams",
        __base__=TaskParams,
        __module__=__name__,
        **{name: _size(name) for name in SIZES},
        keys=_KEYS,
    )


class ModelParams(Section):
    """Which attention function the network has, and its options: null stands for the function's own default."""

    attention: _one_of(ATTENTION_FUNCTIONS)  # type: ignore[valid-type]

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
    by: Literal["mse", "normalized", "effective", "accuracy"]


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
        Field(
            description="null, or {over: [a key of study.grid, …], by: mse}; by: mse, of classes the loss, normalized, "
            "effective or accuracy"
        ),
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
    """Yield a line for each value that another section, or another value of its own, rules out."""
    task, sizes = params.data.task, params.data.sizes
    wrong = size_problems(task, sizes)
    for size, allowed in wrong.items():
        yield f"data.{size}: got {show_value(sizes[size])}; allowed with {task}: {allowed}"
    if wrong:
        return
    problem = params.data.problem(0)
    name, options = params.model.attention, params.model.options
    function = ATTENTION_FUNCTIONS[name]
    for option, allowed in option_problems(function, options, problem.seq_len).items():
        got = options[option]
        yield f"model.{option}: got {show_value(got)}; allowed with {name}: {allowed}"
    cases, called = number_of_cases(problem), "contexts" if task == "lookup" else "cases"
    most = MOST_ROWS // (cases * problem.seq_len)
    if params.train.epochs > most:
        yield (
            f"train.epochs: got {params.train.epochs}; allowed with {cases} {called} of {problem.seq_len} "
            f"positions: at most {most}, for data/train/attention.csv to have at most {MOST_ROWS:,} rows"
        )
