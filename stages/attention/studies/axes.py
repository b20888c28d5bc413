"""A grid's values as the axes of a picture: which of its keys are numbers that vary, and what is drawn along them."""

from collections.abc import Mapping, Sequence
from typing import Any

from attention.studies.groups import Group, name_of

FEWEST = {1: 3, 2: 5}  # values that make a curve, and those of both keys that make a map


def axes_of(groups: Sequence[Group]) -> list[str]:
    """Return the keys along which a study is drawn: none, one for curves, or two for a map; the longest come first."""
    keys = groups[0].values
    return numeric_axes({key: [*{each.texts[key]: each.values[key] for each in groups}.values()] for key in keys})


def numeric_axes(values: Mapping[str, Sequence[Any]]) -> list[str]:
    """Return the same of the different values of each key."""
    numeric = [key for key, own in values.items() if all(map(_is_number, own))]
    numeric.sort(key=lambda key: -len(values[key]))
    for number in (2, 1):
        if len(numeric) >= number and len(values[numeric[number - 1]]) >= FEWEST[number]:
            return numeric[:number]
    return []


def series(groups: Sequence[Group], axes: Sequence[str]) -> dict[str, list[Group]]:
    """Return the configurations by the name of all that is on no axis, those of one name in the order of the axes."""
    found: dict[str, list[Group]] = {}
    for each in groups:
        found.setdefault(name_of({key: text for key, text in each.texts.items() if key not in axes}), []).append(each)
    return {name: sorted(own, key=lambda one: [one.values[key] for key in axes]) for name, own in found.items()}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
