"""MLflow runs as states that can be restored, and files as runs that can be published."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import chdir, contextmanager, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath

from mlflow.entities import Run as MlflowRun
from mlflow.tracking import MlflowClient

from workbench.command.comparison import about
from workbench.command.snapshot import State, experiment_state, experiments, git, lay_out, patch_onto, share_cache
from attention.tasks.examples import md5
from attention.training.engines import promises_bytes
from workbench.stage.errors import AttentionError, RestoreError, TrackingError
from workbench.tracking.uri import tracking_uri
from attention.params import load_params
from workbench.tracking.recorder import CODE_PATCH, PARAMS_TEXT
from workbench.tracking.run import continue_run
from workbench.tracking.store import open_store, without_secrets
from attention.study.view import publish_study
from attention.views.stages import show_evaluation, show_pictures, show_training
from attention.weights import load_weights

MODEL = "data/train/model.safetensors"
FOLDERS = {"train": "data/train", "evaluate": "data/evaluate", "plot": "data/plot"}


def find_state(root: Path, name: str) -> State:
    """Return the state of a DVC experiment or, where there is none of that name, of an MLflow run by its id or name.

    Raises:
        RestoreError: nothing has that name, or the run does not carry what restoring takes.

    """
    if found := experiment_state(root, name):
        return _with_new_files(root, found)
    with chdir(root), _asking():
        client, experiment_id = open_store(load_params().tracking.experiment)
        runs = client.search_runs([experiment_id], order_by=["attributes.start_time DESC"])
        wanted = [run for run in runs if _is_called(run, name)]
        if wanted:
            return _run_state(client, wanted[0])
    known = [repr(other) for other in (*experiments(root), *(str(run.info.run_name) for run in runs))]
    raise RestoreError(
        f"{name}: neither a DVC experiment nor an MLflow run by id or name; "
        f"known: {', '.join(dict.fromkeys(known[:10])) or 'none'}; `attention runs` lists them"
    )


def _with_new_files(root: Path, state: State) -> State:
    """DVC leaves files that git does not know out of an experiment; its MLflow run, where there is one, has them."""
    with chdir(root), suppress(AttentionError), _asking():
        client, experiment_id = open_store(load_params().tracking.experiment)
        runs = client.search_runs([experiment_id], order_by=["attributes.start_time DESC"])
        # Not asked of MLflow: a name may have quotes of any kind.
        for run in (run for run in runs if run.data.tags.get("dvc.exp_name") == state.name):
            shown = _run_state(client, run)
            if shown.outputs.get(MODEL) == state.outputs[MODEL]:  # else another experiment of the same name
                patch = patch_onto(root, shown.commit, shown.patch, state.commit)
                return replace(state, patch=patch, kept=shown.kept)
    return state


def _is_called(run: MlflowRun, name: str) -> bool:
    """Whether a name means a run: its id or the first eight characters of it, its name, or DVC's for its experiment."""
    names = (run.info.run_id, run.info.run_id[:8], run.info.run_name, run.data.tags.get("dvc.exp_name"))
    return name in names


def _run_state(client: MlflowClient, run: MlflowRun) -> State:
    name, commit = str(run.info.run_name), run.data.tags.get("mlflow.source.git.commit")
    if not commit:
        raise RestoreError(
            f"{name}: its run has no git commit, so its code is not known; train it again in a git repository"
        )
    data = run.inputs.dataset_inputs if run.inputs else []
    outputs = {f"data/generate/{entry.dataset.name}.parquet": entry.dataset.digest for entry in data}
    kept = {}
    with tempfile.TemporaryDirectory() as folder:

        def download(path: str) -> Path:
            return Path(client.download_artifacts(run.info.run_id, path, folder))

        params, patch = (download(path).read_bytes() for path in (PARAMS_TEXT, CODE_PATCH))
        for stage, place in FOLDERS.items():
            for file in client.list_artifacts(run.info.run_id, stage):
                path = f"{place}/{PurePosixPath(file.path).name}"
                local = download(file.path)
                outputs[path] = md5(local)
                if not promises_bytes(run.data.params.get("train.engine", "")) and stage != "plot":
                    kept[path] = local.read_bytes()  # its numbers may have to be compared
                if path == MODEL:
                    outputs["data/generate/truth.csv"] = about(local.read_bytes())["origin"]["data"]["truth.csv"]
    return State(name, commit, patch, params, outputs, kept)


def publish(root: Path) -> str:
    """Create or complete the MLflow run of the results in `root`, and those of its study; return the former's name.

    Raises:
        TrackingError: MLflow cannot be reached, or not to the end.
        AttentionError: the results are not whole.

    """
    with chdir(root):
        tracking = load_params().tracking
        weights = load_weights(MODEL)
        status = subprocess.run([sys.executable, "-m", "dvc", "status", "--quiet"], capture_output=True, check=False)
        if status.returncode:
            raise TrackingError(
                f"{root}: its results are not those of its code and parameters (`dvc status` tells how); "
                "run `dvc repro`, or `dvc checkout` for the committed ones, then publish"
            )
        with _asking():
            open_store(tracking.experiment)
        with continue_run(tracking, weights, Path("data/evaluate/metrics.json"), "train", "evaluate", "plot") as run:
            show_training(run)
            show_evaluation(run)
            show_pictures(run)
        if run.lost:
            raise TrackingError(f"{root}: MLflow was lost on the way; `attention publish` again completes the run")
        publish_study()
        return run.name


def publish_experiments(root: Path) -> dict[str, str]:
    """Publish every DVC experiment from DVC's cache; return for each what became of it."""
    told = {}
    with chdir(root):
        uri = tracking_uri()
    for name, commit in experiments(root).items():
        state = State(name, commit, b"", None, {})
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "copy"
            lay_out(state, root, folder)
            share_cache(root, folder)
            restored = subprocess.run(
                [sys.executable, "-m", "dvc", "checkout", "--quiet"], cwd=folder, capture_output=True, check=False
            )
            if restored.returncode:
                told[name] = (
                    f"not published: its outputs are not in DVC's cache; `attention restore {name} DIR` makes them"
                )
                continue
            baseline = git(root, "rev-parse", f"{commit}^")
            with _environment(MLFLOW_TRACKING_URI=uri, DVC_EXP_NAME=name, DVC_EXP_BASELINE_REV=baseline):
                try:
                    told[name] = f"run {publish(folder)}"
                except AttentionError as error:
                    told[name] = f"not published: {error}"
    return told


@contextmanager
def _asking() -> Iterator[None]:
    """Tell in one line, without secrets, whatever MLflow does not answer."""
    try:
        yield
    except AttentionError:
        raise
    except Exception as error:
        reason = without_secrets(f"{type(error).__name__}: {error}".partition("\n")[0])[:200]
        raise TrackingError(
            f"MLflow cannot be reached, or not to the end ({reason}); start its server, or set MLFLOW_TRACKING_URI to "
            "one that answers; `attention doctor` looks at the store"
        ) from None


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
