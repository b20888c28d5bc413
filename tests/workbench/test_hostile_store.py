"""What `attention runs` makes of stores and experiments that anybody may have written."""

import csv
import hashlib
import io
import json
import math
import sqlite3
import subprocess
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from conftest import LABORATORY, ROOT, clean_environment

from attention.tracking.naming import DEFAULTS
from workbench.command.listing import Listed, list_runs
from workbench.command.recorded import Recorded, recorded_runs
from workbench.command.runs import Row, fields_of, runs, select
from workbench.tracking.local import READY

FIELDS = fields_of(LABORATORY)
MEASURED = {"mse": 0.5, "recovery": {"normalized": 0.1, "effective": 0.2, "accuracy": 0.3}}
PARAMS = """
seed: {seed}
data: {{n_train: 10, n_test: 5, seq_len: 8, n_contexts: 5, true_attention: [2, 7, 3, 5, 1]}}
model: {{attention: embedding}}
train: {{epochs: 4}}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with params.yaml and a store of one run of ours."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    git(tmp_path, "init", "--quiet")
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as store:
        store.executescript(READY.read_text(encoding="utf-8"))
        store.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (1, ?, ?, 'active')",
            ["attention", (tmp_path / "mlruns/attention").as_uri()],
        )
        store.commit()
    add_run(tmp_path, "ours", metrics={"test/mse": 0.25})
    return tmp_path


def add_run(
    root: Path,
    run: str,
    start: Any = 1000,
    params: Mapping[str, Any] | None = None,
    tags: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
) -> None:
    """Write a run as whoever can write to the store could."""
    ours = {"model.attention": "embedding", "seed": "0", **{key: json.dumps(value) for key, value in DEFAULTS.items()}}
    with closing(sqlite3.connect(root / "mlflow.db")) as store:
        store.execute("PRAGMA ignore_check_constraints = ON")
        store.execute(
            "INSERT INTO runs (run_uuid, name, status, start_time, lifecycle_stage, experiment_id, artifact_uri) "
            "VALUES (?, ?, 'FINISHED', ?, 'active', 1, ?)",
            [run, run, start, (root / "mlruns/attention" / run / "artifacts").as_uri()],
        )
        for key, value in (ours | {**(params or {})}).items():
            store.execute("INSERT INTO params (run_uuid, key, value) VALUES (?, ?, ?)", [run, key, value])
        for key, value in {"attention.key": run, **(tags or {})}.items():
            store.execute("INSERT INTO tags (run_uuid, key, value) VALUES (?, ?, ?)", [run, key, value])
        for key, value in (metrics or {}).items():
            nan = isinstance(value, float) and math.isnan(value)
            store.execute(
                "INSERT INTO latest_metrics (run_uuid, key, value, timestamp, step, is_nan) VALUES (?, ?, ?, 0, 0, ?)",
                [run, key, 0 if nan else value, nan],
            )
        store.commit()


FOREIGN: dict[str, dict[str, Any]] = {
    "brackets": {"params": {"data.n_train": "[" * 100_000}},
    "braces": {"params": {"seed": '{"a":' * 500 + "1" + "}" * 500}},
    "lists": {"params": {"data.true_attention": "[" * 500 + "]" * 500}},
    "a function that is a list": {"params": {"model.attention": "[1]"}},
    "digits": {"params": {"seed": "9" * 10_000}},
    "no start": {"start": None},
    "a start that is a text": {"start": "yesterday"},
    "a start that is bytes": {"start": b"\xff"},
    "a start far away": {"start": 2**62},
    "a parameter that is bytes": {"params": {"seed": b"\xff\xfe"}},
    "a parameter that is no UTF-8": {"params": {"model.attention": "CAST"}},
    "a metric that is a text": {"metrics": {"test/mse": "small"}},
    "a metric that is bytes": {"metrics": {"test/mse": b"1"}},
    "a metric that is infinite": {"metrics": {"test/mse": float("inf")}},
    "tags that are bytes": {"tags": {"dvc.exp_name": b"\xff", "mlflow.source.name": b""}},
    "NaN as a parameter": {"params": {"seed": "NaN", "data.n_train": "[NaN, Infinity]"}},
    "a sequence length alone": {"params": {"data.seq_len": "3", "data.true_attention": "null"}},
    "escapes": {"params": {"model.attention": "\x1b[2Jgone\nname  what"}, "tags": {"dvc.exp_name": "\x1b]0;x\x07\n"}},
}


@pytest.mark.parametrize("what", FOREIGN)
def test_one_foreign_run_does_not_end_the_list(what: str, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_run(project, "foreign", **FOREIGN[what])
    if "UTF-8" in what:
        with closing(sqlite3.connect(project / "mlflow.db")) as store:
            store.execute("UPDATE params SET value = CAST(x'fffe41' AS TEXT) WHERE value = 'CAST'")
            store.commit()
    listed = recorded_runs(LABORATORY, project)
    assert "ours" in {one.run for one in listed}
    left_out = 2 - len(listed)
    assert len(capsys.readouterr().err.splitlines()) == left_out  # and counted
    said = {form: printed(project, capsys, form) for form in ("table", "csv", "json")}
    for text in said.values():
        assert all(character.isprintable() or character == "\n" for character in text)
    assert len(said["table"].splitlines()) == 1 + len(listed)
    assert len([*csv.DictReader(io.StringIO(said["csv"]))]) == len(json.loads(said["json"])) == len(listed)
    for field in ("mse", "seed", "what", "model.attention", "data.n_train"):
        assert len(select(FIELDS, rows(listed), [], field, descending=True)) == len(listed)


def printed(root: Path, capsys: pytest.CaptureFixture[str], output: str) -> str:
    """Return what `attention runs` prints."""
    runs(LABORATORY, root, [], None, descending=False, output=output)
    return capsys.readouterr().out


def rows(recorded: list[Recorded]) -> list[Row]:
    """List the runs as where DVC has no experiments."""
    listed = [Listed("", "", run.run, "computed", run.started, run.params, run.measures) for run in recorded]
    return [one.fields(LABORATORY) for one in listed]


@pytest.mark.parametrize("params", [{}, {"seed": "[" * 100_000}])
def test_a_run_of_another_project_in_the_same_experiment_is_none_of_ours(
    params: Mapping[str, str], project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It has not our key; so what its parameters are is nobody's business."""
    add_run(project, "theirs", params=params)
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        store.execute("UPDATE tags SET key = 'words.key' WHERE run_uuid = 'theirs'")
        store.commit()
    assert [run.run for run in recorded_runs(LABORATORY, project)] == ["ours"]
    assert capsys.readouterr().err == ""


def test_ten_foreign_runs_are_counted_in_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(10):
        add_run(project, f"foreign{number}", metrics={"test/mse": "small"})
    assert [run.run for run in recorded_runs(LABORATORY, project)] == ["ours"]
    assert capsys.readouterr().err == ("warning: 10 runs in MLflow are not as this project writes them, and left out\n")


def test_a_metric_that_is_nan_is_the_last_and_meets_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    add_run(project, "nan", metrics={"test/mse": math.nan})
    add_run(project, "zero", metrics={"test/mse": 0.0})
    listed = rows(recorded_runs(LABORATORY, project))
    for descending in (False, True):
        *others, last = select(FIELDS, listed, [], "mse", descending=descending)
        assert last["run"] == "nan"
        assert {one["run"] for one in others} == {"zero", "ours"}
    for condition in ("mse<1", "mse>-1", "mse=0", "mse!=0", "mse=nan", "mse!=nan"):
        found = select(FIELDS, listed, [condition], None, descending=False)
        assert "nan" not in {one["run"] for one in found}, condition
    told = json.loads(printed(project, capsys, "json"))
    assert {row["run"]: row["mse"] for row in told} == {"nan": None, "zero": 0.0, "ours": 0.25}
    table = printed(project, capsys, "table")
    assert {line.split("  ")[2] for line in table.splitlines()[1:]} == {"nan", "0", "0.25"}


def test_of_a_deleted_experiment_it_is_said_what_brings_it_back(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with closing(sqlite3.connect(project / "mlflow.db")) as store:
        store.execute("UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = 1")
        store.commit()
    assert recorded_runs(LABORATORY, project) == []
    said = capsys.readouterr().err
    assert "its experiment 'attention' was deleted; `MLFLOW_TRACKING_URI=" in said
    assert "mlflow experiments restore -x 1` brings it back" in said
    assert len(said.splitlines()) == 1


def git(root: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=root, env=clean_environment(), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def lock(**changes: str) -> str:
    """Return a dvc.lock of all three stages whose digests agree, but for changes."""
    digest = hashlib.md5(json.dumps(MEASURED).encode(), usedforsecurity=False).hexdigest()
    known = {"made": "m", "evaluated": "m", "seed": "0", "metrics": digest} | changes
    return """
schema: '2.0'
stages:
  train:
    cmd: python stages/train.py
    params: {{params.yaml: {{seed: {seed}}}}}
    outs: [{{path: data/train/model.safetensors, md5: {made}}}]
  evaluate:
    cmd: python stages/evaluate.py
    deps: [{{path: data/train/model.safetensors, md5: {evaluated}}}]
    outs: [{{path: data/evaluate/metrics.json, md5: {metrics}}}]
""".format(**known)


@pytest.fixture(params=["", "below/öne more"])
def repository(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The project's folder in a repository, at its root or below."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")
    folder = tmp_path / str(request.param)
    (folder / "data/evaluate").mkdir(parents=True)
    (folder / "data/evaluate/metrics.json").write_text(json.dumps(MEASURED), encoding="utf-8")
    return folder


def experiment(root: Path, name: str, dvc_lock: str, params: str) -> None:
    """Make a DVC experiment: a commit that refs/exps names."""
    (root / "dvc.lock").write_text(dvc_lock, encoding="utf-8")
    (root / "params.yaml").write_text(params, encoding="utf-8")
    git(root, "add", "--all", ".")
    git(root, "commit", "--quiet", "--message", name)
    git(root, "update-ref", f"refs/exps/12/34567890/{name}", "HEAD")


def test_a_number_is_told_only_where_the_evaluated_model_is_the_trained_one(repository: Path) -> None:
    experiment(repository, "whole", lock(), PARAMS.format(seed=0))
    experiment(repository, "train", lock(made="n", seed="5"), PARAMS.format(seed=5))  # `dvc exp run train -S seed=5`
    experiment(repository, "study", lock(), PARAMS.format(seed=6))  # `dvc exp run study -S seed=6`
    experiment(repository, "others", lock(metrics="0" * 32), PARAMS.format(seed=0))  # another's metrics.json
    listed = {one.experiment: one for one in list_runs(LABORATORY, repository, [])}
    assert {name: one.measures.get("mse") for name, one in listed.items()} == {
        "whole": 0.5,
        "train": None,
        "study": None,
        "others": None,
    }
    assert {name: one.state for name, one in listed.items()} == {
        "whole": "not in MLflow",
        "train": "not in MLflow",
        "study": "none",
        "others": "not in MLflow",
    }
    fields = [one.fields(LABORATORY) for one in listed.values()]
    assert [one["name"] for one in select(FIELDS, fields, ["mse<1"], None, descending=False)] == ["whole"]


def test_an_experiment_of_train_alone_has_its_run(repository: Path) -> None:
    experiment(repository, "train", lock(made="n", seed="5"), PARAMS.format(seed=5))
    params = {"model.attention": "embedding", "seed": 5}
    run = Recorded("0" * 32, "FINISHED", 0.0, params, {}, "stages/train.py", "train", "")
    (one,) = list_runs(LABORATORY, repository, [run])
    assert (one.run, one.state, one.measures) == (run.run, "computed", {})


@pytest.mark.parametrize(
    ("dvc_lock", "params"),
    [
        ("<<<<<<< HEAD", PARAMS.format(seed=0)),
        (lock(), "seed: [" * 3000),
        (lock(), "- a\n- list"),
        ("stages: 3", PARAMS.format(seed=0)),
        (lock(), "seed: 0"),
    ],
)
def test_experiments_that_cannot_be_read_are_counted(
    dvc_lock: str, params: str, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment(repository, "whole", lock(), PARAMS.format(seed=0))
    experiment(repository, "odd", dvc_lock, params)
    assert [one.experiment for one in list_runs(LABORATORY, repository, [])] == ["whole"]
    assert capsys.readouterr().err == "warning: 1 DVC experiments cannot be read, and are left out: odd\n"
