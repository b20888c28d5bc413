"""What a command prints at its end: a table, and whether outputs agree."""

from collections.abc import Iterable, Sequence

from workbench.command.comparison import NOT_RECORDED, Agreement
from workbench.project import Project, Tolerance
from workbench.stage.errors import printable


def conclude(project: Project, name: str, found: Sequence[Agreement]) -> int:
    """Say in the last line how many outputs agree and how; return the status."""
    recorded = [one for one in found if one.verdict != NOT_RECORDED]
    same, held = (sum(one.verdict == "same" for one in recorded), sum(one.holds for one in recorded))
    if held > same:
        print(f"{project.why_tolerated}; allowed: {'; '.join(map(_told, project.tolerances.items()))}")
    numbers = f", {held - same} in their numbers" if held > same else ""
    lacking = f", {len(found) - len(recorded)} are not recorded" if len(found) > len(recorded) else ""
    proved = any(one.path == project.result for one in recorded)
    without = "" if proved else f"; without {project.result} nothing is proved"
    print(f"{printable(name)} {same} of {len(recorded)} outputs agree byte for byte{numbers}{lacking}{without}")
    return 0 if held == len(recorded) and proved else 1


def _told(tolerance: tuple[str, Tolerance]) -> str:
    stage, allowed = tolerance
    numbers = [f"{name} {most:g}" for name, most in allowed.allowed.items() if most]
    return f"{stage} {', '.join([*numbers, f'other numbers {allowed.other:g}'])}"


def print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows in columns."""
    print("\n".join(table(header, rows)))


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Return rows as lines, in columns."""
    lines = [header, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def few(texts: Sequence[str]) -> str:
    """Return texts on one line, the first and last of many."""
    return ", ".join(texts if len(texts) <= 8 else [*texts[:4], "…", *texts[-3:]])
