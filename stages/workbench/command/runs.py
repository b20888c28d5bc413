"""All trainings in one table: DVC's experiments joined with MLflow's runs."""

import csv
import difflib
import hashlib
import io
import json
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from workbench.command.snapshot import experiments, git, git_bytes, stale_stages
from workbench.stage.errors import RestoreError, SelectionError
from attention.views.naming import DEFAULTS, run_name
from workbench.command.recorded import MEASURES, Recorded

COLUMNS = ("name", "what", *MEASURES, "training", "where")
PARAMETERS = ("seed", "model.attention", *DEFAULTS)
HASHES = ("commit", "run")  # found by as much of them as one cares to type
TEXTS = ("name", "what", "training", "where", "model.attention", "train.engine", *HASHES)
# By the script that made a run in MLflow. Where a later stage did, DVC had the training in its cache.
TRAININGS = {"stages/train.py": "computed", "stages/evaluate.py": "cached", "stages/plot.py": "cached"}
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}


@dataclass(frozen=True)
class Listed:
    """A training: a DVC experiment, an MLflow run, or both."""

    experiment: str
    commit: str
    run: str
    training: str
    time: float
    params: Mapping[str, Any]
    measures: Mapping[str, float]

    def fields(self) -> dict[str, Any]:
        """Return all that is known, by the names that can be sorted and selected by."""
        places = [("DVC", self.commit[:7]), ("MLflow", self.run[:8])]
        return {
            "name": self.experiment or self.run[:8],
            "what": run_name(self.params),
            **{name: self.measures.get(name) for name in MEASURES},
            "training": self.training,
            "where": ", ".join(f"{place} {known}" for place, known in places if known),
            "commit": self.commit,
            "run": self.run,
            **{key: self.params.get(key) for key in PARAMETERS},
        }


def list_trainings(root: Path, recorded: Sequence[Recorded]) -> list[Listed]:
    """Return every DVC experiment, with its MLflow run where there is one, and the other runs; the newest first."""
    listed, taken = [], set()
    for experiment, commit, time, params, metrics in _experiments(root):
        digest = hashlib.md5(metrics, usedforsecurity=False).hexdigest()
        own = [run for run in recorded if run.experiment == experiment and run.evaluation in ("", digest)]
        own.sort(key=lambda run: run.evaluation != digest)
        same = [run for run in recorded if run.evaluation == digest and run_name(run.params) == run_name(params)]
        found = next(iter([*own, *same]), None)
        taken |= {run.run for run in own[:1]}
        if not metrics:
            listed.append(Listed(experiment, commit, "", "none", time, params, {}))
            continue
        training = "not in MLflow" if found is None else _training(found) if own else "cached"
        listed.append(
            Listed(experiment, commit, found.run if found else "", training, time, params, _measures(metrics))
        )
    others = (run for run in recorded if run.run not in taken)
    listed += [Listed("", "", run.run, _training(run), run.started, run.params, run.measures) for run in others]
    return sorted(listed, key=lambda training: training.time, reverse=True)


def select(
    trainings: Sequence[Listed], conditions: Sequence[str], sort: str | None, *, descending: bool
) -> list[Listed]:
    """Return those that meet all conditions ("mse<1e-4", "attention=softmax"), sorted by a field; without it, last.

    Raises:
        SelectionError: a condition is none, or names a field that there is not; an order without a field.

    """
    for condition in conditions:
        trainings = _meeting(trainings, condition)
    if sort is None:
        if descending:
            raise SelectionError("--descending: got no field to sort by; name one: --sort mse --descending")
        return list(trainings)
    field = _field("--sort", sort)
    having = [one for one in trainings if one.fields()[field] is not None]
    lacking = [one for one in trainings if one.fields()[field] is None]
    return sorted(having, key=lambda one: _order(one.fields()[field]), reverse=descending) + lacking


def why_none(trainings: Sequence[Listed], conditions: Sequence[str]) -> str:
    """Return which condition no training meets that meets those before it, and what its field holds in these."""
    for condition in conditions:
        left, trainings = trainings, _meeting(trainings, condition)
        if left and not trainings:
            field, *_ = _condition(condition)
            found = {_text(field, value): None for value in sorted((one.fields()[field] for one in left), key=_order)}
            return f"--filter: {condition!r} leaves none of {len(left)} trainings; {field}: {_few(list(found))}"
    return "no training yet; `dvc repro` makes the first"


def as_json(trainings: Sequence[Listed]) -> str:
    """Return every field of every training as a JSON list."""
    return json.dumps([one.fields() for one in trainings], indent=2)


def as_csv(trainings: Sequence[Listed]) -> str:
    """Return every field of every training as a CSV table, numbers in full."""
    text = io.StringIO()
    names = [*COLUMNS, "commit", "run", *PARAMETERS]
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows(one.fields() for one in trainings)
    return text.getvalue().rstrip("\n")


def as_rows(trainings: Sequence[Listed]) -> list[tuple[str, ...]]:
    """Return the columns that people look at first, as text."""
    return [tuple(_text(name, one.fields()[name]) for name in COLUMNS) for one in trainings]


def _experiments(root: Path) -> Iterator[tuple[str, str, float, dict[str, Any], bytes]]:
    """Yield name, commit, time, parameters and metrics.json of each DVC experiment, by git alone: DVC takes seconds."""
    for name, commit in experiments(root).items():
        try:
            lock, text = (git(root, "show", f"{commit}:{file}") for file in ("dvc.lock", "params.yaml"))
            params = _flat(YAML(typ="safe", pure=True).load(text))
            run_name(params)
            trained = not {"generate", "train", "evaluate"} & set(stale_stages(lock, text))
            metrics = git_bytes(root, "show", f"{commit}:data/evaluate/metrics.json") if trained else b""
            _measures(metrics)
        except (RestoreError, YAMLError, LookupError, ValueError, TypeError, AttributeError):
            continue  # of another project's shape, long ago
        time = float(git(root, "show", "--no-patch", "--format=%ct", commit))
        yield name, commit, time, params, metrics


def _training(run: Recorded) -> str:
    return run.status.lower() if run.status != "FINISHED" else TRAININGS.get(run.source, "published")


def _measures(metrics: bytes) -> dict[str, float]:
    if not metrics:
        return {}  # no training of these parameters: only the study ran, say
    found = _flat(json.loads(metrics))
    return {name: found[metric.removeprefix("test/")] for name, metric in MEASURES.items()}


def _flat(tree: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in tree.items():
        found |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {prefix + name: value}
    return found


def _condition(text: str) -> tuple[str, Callable[[Any, Any], bool], Any]:
    parts = re.fullmatch(r"([\w.]+)\s*(<=|>=|!=|<|>|==?)\s*(.+)", text.strip())
    if not parts:
        raise SelectionError(
            f"--filter: got {text!r}; allowed: a field, one of {' '.join(COMPARISONS)}, and a value, as in 'mse<1e-4'"
        )
    name, sign, wanted = parts.groups()
    field, comparison = _field("--filter", name), COMPARISONS[sign[:1] if sign == "==" else sign]
    value = wanted if field in TEXTS else _value(wanted)  # the start of a commit may look like a number
    if comparison not in (operator.eq, operator.ne) and not isinstance(value, int | float):
        allowed = "= and !=" if field in TEXTS else f"a number after {sign}, as in '{name}{sign}1e-4'"
        raise SelectionError(f"--filter: got {text!r}; allowed for {field}: {allowed}")
    return field, comparison, value


def _meeting(trainings: Sequence[Listed], condition: str) -> list[Listed]:
    field, comparison, wanted = _condition(condition)
    return [one for one in trainings if _holds(field, one.fields()[field], comparison, wanted)]


def _few(texts: Sequence[str]) -> str:
    return ", ".join(texts if len(texts) <= 8 else [*texts[:4], "…", *texts[-3:]])


def _field(option: str, name: str) -> str:
    """Return the field of that name; a parameter may be named by its last part."""
    fields = [*COLUMNS, "commit", "run", *PARAMETERS]
    for field in fields:
        if name in (field, field.rpartition(".")[2]):
            return field
    near = difflib.get_close_matches(name, [*fields, *(field.rpartition(".")[2] for field in fields)], n=1)
    hint = f"did you mean {near[0]}?" if near else "choose one of these"
    raise SelectionError(f"{option}: got {name!r}; allowed: {', '.join(fields)}; {hint}")


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        try:
            return float(text)  # 1e-4 is no JSON
        except ValueError:
            return text


def _holds(field: str, value: Any, comparison: Callable[[Any, Any], bool], wanted: Any) -> bool:
    numbers = isinstance(value, int | float) and isinstance(wanted, int | float)
    if field in HASHES:
        return comparison(bool(value) and value.startswith(wanted), True)
    if comparison in (operator.eq, operator.ne):
        return comparison(value, wanted) if numbers else comparison(str(value), str(wanted))
    return numbers and comparison(value, wanted)


def _order(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return (not number, value if number else 0.0, "" if number else str(value))


def _text(name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == "mse":
        return f"{value:.3g}"
    return f"{value:.4f}" if name in MEASURES else str(value)
