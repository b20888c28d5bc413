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
from attention.studies.groups import MEASURES, Group, value_text
from attention.studies.statistics import ALPHA, Floats, holm, sign_test

CHOOSING, REPORTING = slice(0, None, 2), slice(1, None, 2)  # of the seeds, in their order


@dataclass(frozen=True)
class Best:
    """A configuration of the other keys, at the best values of those chosen over.

    Attributes:
        group: its trainings with the seeds that report; its values are those of the other keys.
        chosen: the values, by key.
        choosing: how many seeds chose them.
        near: the candidates' values, its own among them, that the reporting seeds do not tell from it by that measure.
        candidates: how many there were.
        at_edge: the keys whose chosen value is the smallest or largest of the grid: a better one may lie beyond.

    """

    group: Group
    chosen: Mapping[str, Any]
    choosing: int
    near: Sequence[Mapping[str, Any]]
    candidates: int
    at_edge: Sequence[str]

    @property
    def texts(self) -> dict[str, str]:
        """The chosen values as tables show them."""
        return {key: value_text(value) for key, value in self.chosen.items()}


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
    told = _told_from(best, np.stack([each.results[:, place] for each in reporting]))
    values = [{key: each.values[key] for key in asked.over} for each in candidates]
    group = reporting[best]
    return Best(
        replace(group, values={key: value for key, value in group.values.items() if key not in asked.over}),
        values[best],
        len(candidates[best].part(CHOOSING).seeds),
        [own for own, differs in zip(values, told, strict=True) if not differs],
        len(candidates),
        [key for key in asked.over if _at_edge(values[best][key], [each[key] for each in values])],
    )


def _told_from(best: int, measured: Floats) -> list[bool]:
    """Tell of each candidate (candidates, seeds) whether it differs from the best one, corrected for all of them."""
    others = np.delete(measured, best, axis=0)
    lower, higher = (others < measured[best]).sum(axis=1), (others > measured[best]).sum(axis=1)
    differs: list[bool] = (holm(sign_test(lower, higher, measured.shape[1])) <= ALPHA).tolist()
    return [*differs[:best], False, *differs[best:]]


def _at_edge(value: Any, values: Sequence[Any]) -> bool:
    numbers = [one for one in values if isinstance(one, int | float) and not isinstance(one, bool)]  # not lists, null …
    return len({*numbers}) > 1 and value in (min(numbers), max(numbers))
