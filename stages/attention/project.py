"""What this laboratory tells the workbench; the `attention` command starts here."""

import json
from pathlib import Path

from workbench.command.main import run_command
from workbench.project import Origin, Project, Tolerance

MODEL, METRICS = Path("data/train/model.safetensors"), Path("data/evaluate/metrics.json")
SHOWN = ("train", "evaluate", "plot")
EXACT = {"epoch": 0.0, "context": 0.0, "position": 0.0, "truth": 0.0}  # columns that no arithmetic of torch goes into
ORDERS = dict.fromkeys(("faithfulness.", "gradient_", "left_out_"), 1e-2)  # which change by whole pairs

# Of a training through torch, and of an evaluation through torch of the same weights, which only rounds otherwise.
# `python benchmarks/trust.py torch` measures how far apart they really are.
TORCH = {
    "train": Tolerance({**EXACT, "mse": 1e-4, "baseline.": 1e-4}, other=0.25),
    "evaluate": Tolerance({**EXACT, "mse": 1e-6, "baseline.": 1e-6, **ORDERS}, other=1e-5),
}

# Another way through the code, on data small enough to wait for: `declare` watches it.
SMALL_THROUGH_TORCH = {
    "train.engine": "torch",
    "model.attention": "cosine",
    "data.n_train": 211,
    "data.n_test": 53,
    "train.epochs": 1,
    "study.seeds": 1,
    "study.grid": {},
}


def main() -> None:
    """Run the `attention` command."""
    run_command(project)


def project() -> Project:
    """Return the laboratory as the workbench must know it."""
    from attention.command.experiments import EXPERIMENTS
    from attention.command.study import STUDY
    from attention.params import load_params
    from attention.params.schema import Params
    from attention.tracking.experiment import TRACKED
    from attention.tracking.naming import DEFAULTS
    from attention.tracking.stages import TEST_METRICS
    from attention.training.engines import promises_bytes

    return Project(
        tracked=TRACKED,
        schema=Params,
        load_params=load_params,
        shown=SHOWN,
        result=MODEL.as_posix(),
        origin=origin,
        metrics=METRICS.as_posix(),
        measures=TEST_METRICS,
        parameters=("seed", "model.attention", *DEFAULTS),
        publish=publish,
        promises_bytes=lambda params: promises_bytes(str(params.get("train.engine"))),
        tolerances=TORCH,
        why_tolerated="engine torch does not promise its bytes",
        loading=("attention.params",),
        variants=(SMALL_THROUGH_TORCH,),
        commands={"study": STUDY, "experiments": EXPERIMENTS},
    )


def origin(model: bytes) -> Origin:
    """Return what the metadata of a model file say that it was made from."""
    from attention.weights import METADATA

    try:
        header = json.loads(model[8 : 8 + int.from_bytes(model[:8], "little")])
        said = json.loads(header["__metadata__"][METADATA])["origin"]
        digests = {f"data/generate/{name}": str(digest) for name, digest in said["data"].items()}
        return Origin(dict(said["parameters"]), digests)
    except (LookupError, TypeError, AttributeError) as error:
        raise ValueError("no model of this project") from error


def publish() -> str:
    """Show the results of the working folder in MLflow, and those of its study; return the name of the former's run."""
    from attention.params import load_params
    from attention.studies.tracking import publish_study
    from attention.tracking.experiment import TRACKED, experiment
    from attention.tracking.stages import show_evaluation, show_pictures, show_training
    from attention.weights import load_weights
    from workbench.tracking.run import continue_run

    weights = load_weights(MODEL)
    with continue_run(TRACKED, load_params().tracking, experiment(weights), METRICS, *SHOWN) as run:
        show_training(run)
        show_evaluation(run)
        show_pictures(run)
    if not run.lost:
        publish_study()
    return run.published()


if __name__ == "__main__":
    main()
