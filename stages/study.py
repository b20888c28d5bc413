"""Train every configuration of the study's grid with every seed, and report the spread."""

from workbench.stage.run import run_stage

from pathlib import Path

from attention.params import load_study
from attention.pictures.figures import curves_figure, recovery_figure, save_figure
from attention.study.report import save_study_report
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
from attention.study.trainings import TRAININGS, trainings_of
from attention.study.view import record_study
from workbench.compute.checkpoint import Checkpoint
from workbench.compute.schedule import compute
from workbench.progress import count_trainings
from workbench.tables import write_table

OUT = Path("data/study")


def main() -> str:
    """Write data/study/ from seed, data.*, model.*, train.* and study.*; where it is computed changes nothing."""
    params, configurations = load_study()
    seed, seeds = params.seed, params.study.seeds
    trainings, checkpoint = trainings_of(configurations, seed, seeds), Checkpoint(TRAININGS, "study")
    outcomes = dict(checkpoint.known(trainings))
    with record_study(params) as run:
        with count_trainings(len(trainings), len(outcomes)) as bar:
            for number, outcome in compute(TRAININGS, trainings, outcomes, params.compute, checkpoint):
                outcomes[number] = outcome
                bar.training()
        groups = group(configurations, seed, seeds, [outcomes[number] for number in range(len(trainings))])

        write_table(OUT / "results.csv", result_columns(groups))
        write_table(OUT / "histories.csv", history_columns(groups))
        write_table(OUT / "summary.csv", summary_columns(groups))
        save_figure(
            OUT / "curves.png", curves_figure(training_errors(groups), first_runs(groups), article_marks(groups))
        )
        save_figure(OUT / "recovery.png", recovery_figure(recoveries(groups)))
        save_study_report(OUT / "report.html", groups)
        checkpoint.remove()
        run.show(groups)
    return f"study: {len(groups)} configurations, {seeds} seeds each -> data/study/{run.where}"


if __name__ == "__main__":
    run_stage(main)
