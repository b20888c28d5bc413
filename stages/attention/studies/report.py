"""What a study says to people, in lines: the one that ends the stage, and the description of its run in MLflow."""

from collections.abc import Sequence

from attention.studies.answers import answers
from attention.studies.best import Best
from attention.studies.comparison import Comparison
from attention.studies.groups import Group, name_of
from attention.studies.tables import summary_columns

SAID = 6  # sentences or configurations named where a stage ends; more are in the tables
LISTED = 50  # sentences in MLflow


def closing(groups: Sequence[Group], comparisons: Sequence[Comparison], best: Sequence[Best] = ()) -> str:
    """Return what a study found, a sentence a line; the last one counts how many trainings found the truth."""
    seeds = len(groups[0].seeds)
    says = [f"study: {each.says}" for each in comparisons[:SAID]]
    if len(comparisons) > SAID:
        says = [f"study: {differing(comparisons)}; `attention study` shows them"]
    if len(groups) > SAID:
        says = [*(f"study: {line}" for line in answers(summary_columns(groups))[:SAID]), *says]
    if best:
        chosen = "; ".join(f"{each.group.name} at {name_of(each.texts)}" for each in best[:SAID])
        says = [
            f"study: at its best, chosen with {best[0].choosing} seeds and compared with the others: {chosen}",
            *says,
        ]
    head = f"study: {len(groups)} configuration{'s'[: len(groups) > 1]}, {seeds} seed{'s'[: seeds > 1]} each"
    return "\n".join([*says, f"{head}; truth found by {found(groups)}"])


def differing(comparisons: Sequence[Comparison]) -> str:
    """Count the pairs that differ."""
    differ = sum(each.differs for each in comparisons)
    return f"{differ} of {len(comparisons)} pairs of configurations differ in error"


def found(groups: Sequence[Group]) -> str:
    """Count the trainings that found the truth, and those that diverged: by configuration where these are few."""
    if len(groups) > SAID:
        total, number = sum(each.found for each in groups), sum(len(each.seeds) for each in groups)
        wild = sum(each.diverged for each in groups)
        return f"{total} of {number} trainings" + (f" ({wild} diverged)" if wild else "")
    between = "; " if any(len(each.values) > 1 for each in groups) else ", "  # names of several values have commas
    return between.join(
        f"{each.found} of {len(each.seeds)} {each.name}" + (f" ({each.diverged} diverged)" if each.diverged else "")
        for each in groups
    )


def description(run_id: str, groups: Sequence[Group], comparisons: Sequence[Comparison]) -> str:
    """Return what a person reads first on the page of a study's run."""
    picture = f"get-artifact?path=study/errors.png&run_uuid={run_id}"
    lines = [f"Truth found by {found(groups)}. [Errors with intervals]({picture})"]
    lines += [f"- {line}" for line in answers(summary_columns(groups))[:LISTED]]
    if comparisons:
        lines += ["", f"{differing(comparisons).capitalize()}:", *(f"- {each.says}" for each in comparisons[:LISTED])]
    if len(comparisons) > LISTED:
        lines.append("\nAll of them are in `study/comparison.csv`.")
    return "\n".join([lines[0], "", *lines[1:]])
