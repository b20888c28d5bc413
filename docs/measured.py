"""What the pages say of how the functions compare, made from what was measured: benchmarks/results."""

import csv
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from attention.studies.answers import answers
from attention.studies.statistics import share_interval

RESULTS = Path(__file__).parents[1] / "benchmarks/results"


def found() -> str:
    """Return with which functions most trainings of benchmarks/functions.py find the truth, and which find all."""
    rows: dict[str, list[tuple[int, float]]] = {}
    for row in _rows("functions"):
        rows.setdefault(row["function"], []).append((int(row["found"]), float(row["mse"])))
    counts = {name: sum(one for one, _ in own) for name, own in rows.items()}
    every = [f"`{name}`" for name, own in rows.items() if counts[name] == len(own)]
    intervals = [share_interval(counts[name], len(own)) for name, own in rows.items()]
    table: dict[str, list[Any]] = {
        "model.attention": [f"`{name}`" for name in rows],
        "trainings": [len(own) for own in rows.values()],
        "found.low": [low for low, _ in intervals],
        "found.high": [high for _, high in intervals],
        "mse.median": [float(np.median([error for _, error in own])) for own in rows.values()],
    }
    (says,) = answers(table)
    return f"{says[0].upper()}{says[1:]}. Every training finds it with {_and(every)}."


def varies() -> str:
    """Return how much seeds differ."""
    whole, inner = (
        _counted()["embedding", what]
        for what in (
            "training error after the second epoch, the largest to the smallest",
            "the same without the lowest and the highest 5 % of the seeds",
        )
    )
    return (
        f"One run says little. Among {_seeds()} seeds, the article's training error after its second epoch varies "
        f"{whole}-fold, and\n{inner}-fold without the 5 % lowest and the 5 % highest (`python benchmarks/reasons.py`)."
    )


def reasons() -> str:
    """Return why functions miss the truth, a sentence or two each, with what was counted."""
    counted = _counted()

    def each(what: str, *functions: str) -> str:
        return _and([f"{counted[name, what]} (`{name}`)" for name in functions])

    sparse, products = ("sparsemax", "entmax15"), ("softmax", "dot", "scaled_dot", "bilinear", "additive")
    lines = (
        "`sparsemax` and `entmax15` give no gradient outside their support. Of the true positions that start there "
        f"they find {each('found, of those whose true position starts without attention', *sparse)}, in three times "
        f"the epochs {each('the same in three times the epochs', *sparse)}; of those that start inside "
        f"{each('found, of those whose true position starts with some', *sparse)}. Of the rest of these the output "
        "weight w starts below zero in "
        f"{each('of the others of these, the output weight starts below zero', *sparse)}.",
        "Where w starts below zero, attention, which cannot be negative, can leave before w has changed its sign, and "
        "then neither gets a gradient. So it is, of the contexts that are missed, in "
        f"{each('missed ones whose output weight starts below zero', *products)}. From the same weights without their "
        f"sign these miss {each('missed ones, all output weights made positive', *products)}.",
        "`dot` has large scores, of which a softmax makes attention that is as good as none, and so is its gradient: "
        f"of the contexts that it misses, {counted['dot', 'missed ones whose attention starts below 0.001']} start "
        "with attention below 0.001 at the true position.",
        "`sigmoid` is slow where its slope a(1 - a) is close to 0: at positions of other contexts it leaves "
        f"{counted['sigmoid', 'attention left at positions of other contexts, median']} in the median. After twice the "
        "epochs the error is still 0.001 or more in "
        f"{counted['sigmoid', 'seeds whose error is 0.001 or more after twice the epochs']} seeds; in "
        f"{counted['sigmoid', 'of these, an output weight of a true position starts below zero']} of these a true "
        "position starts with w below zero.",
        "`gaussian` finds what is near: "
        f"{counted['gaussian', 'found, of those that start less than 2 positions away']} that start less than "
        "2 positions from its centre, and "
        f"{counted['gaussian', 'found, of those that start 4 positions away or more']} that start 4 away or more.",
        "`local` sees only a window, which has no gradient: of the contexts that it misses, "
        f"{counted['local', 'missed ones that end with the true position outside the window']} end with the true "
        f"position outside. All its centres start between {counted['local', 'first and last of the initial centres']}.",
        f"`hard` needs its noise: without, it misses {counted['hard, no noise', 'missed ones']}, with it "
        f"{counted['hard', 'missed ones']}.",
    )
    return "\n".join(f"- {line}" for line in lines)


def _counted() -> dict[tuple[str, str], str]:
    """Return what benchmarks/reasons.py counted, by function and by what it is, with commas in large numbers."""
    rows = _rows("reasons")
    return {
        (row["function"], row["what"]): re.sub(r"\d{4,}", lambda number: f"{int(number[0]):,}", row["how many"])
        for row in rows
    }


def _seeds() -> str:
    (number,) = re.findall(r": (\d+) seeds\.", (RESULTS / "reasons.md").read_text())
    return str(number)


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (RESULTS / f"{name}.csv").open(newline="") as file:
        yield from csv.DictReader(file)


def _and(texts: list[str]) -> str:
    return f"{', '.join(texts[:-1])} and {texts[-1]}" if len(texts) > 1 else "".join(texts)


COMPARED: Mapping[str, Callable[[], str]] = {"found": found, "varies": varies, "reasons": reasons}
