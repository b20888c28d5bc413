"""Measure how rich the vocabulary of the text is."""

from workbench.stage.run import run_stage

from pathlib import Path

from words.counting import measures_of, read_counts, read_origin
from words.params import load_params
from words.tracking import TRACKED, show_measures
from workbench.stage.tables import write_json
from workbench.tracking.run import continue_run
from workbench.tracking.tracked import experiment_of

COUNT, OUT = Path("data/count"), Path("data/measure")


def main() -> str:
    """Write data/measure/metrics.json from data/count/, measure.top and the seed."""
    params = load_params()
    measures = measures_of(read_counts(COUNT / "words.csv"), params.measure.top, params.seed)
    write_json(OUT / "metrics.json", measures)
    experiment = experiment_of(read_origin(COUNT / "origin.json"))
    with continue_run(TRACKED, params.tracking, experiment, OUT / "metrics.json", "measure") as run:
        show_measures(run, params.measure.top, params.seed)
    share = f"{measures['share']:.1%} of all ({measures['share_low']:.1%} to {measures['share_high']:.1%})"
    return f"measure: the {params.measure.top} most frequent are {share} -> data/measure/{run.where}"


if __name__ == "__main__":
    run_stage(main)
