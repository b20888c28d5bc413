"""What the table of a study answers, in sentences: where the truth is found, and where the error is lowest.

A sentence goes along the numbers that the grid varies, or else along its last key, and there is one for each
combination of the other keys. *More than half* and *less than half* are said where the 90 % interval of the share of
trainings that found the truth lies above or below one half.
"""

import itertools
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from attention.studies.axes import numeric_axes
from attention.studies.groups import name_of

MORE, LESS = "more than half", "less than half"

Row = Mapping[str, Any]


def answers(table: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the sentences of summary.csv, given as its columns, numbers or their texts."""
    keys = [*table][: [*table].index("trainings")]
    rows = [dict(zip(table, row, strict=True)) for row in zip(*table.values(), strict=True)]
    values = {key: [_value(text) for text in dict.fromkeys(table[key])] for key in keys}
    axes = numeric_axes(values)
    along = axes or [key for key in keys if len(values[key]) > 1][-1:]
    lines: dict[str, list[Row]] = {}
    for row in rows:
        lines.setdefault(name_of({key: row[key] for key in keys if key not in along}), []).append(row)
    for line in lines.values() if axes else ():
        line.sort(key=lambda row: [_value(row[key]) for key in axes])
    return [": ".join(filter(None, [name, "; ".join(_said(own, along, axes))])) for name, own in lines.items() if along]


def _said(rows: Sequence[Row], along: Sequence[str], axes: Sequence[str]) -> Iterator[str]:
    found = [_share(row) for row in rows]
    what = " of the trainings find the truth"
    for share in (MORE, LESS):
        if share in found:
            yield f"{share}{what} {_where(rows, [one == share for one in found], along, axes)}"
            what = ""
    if "" in found:
        where = _where(rows, [not one for one in found], along, axes)
        yield f"whether {MORE} do is undecided {where}" if not what else f"whether {MORE}{what} is undecided {where}"
    errors = [float(row["mse.median"] or math.inf) for row in rows]
    if len(rows) > 1 and min(errors) < math.inf:
        ends = {"lowest": min(errors)} | ({"highest": max(errors)} if len(axes) == 1 else {})
        places = {word: name_of({key: rows[errors.index(end)][key] for key in along}) for word, end in ends.items()}
        how = "at" if axes else "with"
        shown = {word: f"{end:.2g}" if end < math.inf else "diverged" for word, end in ends.items()}
        yield "the median error is " + ", ".join(f"{word} {how} {at} ({shown[word]})" for word, at in places.items())


def _share(row: Row) -> str:
    return MORE if float(row["found.low"]) > 0.5 else LESS if float(row["found.high"]) < 0.5 else ""


def _where(rows: Sequence[Row], which: Sequence[bool], along: Sequence[str], axes: Sequence[str]) -> str:
    """Say which rows are meant: of a map how many, of an axis from where to where, else each by its value."""
    names, key = [key.rpartition(".")[2] for key in along], along[0]
    if len(axes) == 2:
        return f"at {sum(which)} of {len(rows)} pairs of {' and '.join(names)}"
    how = "at" if axes else "with"
    if all(which) and len(rows) > 1:
        return f"{how} every {'function' if key == 'model.attention' else names[0]}"
    runs = [
        [row[key] for _, row in run]
        for meant, run in itertools.groupby(zip(which, rows, strict=True), lambda pair: pair[0])
        if meant
    ]
    shown = [f"{run[0]} to {run[-1]}" if axes and len(run) > 2 else ", ".join(run) for run in runs]
    return f"{how} {'' if key == 'model.attention' else f'{names[0]} '}{', '.join(shown)}"


def _value(text: Any) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
