"""Studies of made-up trainings: configurations with the errors that a test gives them."""

from collections.abc import Mapping, Sequence
from typing import Any

from conftest import ROOT

from attention.params import load_params
from attention.studies.groups import MEASURES, Group
from attention.studies.trainings import Outcome

PARAMS = load_params(ROOT / "params.yaml")


def outcome(error: float | None, effective: float = 0.75, epochs: int = PARAMS.train.epochs) -> Outcome:
    """Return a training with this error on test examples, and the same after every epoch; None: it diverged."""
    measures = {"normalized": 0.5, "effective": effective, "accuracy": 1.0}
    row = [error or 0.0, *(measures[name] for name in MEASURES[1:])]
    return Outcome([row] * epochs if error is not None else [], error, error is not None and effective > 0.5)


def configuration(errors: Sequence[float | None], effective: float = 0.75, **values: Any) -> Group:
    """Return a configuration; `model__attention="softmax"` is a value of the grid."""
    named: Mapping[str, Any] = {name.replace("__", "."): value for name, value in values.items()}
    return Group(named, PARAMS, range(len(errors)), [outcome(error, effective) for error in errors])
