"""DVC's experiments: in the workspace and queued, with one MLflow store in the real project, and the same numbers."""

import csv
import io
import json
import math
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Project, open_store, recorded_runs
from mlflow.entities import Run

SOONER_OR_LATER = 240  # seconds, far more than the queue takes

# What the queued experiments have of a stage's code, and the workspace has no more when they run.
OTHER_CODE = '''
_by_the_workspace = baseline_errors


def baseline_errors(*tables: Table) -> dict[str, Errors]:
    """Say which code ran."""
    return {**_by_the_workspace(*tables), "mean": {"mse": 0.125}}
'''


def change_code(project: Project) -> None:
    with (project.root / "stages/attention/measures/prediction.py").open("a") as file:
        file.write(OTHER_CODE)


def runs_by_experiment(project: Project) -> dict[str, Run]:
    runs = recorded_runs(open_store(f"sqlite:///{project.root}/mlflow.db"))
    found = {run.data.tags["dvc.exp_name"]: run for run in runs}
    assert len(found) == len(runs)
    return found


def metrics_in_dvc(project: Project) -> dict[str, dict[str, Any]]:
    """Return what `dvc exp show` says of each experiment on the current commit, and of the workspace."""
    workspace, head = json.loads(project.run("dvc", "exp", "show", "--json").stdout)
    shown = {"workspace": workspace["data"], head["name"]: head["data"]}
    shown |= {experiment["name"]: experiment["revs"][0]["data"] for experiment in head["experiments"] or []}
    return {name: data["metrics"]["data/evaluate/metrics.json"]["data"] for name, data in shown.items()}


def flat(tree: dict[str, Any], prefix: str = "") -> dict[str, float]:
    found: dict[str, float] = {}
    for name, value in tree.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def evaluation(run: Run) -> dict[str, float]:
    """Return what MLflow shows of metrics.json."""
    shown = {n.removeprefix("test/"): value for n, value in run.data.metrics.items() if n.startswith("test/")}
    assert shown.pop("log10_mse") == math.log10(shown["mse"])
    return shown


@pytest.fixture(scope="module")
def queued(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """A project in which two queued experiments have run, two at once; before that it had no MLflow store."""
    project = finished_project.copy(tmp_path_factory.mktemp("experiments") / "project")
    assert not (project.root / "mlflow.db").exists()
    change_code(project)
    project.run(*["dvc", "exp", "run", "--queue", "-S", "train.learning_rate=0.02,0.03", "-n", "rate"])
    project.run("git", "checkout", "--quiet", "stages")
    try:
        # The workers inherit the output that we capture, so this ends when they do: no need to ask for their status
        # again and again. That their path leads to the workspace's package must not matter.
        project.run("dvc", "queue", "start", "--jobs", "2", PYTHONPATH=str(project.root / "stages"))
        deadline = time.monotonic() + SOONER_OR_LATER
        while "Worker status: 0 active, 0 idle" not in (status := project.run("dvc", "queue", "status").stdout):
            assert time.monotonic() < deadline, status
            time.sleep(1)
    except (AssertionError, subprocess.TimeoutExpired):
        project.attempt("dvc", "queue", "stop", "--kill")
        raise
    logs = "".join(path.read_text() for path in (project.root / ".dvc/tmp/exps/run").rglob("*.out"))
    assert status.count("Success") == 2, f"{status}\n{logs}"
    yield project
    status = project.run("dvc", "queue", "status").stdout
    assert "Worker status: 0 active, 0 idle" in status


def test_each_is_one_finished_run_in_the_store_of_the_real_project(queued: Project) -> None:
    runs = runs_by_experiment(queued)
    head = queued.run("git", "rev-parse", "HEAD").stdout.strip()
    assert runs.keys() == {"rate-1", "rate-2"}
    for run in runs.values():
        assert run.info.status == "FINISHED"
        assert run.data.tags["attention.stages"] == "train,evaluate,plot"
        assert run.data.tags["dvc.baseline_rev"] == head
        assert run.info.artifact_uri.startswith((queued.root / "mlruns").as_uri())
    assert [runs[f"rate-{i}"].data.params["train.learning_rate"] for i in (1, 2)] == ["0.02", "0.03"]


def test_each_is_called_by_what_differs_and_by_its_name(queued: Project) -> None:
    for rate, name in (("0.02", "rate-1"), ("0.03", "rate-2")):
        told = runs_by_experiment(queued)[name].info.run_name
        assert told.startswith("embedding, ")
        assert told.endswith(f", learning_rate {rate}, seed 0 ({name})")


def test_dvc_and_mlflow_show_the_same_numbers(queued: Project) -> None:
    shown = metrics_in_dvc(queued)
    for name, run in runs_by_experiment(queued).items():
        assert evaluation(run) == flat(shown[name])


def test_every_epoch_is_in_mlflow_as_in_the_experiments_own_history(queued: Project) -> None:
    client = open_store(f"sqlite:///{queued.root}/mlflow.db")
    refs = queued.run("git", "for-each-ref", "--format=%(refname)", "refs/exps").stdout.split()
    commits = {ref.rpartition("/")[2]: ref for ref in refs if "/celery/" not in ref}
    for name, run in runs_by_experiment(queued).items():
        history = queued.run("git", "show", f"{commits[name]}:data/train/history.csv").stdout
        rows = list(csv.DictReader(io.StringIO(history)))
        assert [int(row.pop("epoch")) for row in rows] == [0, 1]
        for column in rows[0]:
            tracked = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, f"train/{column}")]
            assert tracked == [(step, float(row[column])) for step, row in enumerate(rows)]


def test_each_ran_the_code_it_was_queued_with(queued: Project) -> None:
    assert "Say which code ran" not in (queued.root / "stages/attention/measures/prediction.py").read_text()
    assert {evaluation(run)["baseline.mean"] for run in runs_by_experiment(queued).values()} == {0.125}


def test_metrics_diff_agrees_with_mlflow(queued: Project) -> None:
    runs = runs_by_experiment(queued)
    said = json.loads(queued.run("dvc", "metrics", "diff", "rate-1", "rate-2", "--all", "--json").stdout)
    changes = said["data/evaluate/metrics.json"]
    assert changes.keys() == evaluation(runs["rate-1"]).keys()
    for name, change in changes.items():
        assert (change["old"], change["new"]) == (evaluation(runs["rate-1"])[name], evaluation(runs["rate-2"])[name])


def test_plots_diff_draws_both(queued: Project, tmp_path_factory: pytest.TempPathFactory) -> None:
    page = tmp_path_factory.mktemp("plots")
    queued.run("dvc", "plots", "diff", "rate-1", "rate-2", "--out", str(page))
    text = (page / "index.html").read_text()
    assert "Mean squared error while training" in text
    assert "rate-1" in text
    assert "rate-2" in text


def test_the_workspace_is_as_it_was(queued: Project) -> None:
    assert queued.run("git", "status", "--porcelain").stdout == ""


def test_other_test_data_give_a_run_of_their_own_beside_the_one_of_the_same_training(queued: Project) -> None:
    before = runs_by_experiment(queued)
    change_code(queued)  # training reads the same measures: with the code that it was queued with, it is not done again
    said = queued.run(
        *["dvc", "exp", "run", "-S", "train.learning_rate=0.02", "-S", "data.n_test=59", "-n", "more-tests"]
    ).stdout
    after = runs_by_experiment(queued)
    assert "Stage 'train' is cached" in said
    assert after.keys() == {"rate-1", "rate-2", "more-tests"}
    for name in before:
        assert after[name].to_dictionary() == before[name].to_dictionary()
    old, new = after["rate-1"].data, after["more-tests"].data
    assert new.tags["attention.key"] == old.tags["attention.key"]
    assert new.tags["attention.stages"] == "evaluate,plot"
    assert new.params == old.params | {"data.n_test": "59"}
    assert new.metrics.keys() == old.metrics.keys()
    assert new.metrics["test/mse"] != old.metrics["test/mse"]
    client = open_store(f"sqlite:///{queued.root}/mlflow.db")
    for name in (name for name in new.metrics if name.startswith("train/")):
        first, second = (
            [(m.step, m.value) for m in client.get_metric_history(after[run].info.run_id, name)]
            for run in ("rate-1", "more-tests")
        )
        assert first == second
    numbers = json.loads((queued.root / "data/evaluate/metrics.json").read_text())
    shown = metrics_in_dvc(queued)
    assert flat(numbers) == flat(shown["workspace"]) == flat(shown["more-tests"]) == evaluation(after["more-tests"])
    assert numbers["baseline"]["mean"] == 0.125
