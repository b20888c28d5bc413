"""`attention study`: what the study in data/study found, rounded for people."""

import argparse
import csv
from collections.abc import Mapping
from pathlib import Path

from workbench.command.report import print_table
from workbench.project import Command
from workbench.stage.errors import DataError, printable
from workbench.stage.inputs import regular

OUT = Path("data/study")
LISTED = 20  # rows and sentences, where not all are asked for
MOST_BYTES = 100_000_000
Row = Mapping[str, str]


def show_study(folder: Path, most: int | None, rest: str) -> None:
    """Print the table and the sentences of a study's folder, pairs that differ first; `most` of each, None for all.

    Where the `rest` is, is said.

    Raises:
        DataError: a table is missing, or is none of a study.

    """
    from attention.studies.answers import answers  # NumPy takes its time

    best, summary, pairs = (_read(folder / f"{name}.csv") for name in ("best", "summary", "comparison"))
    try:
        rows = [_shown(row) for row in best or summary]
        table = {name: [row[name] for row in summary] for name in summary[0]} if summary and not best else {}
        found = [printable(line) for line in answers(table)] if table else []
        says = [printable(row["says"]) for row in sorted(pairs, key=lambda row: row["differs"] != "true")]
    except (KeyError, ValueError) as error:
        raise _other(folder) from error
    if best:
        print("At the best value, chosen on one half of the seeds and reported on the other:")
    if rows:
        print_table(list(rows[0]), [list(row.values()) for row in rows[:most]])
    for line in _more(len(rows), most, "configurations", rest):
        print(line)
    for lines, what in ((found, "sentences"), (says, "pairs")):
        if lines:
            print("", *lines[:most], *_more(len(lines), most, what, rest), sep="\n")


def _show(root: Path, options: argparse.Namespace) -> int:
    show_study(root / OUT, None if options.all else LISTED, "attention study --all")
    return 0


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help=f"every row and sentence; default: the first {LISTED}")


STUDY = Command("say which configuration of the study is better, and how sure that is", _show, _arguments)


def _shown(row: Row) -> dict[str, str]:
    """Return what answers which is better: the values, how many found the truth, the error and its interval."""
    trainings = int(row["trainings"])
    values = list(row)[: list(row).index("trainings")]
    return {
        **{key: printable(row[key]) for key in values if key not in ("choosing", "candidates")},
        "found the truth": f"{round(float(row['found']) * trainings)} of {trainings}",
        "diverged": row["diverged"],
        "test error": f"{float(row['mse.median']):.2e}",
        "90 % interval": _interval(row, "mse", "2e"),
        "|a·w| on the truth": f"{float(row['effective.median']):.4f}",
        " 90 % interval": _interval(row, "effective", "4f"),
    }


def _interval(row: Row, measure: str, form: str) -> str:
    low, high = row[f"{measure}.low"], row[f"{measure}.high"]
    return f"{float(low):.{form}} to {float(high):.{form}}" if low and high else "of 5 seeds or more"


def _more(number: int, most: int | None, what: str, rest: str) -> list[str]:
    return [f"… and {number - most:,} more {what}: {rest}"] if most and number > most else []


def _read(path: Path) -> list[Row]:
    try:
        with regular(path, MOST_BYTES).open(encoding="utf-8", newline="") as file:
            rows: list[Row] = list(csv.DictReader(file, strict=True))
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror}); `dvc repro study` writes it") from error
    except (ValueError, csv.Error) as error:
        raise _other(path.parent) from error
    if any(None in row or None in row.values() for row in rows):  # longer or shorter than the header
        raise _other(path.parent)
    return rows


def _other(folder: Path) -> DataError:
    return DataError(f"{folder}: not the tables of a study; `dvc repro -f study` writes them again")
