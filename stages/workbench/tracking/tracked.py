"""What MLflow is told of a project, and of an experiment in it."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workbench.tracking.pages import experiment_tags


@dataclass(frozen=True)
class Tracked:
    """What MLflow is told of a project.

    Attributes:
        name: what its tags begin with, as in `name.key`.
        about: the description of its experiment, for people.
        packages: those whose versions a run carries as tags.
        run_name: from the parameters of a run, and DVC's name of the experiment if there is one, to what it is called.
        run_about: from a run's id to its description.
        begins: the stage that begins a run; those after it go on with that.
        columns: what MLflow's list of runs shows of each, called as in a search: metrics.`test/error`.

    """

    name: str
    about: str
    packages: Sequence[str]
    run_name: Callable[[Mapping[str, Any], str | None], str]
    run_about: Callable[[str], str]
    begins: str
    columns: Sequence[str] = ()

    def tag(self, name: str) -> str:
        """Return the name of a tag of ours."""
        return f"{self.name}.{name}"

    @property
    def experiment_tags(self) -> dict[str, str]:
        """The tags of its experiment."""
        return experiment_tags(self.about, self.columns)


@dataclass(frozen=True)
class Experiment:
    """What determines a result, and a key that is equal for two experiments exactly when all of that is."""

    key: str
    params: Mapping[str, Any]  # by dotted key


def experiment_of(origin: Mapping[str, Any]) -> Experiment:
    """Return the experiment of an origin: `parameters` by dotted key, and the digests of `data` by file name."""
    return Experiment(experiment_key(origin), origin["parameters"])


def experiment_key(origin: Mapping[str, Any]) -> str:
    """Return the key of an experiment from all that determines it."""
    canonical = json.dumps(origin, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
