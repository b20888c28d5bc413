"""Train every configuration of the study's grid with every seed, compare them, and report the spread."""

from workbench.stage.run import run_stage

from pathlib import Path

from attention.params import load_study
from attention.pictures.style import save_figure
from attention.studies.best import compare
from attention.studies.curves import curves_figure
from attention.studies.figures import errors_figure, recovery_figure
from attention.studies.groups import group
from attention.studies.page import save_report
from attention.studies.report import closing
from attention.studies.tables import best_columns, comparison_columns, history_columns, result_columns, summary_columns
from attention.studies.tracking import record_study
from attention.studies.trainings import TRAININGS, trainings_of
from workbench.compute.checkpoint import Checkpoint
from workbench.compute.schedule import compute
from workbench.progress import count_trainings
from workbench.stage.tables import write_table

OUT = Path("data/study")


def main() -> str:
    """Write data/study/ from seed, data.*, model.*, train.* and study.*; where it is computed changes nothing."""
    params, configurations = load_study()
    study = params.study
    trainings, checkpoint = trainings_of(configurations, params.seed, study.seeds), Checkpoint(TRAININGS, "study")
    outcomes = dict(checkpoint.known(trainings))
    with record_study(params) as run:
        with count_trainings(len(trainings), len(outcomes)) as bar:
            for number, outcome in compute(TRAININGS, trainings, outcomes, params.compute, checkpoint):
                outcomes[number] = outcome
                bar.training()
        groups = group(configurations, params.seed, study.seeds, [outcomes[number] for number in range(len(trainings))])
        best, comparisons = compare(groups, study)

        write_table(OUT / "results.csv", result_columns(groups))
        write_table(OUT / "histories.csv", history_columns(groups))
        write_table(OUT / "summary.csv", summary_columns(groups))
        write_table(OUT / "best.csv", best_columns(best, study))
        write_table(OUT / "comparison.csv", comparison_columns(comparisons, study))
        save_figure(OUT / "errors.png", errors_figure(groups))
        save_figure(OUT / "recovery.png", recovery_figure(groups))
        save_figure(OUT / "curves.png", curves_figure(groups))
        save_report(OUT / "report.html", groups, comparisons)
        checkpoint.remove()
        run.show(groups, comparisons)
    return f"{closing(groups, comparisons, best)} -> data/study/{run.where}"


if __name__ == "__main__":
    run_stage(main)
