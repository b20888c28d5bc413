"""The table of all runs: DVC's experiments joined with MLflow's runs, real ones."""

import csv
import io
import json
import re
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from conftest import LABORATORY, Project

from workbench.command import recorded
from workbench.command.recorded import recorded_runs

COLUMNS = ["name", "what", "mse", "normalized", "effective", "accuracy", "state", "where"]
SIZES = "n_train 211, n_test 53, seq_len 7, n_contexts 3, true_attention 2 6 3"


def runs(project: Project, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    path = str(project.root / "stages")
    quiet = {"PYTHONWARNINGS": "ignore"} | environment
    return project.attempt("python", "-m", "attention.project", "runs", *arguments, PYTHONPATH=path, **quiet)


def listed(project: Project, *arguments: str) -> list[dict[str, Any]]:
    done = runs(project, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def names(project: Project, *arguments: str) -> list[str]:
    return [one["name"] for one in listed(project, *arguments)]


@pytest.fixture(scope="module")
def project(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """One training of its own and five experiments: one twice, one not in MLflow, one of the study alone."""
    project = finished_project.copy(tmp_path_factory.mktemp("listing") / "project")
    project.run("dvc", "repro", "--quiet", "--force", "evaluate")
    for name, change in {
        "soft": "model.attention=softmax",
        "slow": "train.learning_rate=0.003",
        "again": "train.learning_rate=0.003",
        "torch": "train.engine=torch",
        "alike": "study.seeds=4",
    }.items():
        gone = {"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"} if name == "torch" else {}
        project.run("dvc", "exp", "run", "--quiet", "--name", name, "-S", change, "evaluate", **gone)
        project.run("git", "checkout", "--quiet", ".")
    return project


def test_every_run_is_one_row_that_says_what_it_is_and_where(project: Project) -> None:
    rows = {one["name"]: one for one in listed(project)}
    own = "committed"
    assert {name: one["what"] for name, one in rows.items()} == {
        own: f"embedding, {SIZES}, epochs 2, learning_rate 0.01, seed 0",
        "soft": f"softmax, {SIZES}, epochs 2, learning_rate 0.01, seed 0",
        "slow": f"embedding, {SIZES}, epochs 2, learning_rate 0.003, seed 0",
        "again": f"embedding, {SIZES}, epochs 2, learning_rate 0.003, seed 0",
        "torch": f"embedding, {SIZES}, epochs 2, learning_rate 0.01, engine torch, seed 0",
        "alike": f"embedding, {SIZES}, epochs 2, learning_rate 0.01, seed 0",
    }
    assert {name: one["state"] for name, one in rows.items()} == {
        own: "computed",
        "soft": "computed",
        "slow": "computed",
        "again": "cached",
        "torch": "not in MLflow",
        "alike": "as committed",
    }
    assert rows["again"]["run"] == rows["slow"]["run"]
    assert rows[own]["where"] == f"MLflow {rows[own]['run'][:8]}"
    assert rows["soft"]["where"] == f"DVC {rows['soft']['commit'][:7]}, MLflow {rows['soft']['run'][:8]}"
    assert rows["torch"]["where"] == f"DVC {rows['torch']['commit'][:7]}"


def test_its_numbers_are_those_of_the_experiments_metrics(project: Project) -> None:
    for one in listed(project):
        where = f"{one['commit']}:" if one["commit"] else ":"
        metrics = json.loads(project.run("git", "show", f"{where}data/evaluate/metrics.json").stdout)
        shown = ("normalized", "effective", "accuracy")
        assert [one["mse"], *(one[name] for name in shown)] == [
            metrics["mse"],
            *(metrics["recovery"][name] for name in shown),
        ]


def test_sorted_and_filtered_by_any_field(project: Project) -> None:
    everything = listed(project)
    by_error = [one["name"] for one in sorted(everything, key=lambda one: one["mse"])]
    assert sorted(names(project, "--sort", "mse")) == sorted(by_error)
    errors = [one["mse"] for one in listed(project, "--sort", "mse")]
    assert errors == sorted(errors)
    assert [one["mse"] for one in listed(project, "--sort", "mse", "--descending")] == errors[::-1]
    assert names(project, "--filter", "attention=softmax") == ["soft"]
    assert set(names(project, "--filter", "train.learning_rate<5e-3")) == {"slow", "again"}
    assert names(project, "--filter", "learning_rate<=0.003", "--filter", "state=cached") == ["again"]
    middle = errors[2]
    assert {one["name"] for one in everything if one["mse"] > middle} == set(
        names(project, "--filter", f"mse>{middle}")
    )
    assert names(project, "--filter", "state!=computed", "--sort", "name") == ["again", "alike", "torch"]


def test_a_commit_and_a_run_are_found_by_how_they_begin(project: Project) -> None:
    (soft,) = listed(project, "--filter", "name=soft")
    assert names(project, "--filter", f"commit={soft['commit'][:7]}") == ["soft"]
    assert names(project, "--filter", f"run={soft['run'][:8]}", "--filter", "state=computed") == ["soft"]
    assert "soft" not in names(project, "--filter", f"commit!={soft['commit'][:7]}")


def test_where_no_run_meets_a_condition_it_is_said_what_there_is(project: Project) -> None:
    done = runs(project, "--filter", "state=computed", "--filter", "attention=sofmax")
    assert (done.returncode, done.stdout) == (0, "")
    computed = len(listed(project, "--filter", "state=computed"))
    assert done.stderr == (
        f"--filter: 'attention=sofmax' leaves none of {computed} runs; model.attention: embedding, softmax\n"
    )
    assert runs(project, "--json", "--filter", "name=none").stdout == "[]\n"


def test_the_newest_is_first(project: Project) -> None:
    assert names(project)[:4] == ["alike", "torch", "again", "slow"]


def test_as_a_table_and_as_csv(project: Project) -> None:
    table = runs(project, "--sort", "name").stdout.splitlines()
    assert table[0].split() == COLUMNS
    assert len(table) == 7
    (soft,) = (line for line in table if line.startswith("soft "))
    assert re.search(r"  computed +DVC [0-9a-f]{7}, MLflow [0-9a-f]{8}$", soft)
    rows = list(csv.DictReader(io.StringIO(runs(project, "--csv").stdout)))
    assert [float(row["mse"]) for row in rows] == [one["mse"] for one in listed(project)]
    assert {row["name"]: row["train.learning_rate"] for row in rows}["slow"] == "0.003"


def test_what_is_read_from_the_file_is_what_mlflow_says(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which gives them by pages."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{project.root}/mlflow.db")
    read = recorded_runs(LABORATORY, project.root)
    assert len(read) == 3

    def other(_path: Path, _name: str) -> list[tuple[Any, ...]]:
        raise sqlite3.OperationalError("no such table: of another MLflow")

    monkeypatch.setattr(recorded, "_read", other)
    monkeypatch.setattr(recorded, "AT_ONCE", 2)
    assert read == recorded_runs(LABORATORY, project.root)


def test_without_a_store_dvc_s_half_is_listed(project: Project) -> None:
    for store, warnings in ((f"sqlite:///{project.root}/none.db", 0), ("http://127.0.0.1:9", 1)):
        done = runs(project, "--json", MLFLOW_TRACKING_URI=store)
        assert {one["name"] for one in json.loads(done.stdout)} == {"soft", "slow", "again", "torch", "alike"}
        assert {one["state"] for one in json.loads(done.stdout)} == {"not in MLflow"}
        lines = done.stderr.splitlines()
        assert len(lines) == warnings
        assert all(line.startswith("warning: MLflow cannot be reached, its runs are missing here (") for line in lines)
    assert not (project.root / "none.db").exists()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--sort", "mze"], "--sort: got 'mze'; allowed: name, what, mse, "),
        (["--filter", "learningrate<1"], "--filter: got 'learningrate'; allowed: name, what, mse, "),
        (
            ["--filter", "mse"],
            "--filter: got 'mse'; allowed: a field, one of <= >= != < > =, and a value, as in 'mse<1e-4'\n",
        ),
        (
            ["--filter", "effective>=high"],
            "--filter: got 'effective>=high'; allowed for effective: a number after >=, as in 'effective>=1e-4'\n",
        ),
        (["--filter", "what<3"], "--filter: got 'what<3'; allowed for what: = and !=\n"),
        (["--descending"], "--descending: got no field to sort by; name one: --sort mse --descending\n"),
    ],
)
def test_what_is_no_field_is_refused_with_what_there_is(project: Project, arguments: list[str], told: str) -> None:
    done = runs(project, *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(told)
    assert len(done.stderr.splitlines()) == 1
    if "learningrate<1" in arguments:
        assert done.stderr.endswith("; did you mean learning_rate?\n")


def test_an_experiment_of_the_study_alone_has_no_result_and_cannot_be_restored(project: Project) -> None:
    """Its params.yaml is new, its model and its error are those of the commit before."""
    project.run("dvc", "exp", "run", "--quiet", "--name", "part", "-S", "data.n_train=223", "study")
    project.run("git", "checkout", "--quiet", ".")
    (one,) = listed(project, "--filter", "name=part")
    assert (one["what"].partition(", n_test")[0], one["state"], one["mse"]) == (
        "embedding, n_train 223",
        "none",
        None,
    )
    path = str(project.root / "stages")
    command = ("python", "-m", "attention.project", "restore", "part", str(project.root / "restored"))
    refused = project.attempt(*command, PYTHONPATH=path, PYTHONWARNINGS="ignore")
    project.run("dvc", "exp", "remove", "part")
    assert refused.returncode == 1
    assert refused.stderr == (
        "part: generate did not run in this experiment, so its dvc.lock is not of its params.yaml; "
        "allowed: an experiment of the whole pipeline; `dvc exp apply part` and `dvc repro` make it one\n"
    )
    assert not (project.root / "restored").exists()
