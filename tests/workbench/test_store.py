"""Where runs are recorded, and that those who start together on no store all get in."""

import csv
import os
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, Race, open_store, recorded_runs
from sqlalchemy import event
from sqlalchemy.engine import Engine

from attention.tracking.experiment import TRACKED
from workbench.stage.params import TrackingParams
from workbench.tracking.local import READY, dump_store
from workbench.tracking.run import start_run
from workbench.tracking.tracked import Experiment
from workbench.tracking.uri import tracking_uri


def test_eight_trainings_at_once_on_no_store_all_succeed(race: Race) -> None:
    said = [(project.root / "said.txt").read_text() for project in race.copies]
    assert race.statuses == [0] * 8, "\n".join(said)
    assert [text for text in said if "MLflow cannot be reached" in text] == []


def test_each_of_the_eight_is_one_finished_run_with_every_metric_at_every_step(race: Race) -> None:
    client = open_store(race.store)
    runs = {int(run.data.params["seed"]): run for run in recorded_runs(client)}
    assert sorted(runs) == list(range(8)) == sorted(int(run.data.params["seed"]) for run in recorded_runs(client))
    for seed, project in enumerate(race.copies):
        run = runs[seed]
        assert run.info.status == "FINISHED"
        assert run.outputs is not None
        assert len(run.outputs.model_outputs) == 1
        with (project.root / "data/train/history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        for name in rows[0].keys() - {"epoch"}:
            tracked = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, f"train/{name}")]
            assert tracked == [(int(row["epoch"]), float(row[name])) for row in rows]


@pytest.mark.filterwarnings("ignore")  # MLflow's own, in this process
def test_a_data_set_that_another_run_writes_at_the_same_moment_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """MLflow looks whether it is there, and then writes it; here another one is always sooner."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it; it goes when the test ends
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "test.parquet").write_text("data")
    sooner: list[str] = []

    def write(_: Any, __: Any, statement: str, parameters: tuple[Any, ...], *___: Any) -> None:
        if statement.startswith("INSERT INTO datasets ") and not sooner:
            sooner.append(statement)
            with closing(sqlite3.connect("mlflow.db")) as store:
                store.execute(statement, ("0" * 32, *parameters[1:]))
                store.commit()

    event.listen(Engine, "before_cursor_execute", write)
    try:
        tracked = replace(TRACKED, run_name=lambda *_: "a run")
        with start_run(tracked, TrackingParams(experiment="attention", required=False), Experiment("key", {})) as run:
            run.log_data(tmp_path / "test.parquet", "testing", {})
    finally:
        event.remove(Engine, "before_cursor_execute", write)
    assert sooner
    assert not run.lost
    (recorded,) = recorded_runs(open_store(f"sqlite:///{tmp_path}/mlflow.db"))
    assert recorded.inputs is not None
    assert [one.dataset.name for one in recorded.inputs.dataset_inputs] == ["test"]


@pytest.mark.parametrize(
    ("uri", "dvc_root", "wanted"),
    [
        (None, None, "sqlite:///{cwd}/mlflow.db"),
        ("", None, "sqlite:///{cwd}/mlflow.db"),
        (None, "/the/project", "sqlite:////the/project/mlflow.db"),
        ("sqlite:///runs/store.db", None, "sqlite:///{cwd}/runs/store.db"),
        ("sqlite:///runs/store.db", "/the/project", "sqlite:////the/project/runs/store.db"),
        ("sqlite:////elsewhere/store.db", "/the/project", "sqlite:////elsewhere/store.db"),
        ("http://127.0.0.1:5000", "/the/project", "http://127.0.0.1:5000"),
        ("https://user@host/path:///odd", "/the/project", "https://user@host/path:///odd"),
        ("postgresql://host/runs", None, "postgresql://host/runs"),
    ],
)
def test_the_store_is_at_the_root_of_the_real_project_unless_it_is_named(
    uri: str | None, dvc_root: str | None, wanted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    for variable, value in {"MLFLOW_TRACKING_URI": uri, "DVC_ROOT": dvc_root}.items():
        if value is None:
            monkeypatch.delenv(variable, raising=False)
        else:
            monkeypatch.setenv(variable, value)
    assert tracking_uri() == wanted.format(cwd=tmp_path.as_posix())


def test_the_ready_store_is_what_this_mlflow_would_make(tmp_path: Path) -> None:
    """Should a new MLflow have a new schema, this shows what to write; until then it would migrate by itself."""
    made = tmp_path / "mlflow.db"
    Project(tmp_path).run("mlflow", "db", "upgrade", f"sqlite:///{made}")
    assert statements(dump_store(made)) == statements(READY.read_text())


def statements(sql: str) -> list[str]:
    """Return the lines in one order: MLflow's migrations write the checks of a table in any."""
    return sorted(line.strip().rstrip(", ") for line in sql.splitlines())


def test_another_mlflow_than_the_locked_one_makes_its_own_store(project: Project) -> None:
    ready = project.root / "stages/workbench/tracking/ready_store.sql"
    ready.write_text(
        ready.read_text().replace("-- 3.", "-- 2.", 1).replace("CREATE TABLE runs", "CREATE TABLE nonsense")
    )
    project.stage("generate", "train")
    (run,) = recorded_runs(open_store(f"sqlite:///{project.root}/mlflow.db"))
    assert run.info.status == "FINISHED"


def test_a_user_whose_number_has_no_name_is_called_by_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that runs under any number."""
    import pwd

    from workbench.tracking.recorder import common_tags

    def nobody(number: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    assert common_tags(TRACKED)["mlflow.user"] == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert common_tags(TRACKED)["mlflow.user"] == str(os.getuid())
