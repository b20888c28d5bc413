"""What this project tells the workbench; the `words` command starts here."""

import json
from pathlib import Path

from workbench.command.main import run_command
from workbench.project import Origin, Project

SHOWN = ("count", "measure")
ORIGIN, METRICS = Path("data/count/origin.json"), Path("data/measure/metrics.json")


def main() -> None:
    """Run the `words` command."""
    run_command(project)


def project() -> Project:
    """Return the project as the workbench must know it."""
    from words.params import Params, load_params
    from words.tracking import TRACKED

    return Project(
        tracked=TRACKED,
        schema=Params,
        load_params=load_params,
        shown=SHOWN,
        result=ORIGIN.as_posix(),
        origin=origin,
        metrics=METRICS.as_posix(),
        measures={name: f"measure/{name}" for name in ("share", "different", "words")},
        parameters=("count.min_length", "count.lowercase", "measure.top", "seed"),
        publish=publish,
        loading=("words.params",),
    )


def origin(result: bytes) -> Origin:
    """Return the parameters that a result says it was made with."""
    try:
        return Origin(dict(json.loads(result)["parameters"]), {})
    except (LookupError, TypeError) as error:
        raise ValueError("not an origin of counts") from error


def publish() -> str:
    """Show the results of the working folder in MLflow, and return the name of their run."""
    from words.counting import read_origin
    from words.params import load_params
    from words.tracking import TRACKED, show_count, show_measures
    from workbench.tracking.run import continue_run
    from workbench.tracking.tracked import experiment_of

    params = load_params()
    experiment = experiment_of(read_origin(ORIGIN))
    with continue_run(TRACKED, params.tracking, experiment, METRICS, *SHOWN) as run:
        show_count(run)
        show_measures(run, params.measure.top, params.seed)
    return run.published()


if __name__ == "__main__":
    main()
