"""Each configuration at its best: the value of a key is chosen on one half of the seeds, and reported on the other.

The smallest of many medians is smaller than what it will be the next time: chosen and reported on the same seeds, the
function with the most values to choose from would win. The half that reports has no say in the choice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from attention.params.schema import BestParams, StudyParams
from attention.studies.comparison import Comparison, compare_pairs, pairs
from attention.studies.groups import MEASURES, Group

CHOOSING, REPORTING = slice(0, None, 2), slice(1, None, 2)  # of the seeds, in their order


@dataclass(frozen=True)
class Best:
    """A configuration of the other keys, at the best values of those chosen over.

    Attributes:
        group: its trainings with the seeds that report; its values are those of the other keys.
        chosen: the values, by key.
        choosing: how many seeds chose them.
        near: the candidates' values, as chosen, whose errors the reporting seeds do not tell from the chosen one's.
        candidates: how many there were.
        at_edge: the keys whose chosen value is the smallest or largest of the grid: a better one may lie beyond.

    """

    group: Group
    chosen: Mapping[str, Any]
    choosing: int
    near: Sequence[Mapping[str, Any]]
    candidates: int
    at_edge: Sequence[str]


def compare(groups: Sequence[Group], study: StudyParams) -> tuple[list[Best], list[Comparison]]:
    """Return what was chosen, where that is asked for, and the pairs: of the chosen with the seeds that report."""
    best = best_of(groups, study.best) if study.best else []
    compared = [each.group for each in best] or groups
    return best, compare_pairs(compared, pairs(compared, study.compare))


def best_of(groups: Sequence[Group], asked: BestParams) -> list[Best]:
    """Return the best of each configuration of the other keys, in the order of the grid."""
    alike: dict[tuple[str, ...], list[Group]] = {}
    for each in groups:
        alike.setdefault(tuple(text for key, text in each.texts.items() if key not in asked.over), []).append(each)
    return [_best(candidates, asked) for candidates in alike.values()]


def _best(candidates: Sequence[Group], asked: BestParams) -> Best:
    sign = 1 if asked.by == MEASURES[0] else -1  # of an error, less is better
    place = MEASURES.index(asked.by)
    score = [sign * np.median(each.part(CHOOSING).results[:, place]) for each in candidates]
    best = int(np.argmin(score))
    reporting = [each.part(REPORTING) for each in candidates]
    others = [number for number in range(len(candidates)) if number != best]
    told = {pair.second.name for pair in compare_pairs(reporting, [(best, one) for one in others]) if pair.differs}
    values = [{key: each.values[key] for key in asked.over} for each in candidates]
    group = reporting[best]
    return Best(
        replace(group, values={key: value for key, value in group.values.items() if key not in asked.over}),
        values[best],
        len(candidates[best].part(CHOOSING).seeds),
        [own for own, each in zip(values, candidates, strict=True) if each.name not in told],
        len(candidates),
        [key for key in asked.over if _at_edge(values[best][key], [each[key] for each in values])],
    )


def _at_edge(value: Any, values: Sequence[Any]) -> bool:
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]  # not lists, null …
    return len({*numbers}) > 1 and value in (min(numbers), max(numbers))
