"""What a project tells the workbench: a description, and nothing to inherit."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel

from workbench.stage.params import TrackingParams
from workbench.tracking.tracked import Tracked


class TrackedParams(Protocol):
    """The parameters of a project, of which the workbench reads one section."""

    @property
    def tracking(self) -> TrackingParams:
        """Where MLflow shows the runs."""


@dataclass(frozen=True)
class Tolerance:
    """How far apart numbers may be that a stage cannot give twice with the same bytes.

    Attributes:
        allowed: by how the name of a number begins; the first one counts.
        other: of any other number.

    """

    allowed: Mapping[str, float]
    other: float

    def of(self, name: str) -> float:
        """Return what is allowed for the number of that name."""
        return next((most for start, most in self.allowed.items() if name.startswith(start)), self.other)


@dataclass(frozen=True)
class Origin:
    """What a result says of itself: the parameters that made it, and the digests of the outputs it was made from."""

    params: Mapping[str, Any]  # by dotted key
    outputs: Mapping[str, str]  # by path


@dataclass(frozen=True)
class Command:
    """A command of the project's own, beside the workbench's.

    Attributes:
        help: what it does, in a line.
        call: from the project's folder and what was given to the status; what a user can mend is a UserError.
        arguments: adds to the parser what can be given.

    """

    help: str
    call: Callable[[Path, Namespace], int]
    arguments: Callable[[ArgumentParser], None] = lambda _: None


@dataclass(frozen=True)
class Project:
    """What every command must know.

    A stage writes to data/<stage>/, and nothing else does.

    Attributes:
        tracked: what MLflow is told of it; its name is that of the command, too.
        schema: the model of params.yaml.
        load_params: reads and checks a params.yaml.
        shown: the stages whose files a run holds, in their order; the first one begins the run.
        result: the output of that first stage by which a run is known again.
        origin: from the bytes of that result to what it says of itself; ValueError where they are none.
        metrics: the file of the measures.
        measures: from the column that `runs` shows to the name of the metric in MLflow, whose part after the first /
            is the name in the file.
        parameters: the keys that `runs` can sort and filter by.
        publish: shows what is in data/ in MLflow, as far as it lacks, and returns the name of the run.
        promises_bytes: from the parameters of a run to whether it gives the same bytes on any machine.
        tolerances: by stage, where it does not.
        why_tolerated: said where a tolerance was used.
        loading: the modules or packages that read parameters only to check them.
        exempt: sections of params.yaml that no result depends on.
        variants: other parameters, by dotted key, with which stages open modules that they otherwise do not.
        commands: those of the project's own, by name.

    """

    tracked: Tracked
    schema: type[BaseModel]
    load_params: Callable[[Path], TrackedParams]
    shown: Sequence[str]
    result: str
    origin: Callable[[bytes], Origin]
    metrics: str
    measures: Mapping[str, str]
    parameters: Sequence[str]
    publish: Callable[[], str]
    promises_bytes: Callable[[Mapping[str, Any]], bool] = lambda _: True
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    why_tolerated: str = ""
    loading: Sequence[str] = ()
    exempt: Sequence[str] = ("tracking", "compute")
    variants: Sequence[Mapping[str, Any]] = ()
    commands: Mapping[str, Command] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What its command is called."""
        return self.tracked.name
