"""The attention functions compared, two at a time, from the trainings in benchmarks/results/functions.csv."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from attention.params import load_params
from attention.studies.comparison import Comparison, compare_pairs
from attention.studies.groups import MEASURES, Group
from attention.studies.statistics import holm
from attention.studies.trainings import Outcome
from report import write_report

Row = Mapping[str, str]
COMPARISON = (
    "Test errors compared seed by seed, with the share of the seeds in which the function's own error is the lower "
    "one. What differs does so in the sign test, corrected for all pairs by Holm's method: 5 % for the whole table"
)


def write_comparison(rows: Mapping[str, Sequence[Row]]) -> None:
    """Compare all pairs, each with the seeds that both have, and write comparison.{csv,md}."""
    groups = {name: _group(name, own) for name, own in rows.items()}
    compared = []
    for one, other in itertools.combinations(groups.values(), 2):
        number = min(len(one.seeds), len(other.seeds))
        compared += compare_pairs([one.part(slice(number)), other.part(slice(number))], [(0, 1)])
    corrected = holm(np.array([pair.p for pair in compared]))
    compared = [replace(pair, p_holm=float(p)) for pair, p in zip(compared, corrected, strict=True)]
    write_report("comparison", [_line(name, compared) for name in rows], COMPARISON)


def _line(name: str, compared: Sequence[Comparison]) -> Row:
    """Return what is said of a function."""
    said: dict[str, list[str]] = {"is below": [], "is above": [], "not told from": []}
    for pair in compared:
        if name not in (pair.first.name, pair.second.name):
            continue
        first = pair.first.name == name
        other, wins = (pair.second.name, pair.lower) if first else (pair.first.name, pair.higher)
        told = f"{other} {wins / len(pair.first.seeds):.0%}"
        below = "is below" if wins > len(pair.first.seeds) / 2 else "is above"
        said[below if pair.differs else "not told from"].append(told)
    return {"function": name, **{what: ", ".join(others) for what, others in said.items()}}


def _group(name: str, rows: Sequence[Row]) -> Group:
    outcomes = [
        Outcome([[float(row[measure]) for measure in MEASURES]], float(row["mse"]), row["found"] == "1") for row in rows
    ]
    return Group({"model.attention": name}, load_params(), [int(row["seed"]) for row in rows], outcomes)
