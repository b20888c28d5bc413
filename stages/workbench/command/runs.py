"""`runs`: every run that DVC or MLflow knows, selected, sorted and printed."""

import csv
import difflib
import io
import json
import math
import operator
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workbench.command.listing import list_runs
from workbench.command.recorded import recorded_runs
from workbench.command.report import few, print_table
from workbench.project import Project
from workbench.stage.errors import SelectionError, printable, show_name
from workbench.stage.params import is_text

Row = Mapping[str, Any]  # a run by the names of its fields

MOST_SHOWN = 200  # characters of a cell
HASHES = ("commit", "run")  # found by as much of them as one cares to type
COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "!=": operator.ne,
    "<": operator.lt,
    ">": operator.gt,
    "=": operator.eq,
}


@dataclass(frozen=True)
class Fields:
    """The fields of a run: what can be sorted and selected by."""

    measures: Sequence[str]
    parameters: Sequence[str]
    texts: Sequence[str]

    @property
    def columns(self) -> list[str]:
        """Those that people look at first."""
        return ["name", "what", *self.measures, "state", "where"]

    @property
    def every(self) -> list[str]:
        """All of them."""
        return [*self.columns, *HASHES, *self.parameters]

    def named(self, option: str, name: str) -> str:
        """Return the field of that name; a parameter may be named by its last part."""
        for field in self.every:
            if name in (field, field.rpartition(".")[2]):
                return field
        near = difflib.get_close_matches(name, [*self.every, *(field.rpartition(".")[2] for field in self.every)], n=1)
        hint = f"did you mean {near[0]}?" if near else "choose one of these"
        raise SelectionError(f"{option}: got {name!r}; allowed: {', '.join(self.every)}; {hint}")


def fields_of(project: Project) -> Fields:
    """Return the fields of the runs of a project."""
    texts = [key for key in project.parameters if is_text(project.schema, key)]
    return Fields([*project.measures], project.parameters, ["name", "what", "state", "where", *texts, *HASHES])


def runs(
    project: Project, root: Path, conditions: Sequence[str], sort: str | None, *, descending: bool, output: str
) -> int:
    """Print every run that DVC or MLflow knows, as a table, csv or json."""
    fields = fields_of(project)
    select(fields, [], conditions, sort, descending=descending)  # a mistake is told before MLflow is asked
    everything = [one.fields(project) for one in list_runs(project, root, recorded_runs(project, root))]
    rows = select(fields, everything, conditions, sort, descending=descending)
    if output != "table":
        print(as_csv(fields, rows) if output == "csv" else as_json(rows))
    elif rows:
        print_table(fields.columns, [[_text(fields, name, row[name]) for name in fields.columns] for row in rows])
    if not rows:
        print(why_none(fields, everything, conditions), file=sys.stderr)
    return 0


def select(
    fields: Fields, rows: Sequence[Row], conditions: Sequence[str], sort: str | None, *, descending: bool
) -> list[Row]:
    """Return those that meet all conditions ("seed<3", "name=faster"), sorted by a field; those without it, last.

    Raises:
        SelectionError: a condition is none, or names a field that there is not; an order without a field.

    """
    for condition in conditions:
        rows = _meeting(fields, rows, condition)
    if sort is None:
        if descending:
            first = fields.measures[0]
            raise SelectionError(f"--descending: got no field to sort by; name one: --sort {first} --descending")
        return list(rows)
    field = fields.named("--sort", sort)
    having = [one for one in rows if _or_null(one[field]) is not None]
    lacking = [one for one in rows if _or_null(one[field]) is None]
    return sorted(having, key=lambda one: _order(one[field]), reverse=descending) + lacking


def why_none(fields: Fields, rows: Sequence[Row], conditions: Sequence[str]) -> str:
    """Return which condition no run meets that meets those before it, and what its field holds in these."""
    for condition in conditions:
        left, rows = rows, _meeting(fields, rows, condition)
        if left and not rows:
            field, *_ = _condition(fields, condition)
            found = {_text(fields, field, value): None for value in sorted((one[field] for one in left), key=_order)}
            return f"--filter: {condition!r} leaves none of {len(left)} runs; {field}: {few(list(found))}"
    return "no run yet; `dvc repro` makes the first"


def as_json(rows: Sequence[Row]) -> str:
    """Return every field of every run as a JSON list."""
    every = [{name: _or_null(value) for name, value in one.items()} for one in rows]
    return json.dumps(every, indent=2, allow_nan=False)


def as_csv(fields: Fields, rows: Sequence[Row]) -> str:
    """Return every field of every run as a CSV table, numbers in full."""
    text = io.StringIO()
    names = fields.every
    table = csv.DictWriter(text, names, lineterminator="\n")
    table.writeheader()
    table.writerows({name: _in_csv(value) for name, value in one.items()} for one in rows)
    return text.getvalue().rstrip("\n")


def _condition(fields: Fields, text: str) -> tuple[str, Callable[[Any, Any], bool], Any]:
    parts = re.fullmatch(r"([\w.]+)\s*(<=|>=|!=|<|>|==?)\s*(.+)", text.strip())
    if not parts:
        raise SelectionError(
            f"--filter: got {text!r}; allowed: a field, one of {' '.join(COMPARISONS)}, and a value, "
            f"as in '{fields.measures[0]}<1e-4'"
        )
    name, sign, wanted = parts.groups()
    field, comparison = fields.named("--filter", name), COMPARISONS[sign[:1] if sign == "==" else sign]
    value = wanted if field in fields.texts else _value(wanted)  # the start of a commit may look like a number
    if comparison not in (operator.eq, operator.ne) and not isinstance(value, int | float):
        allowed = "= and !=" if field in fields.texts else f"a number after {sign}, as in '{name}{sign}1e-4'"
        raise SelectionError(f"--filter: got {text!r}; allowed for {field}: {allowed}")
    return field, comparison, value


def _meeting(fields: Fields, rows: Sequence[Row], condition: str) -> list[Row]:
    field, comparison, wanted = _condition(fields, condition)
    return [one for one in rows if _holds(field, one[field], comparison, wanted)]


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        try:
            return float(text)  # 1e-4 is no JSON
        except ValueError:
            return text


def _holds(field: str, value: Any, comparison: Callable[[Any, Any], bool], wanted: Any) -> bool:
    if value is not None and _or_null(value) is None:
        return False  # NaN meets nothing, not even "is another"
    numbers = isinstance(value, int | float) and isinstance(wanted, int | float)
    if field in HASHES:
        return comparison(bool(value) and value.startswith(wanted), True)
    if comparison in (operator.eq, operator.ne):
        return comparison(value, wanted) if numbers else comparison(str(value), str(wanted))
    return numbers and comparison(value, wanted)


def _order(value: Any) -> tuple[bool, float, str]:
    number = isinstance(value, int | float)
    return (not number, value if number else 0.0, "" if number else str(value))


def _text(fields: Fields, name: str, value: Any) -> str:
    if value is None:
        return "-"
    if name == fields.measures[0]:
        return f"{value:.3g}"
    return f"{value:.4f}" if name in fields.measures else show_name(printable(str(value)), MOST_SHOWN)


def _or_null(value: Any) -> Any:
    """Return a value as JSON can have it: NaN and infinity are none, neither in a list."""
    if isinstance(value, list):
        return [_or_null(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _in_csv(value: Any) -> Any:
    return "\n".join(map(printable, value.split("\n"))) if isinstance(value, str) else value
