"""Train every configuration of the study's grid with every seed, and report the spread."""

from pathlib import Path

from workbench.stage.run import run_stage
from workbench.compute.schedule import compute
from attention.pictures.figures import curves_figure, recovery_figure, save_figure
from workbench.compute.checkpoint import Journal
from attention.study.trainings import members_of
from attention.params import load_study
from workbench.progress import count_trainings
from attention.study.spread import (
    article_marks,
    first_runs,
    group,
    history_columns,
    recoveries,
    result_columns,
    summary_columns,
    training_errors,
)
from workbench.tables import write_table
from attention.study.view import record_study

OUT = Path("data/study")


def main() -> str:
    """Write data/study/ from seed, data.*, model.*, train.* and study.*; where it is computed changes nothing."""
    params, configurations = load_study()
    seed, seeds = params.seed, params.study.seeds
    members, journal = members_of(configurations, seed, seeds), Journal()
    outcomes = dict(journal.known(members))
    with record_study(params) as run:
        with count_trainings(len(members), len(outcomes)) as bar:
            for number, outcome in compute(members, outcomes, params.compute, journal):
                outcomes[number] = outcome
                bar.training()
        groups = group(configurations, seed, seeds, [outcomes[number] for number in range(len(members))])

        write_table(OUT / "results.csv", result_columns(groups))
        write_table(OUT / "histories.csv", history_columns(groups))
        write_table(OUT / "summary.csv", summary_columns(groups))
        save_figure(
            OUT / "curves.png", curves_figure(training_errors(groups), first_runs(groups), article_marks(groups))
        )
        save_figure(OUT / "recovery.png", recovery_figure(recoveries(groups)))
        journal.remove()
        run.show(groups)
    return f"study: {len(groups)} configurations, {seeds} seeds each -> data/study/{run.where}"


if __name__ == "__main__":
    run_stage(main)
