"""Compare the attention functions two at a time on the article's data: python benchmarks/compared.py [--seeds N].

A study of all functions, each pair compared seed by seed. Writes benchmarks/results/comparison.{csv,md}.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from attention import study
from attention.functions import ATTENTION_FUNCTIONS
from report import write_report


def main() -> None:
    """Train, compare, and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=400)
    seeds = parser.parse_args().seeds
    found = study(seeds=seeds, grid={"attention": list(ATTENTION_FUNCTIONS)}, compare="all")
    pairs, summary = found.comparison.to_dict("records"), found.summary.to_dict("records")
    rows = [line(row, pairs) for row in summary]
    differ = sum(pair["differs"] == "true" for pair in pairs)
    write_report(
        "comparison",
        rows,
        f"Test errors of {seeds} seeds, compared seed by seed: {differ} of {len(pairs)} pairs differ by the sign test, "
        "corrected for all pairs by Holm's method, at 5 % for the whole table. With each name stands the share of the "
        "seeds in which the row's error is the lower one; found is the share of the trainings that found the truth",
    )


def line(row: dict[Any, Any], pairs: Sequence[dict[Any, Any]]) -> dict[str, str]:
    """Return what is said of a function."""
    name = row["model.attention"]
    said: dict[str, list[str]] = {"is below": [], "is above": [], "not told from": []}
    for pair in pairs:
        sides = {pair[f"model.attention.{side}"]: side for side in ("first", "second")}
        if name not in sides:
            continue
        (other,) = sides.keys() - {name}
        wins = pair["lower" if sides[name] == "first" else "higher"] / pair["seeds"]
        below = "is below" if wins > 0.5 else "is above"
        said[below if pair["differs"] == "true" else "not told from"].append(f"{other} {wins:.0%}")
    return {
        "function": name,
        "found": f"{row['found']:.1%} ({row['found.low']:.1%} to {row['found.high']:.1%})",
        "error": f"{row['mse.median']:.2e} ({row['mse.low']:.2e} to {row['mse.high']:.2e})",
        **{what: ", ".join(others) for what, others in said.items()},
    }


if __name__ == "__main__":
    main()
