"""The finished pipeline: MLflow shows what the files say, nothing runs twice, and a stage that stops says so."""

import csv
import io
import json
import math
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from conftest import Project, clean_environment, open_store, recorded_runs
from mlflow.entities import Run
from mlflow.tracking import MlflowClient
from ruamel.yaml import YAML

from attention.network import load_model
from attention.params import load_params
from attention.tasks.examples import open_examples
from attention.weights import load_weights
from workbench.stage.outputs import md5

STAGES = ("generate", "train", "evaluate", "plot", "study")
SOONER_OR_LATER = 120  # seconds, far more than anything here takes


def numbers(tree: Mapping[str, Any], prefix: str) -> dict[str, float]:
    """Name each number of metrics.json as MLflow does."""
    found: dict[str, float] = {}
    for name, value in tree.items():
        found |= numbers(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return found


def runs_of(project: Project) -> list[Run]:
    return recorded_runs(open_store(f"sqlite:///{project.root}/mlflow.db"))


@pytest.fixture(scope="module")
def client(finished_project: Project) -> MlflowClient:
    return open_store(f"sqlite:///{finished_project.root}/mlflow.db")


@pytest.fixture(scope="module")
def run(client: MlflowClient) -> Run:
    (run,) = recorded_runs(client)
    return run


class TestMlflowIsAViewOfTheFiles:
    def test_one_run_finished_with_all_three_stages_in_it(self, run: Run) -> None:
        assert run.info.status == "FINISHED"
        assert run.data.tags["attention.stages"] == "train,evaluate,plot"

    def test_history_is_in_mlflow_at_every_step(
        self, finished_project: Project, client: MlflowClient, run: Run
    ) -> None:
        with (finished_project.root / "data/train/history.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row.pop("epoch") for row in rows] == ["0", "1"]
        for name in rows[0]:
            tracked = [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, f"train/{name}")]
            assert tracked == [(step, float(row[name])) for step, row in enumerate(rows)]

    def test_metrics_are_those_of_metrics_json_and_the_last_epoch_and_no_others(
        self, finished_project: Project, client: MlflowClient, run: Run
    ) -> None:
        metrics = numbers(json.loads((finished_project.root / "data/evaluate/metrics.json").read_text()), "test/")
        metrics["test/log10_mse"] = math.log10(metrics["test/mse"])
        for name, value in metrics.items():
            assert [(m.step, m.value) for m in client.get_metric_history(run.info.run_id, name)] == [(0, value)]
        trained = {f"train/{name}" for name in ("mse", "normalized", "effective", "accuracy")}
        assert run.data.metrics.keys() == metrics.keys() | trained

    def test_parameters_are_those_of_params_yaml_and_of_the_model(self, finished_project: Project, run: Run) -> None:
        tree = load_params(finished_project.root / "params.yaml").model_dump(exclude={"tracking", "compute", "study"})
        origin = load_weights(finished_project.root / "data/train/model.safetensors").origin
        given = {key: value for key, value in numbers(tree, "").items() if value is not None}  # null: no such option
        wanted = given | origin["parameters"]  # the model knows which engine `auto` was
        assert wanted.keys() == given.keys()
        assert run.data.params == {key: json.dumps(value).strip('"') for key, value in wanted.items()}

    def test_data_sets_have_the_digests_of_dvc_lock(self, finished_project: Project, run: Run) -> None:
        lock = YAML(typ="safe").load(finished_project.root / "dvc.lock")
        locked = {Path(out["path"]).stem: out["md5"] for out in lock["stages"]["generate"]["outs"]}
        assert run.inputs is not None
        tracked = {i.dataset.name: i.dataset.digest for i in run.inputs.dataset_inputs}
        assert tracked == {name: locked[name] for name in ("train", "test")}

    def test_the_tags_say_where_the_run_comes_from(self, finished_project: Project, run: Run) -> None:
        weights = load_weights(finished_project.root / "data/train/model.safetensors")
        first_commit = finished_project.run("git", "rev-parse", "HEAD~1").stdout.strip()  # the second holds the results
        assert (
            run.data.tags.items()
            >= {
                "attention.key": weights.key,
                "attention.evaluation": md5(finished_project.root / "data/evaluate/metrics.json"),
                "mlflow.source.git.commit": first_commit,
                "git.dirty": "false",
                "dvc.stage": "train",
                "python": sys.version.partition(" ")[0],
                "mlflow": mlflow.__version__,
            }.items()
        )

    def test_the_artifacts_are_the_files(
        self, finished_project: Project, client: MlflowClient, run: Run, tmp_path: Path
    ) -> None:
        client.download_artifacts(run.info.run_id, "", str(tmp_path))
        copies = {p.relative_to(tmp_path).as_posix(): p for p in tmp_path.rglob("*") if p.is_file()}
        files = {
            f"{folder}/{name}"
            for folder, some in {
                "train": ("model.safetensors", "history.csv", "attention.csv"),
                "evaluate": ("metrics.json", "attention.csv", "recovery.csv", "faithfulness.csv"),
                "plot": ("attention.png", "mse.png", "growth.png"),
            }.items()
            for name in some
        }
        assert files <= copies.keys()
        for name in files:
            assert copies[name].read_bytes() == (finished_project.root / "data" / name).read_bytes(), name
        pictures = sorted(name.split("+")[2] for name in copies if name.startswith("images/attention+step+"))
        assert set(pictures) == {"0", "1"}
        with (finished_project.root / "data/evaluate/attention.csv").open(newline="") as file:
            table = list(csv.reader(file))
        shown = json.loads(copies["attention.json"].read_text())
        assert shown["columns"] == table[0]
        in_mlflow, in_csv = np.array(shown["data"], np.float64), np.array(table[1:], np.float64)
        np.testing.assert_allclose(in_mlflow, in_csv, rtol=1e-7, atol=1e-10)  # MLflow's JSON has ten decimals

    def test_the_run_is_called_by_what_differs_and_says_where_its_figure_is(
        self, client: MlflowClient, run: Run
    ) -> None:
        assert run.info.run_name == (
            "embedding, n_train 211, n_test 53, seq_len 7, n_contexts 3, true_attention 2 6 3, epochs 2, "
            "learning_rate 0.01, seed 0"
        )
        about = run.data.tags["mlflow.note.content"]
        figure = f"get-artifact?path=plot/attention.png&run_uuid={run.info.run_id}"
        assert f"[True and learned attention]({figure})" in about
        assert f"`attention restore {run.info.run_id} DIR`" in about
        experiment = client.get_experiment(run.info.experiment_id)
        assert "Select runs and press *Compare*" in experiment.tags["mlflow.note.content"]

    def test_the_network_is_the_newest_version_of_the_registered_model(self, client: MlflowClient, run: Run) -> None:
        (version,) = client.search_model_versions("name = 'attention-network'")
        assert run.outputs is not None
        (output,) = run.outputs.model_outputs
        assert (version.run_id, version.source) == (run.info.run_id, f"models:/{output.model_id}")
        assert version.description == run.info.run_name.replace("n_test 53, ", "")  # which training does not know
        link = client.get_logged_model(output.model_id).tags["mlflow.modelVersions"]
        assert json.loads(link) == [{"name": "attention-network", "version": 1}]

    @pytest.mark.parametrize("rows", [1, 2, 9])
    def test_the_logged_model_predicts_what_the_model_file_predicts(
        self, finished_project: Project, run: Run, rows: int
    ) -> None:
        network = load_model(finished_project.root / "data/train/model.safetensors")
        inputs, contexts = torch.rand(rows, 7, generator=torch.Generator().manual_seed(1)), torch.arange(rows) % 3
        assert run.outputs is not None
        (output,) = run.outputs.model_outputs
        before = mlflow.get_tracking_uri()
        mlflow.set_tracking_uri(f"sqlite:///{finished_project.root}/mlflow.db")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of torch.export and MLflow, about themselves
                logged = mlflow.pytorch.load_model(f"models:/{output.model_id}")
        finally:
            mlflow.set_tracking_uri(before)
        with torch.no_grad():
            assert torch.equal(logged(inputs, contexts), network(inputs, contexts))
        assert output.step == 1


class TestTheStagesAgree:
    def test_evaluates_error_is_that_of_the_network(self, finished_project: Project) -> None:
        data = finished_project.root / "data"
        (test,) = open_examples(data / "generate", "test").blocks()
        network = load_model(data / "train/model.safetensors").double()
        with torch.no_grad():
            predicted = network(torch.tensor(test.values, dtype=torch.float64), torch.tensor(test.queries))
        mse = float(np.mean((predicted.numpy() - test.targets) ** 2))
        assert json.loads((data / "evaluate/metrics.json").read_text())["mse"] == pytest.approx(mse, rel=1e-6)

    def test_evaluates_recovery_is_that_of_the_last_epoch(self, finished_project: Project) -> None:
        data = finished_project.root / "data"
        *_, last = csv.DictReader(io.StringIO((data / "train/history.csv").read_text()))
        recovery = json.loads((data / "evaluate/metrics.json").read_text())["recovery"]
        del recovery["entropy"]  # which is not followed while training
        assert recovery == pytest.approx({name: float(last[name]) for name in recovery}, rel=1e-6)

    def test_the_last_epoch_of_the_attention_table_is_the_evaluated_attention(self, finished_project: Project) -> None:
        data = finished_project.root / "data"
        grown, final = (
            list(csv.DictReader(io.StringIO((data / name).read_text())))
            for name in ("train/attention.csv", "evaluate/attention.csv")
        )
        last = [float(row["attention"]) for row in grown if row["epoch"] == "1"]
        assert last == pytest.approx([float(row["attention"]) for row in final], rel=1e-6)


class TestNothingIsDoneTwice:
    def test_a_second_repro_runs_nothing_and_changes_nothing(self, finished_project: Project) -> None:
        before = finished_project.outputs()
        said = finished_project.run("dvc", "repro").stdout
        assert [line for line in said.splitlines() if "Running" in line] == []
        assert "Data and pipelines are up to date." in said
        assert finished_project.outputs() == before
        assert finished_project.run("git", "status", "--porcelain").stdout == ""
        assert len(runs_of(finished_project)) == 1


class TestOtherSizes:
    @pytest.mark.parametrize(
        "values",
        [
            {"data.seq_len": 17, "data.n_contexts": 11, "data.true_attention": "random"},
            {"data.n_contexts": 1, "data.true_attention": [4]},
            {"data.seq_len": 1, "data.true_attention": [0, 0, 0]},
        ],
        ids=["more contexts than panels", "one context", "one position"],
    )
    def test_other_sizes_train_and_draw(self, project: Project, values: Mapping[str, Any]) -> None:
        project.set_params(values)
        said = [project.run("python", f"stages/{stage}.py").stderr for stage in STAGES]
        assert "warning: MLflow cannot" not in "".join(said)
        pictures = {name for name in project.outputs() if name.startswith("data/plot/")}
        stills = {f"{name}.png" for name in ("attention", "learned", "map", "mse", "growth", "epochs/0", "epochs/1")}
        assert pictures == {f"data/plot/{name}" for name in (*stills, "epochs.gif", "report.html")}
        metrics = json.loads((project.root / "data/evaluate/metrics.json").read_text())
        assert 0 <= metrics["recovery"].pop("entropy") <= math.log(values.get("data.seq_len", 7)) + 1e-9
        assert all(0 <= value <= 1 for value in metrics["recovery"].values())
        (run,) = runs_of(project)
        assert run.data.params["data.seq_len"] == str(values.get("data.seq_len", 7))
        assert run.data.metrics["test/mse"] == metrics["mse"]
        assert run.outputs is not None
        assert len(run.outputs.model_outputs) == 1


class TestAStageThatCannotGoOn:
    @pytest.fixture
    def stopped(self, finished_project: Project, tmp_path: Path) -> Project:
        """A project with results, and a store without runs."""
        return finished_project.copy(tmp_path / "project", ".git", ".dvc")

    @pytest.mark.parametrize("stage", STAGES)
    def test_bad_parameters_are_told_a_line_each_and_nothing_is_touched(self, stopped: Project, stage: str) -> None:
        before = stopped.outputs()
        stopped.set_params({"train.epochs": "4", "data.n_test": 0, "model.attention": "embeding"})
        done = stopped.attempt("python", f"stages/{stage}.py", PYTHONWARNINGS="ignore")
        assert done.returncode == 1
        assert done.stdout == ""
        lines = done.stderr.splitlines()
        assert [line.split(": ")[:2] for line in lines] == [
            ["params.yaml", "data.n_test"],
            ["params.yaml", "model.attention"],
            ["params.yaml", "train.epochs"],
        ]
        assert all("got " in line and "allowed: " in line for line in lines)
        assert stopped.outputs() == before
        assert not (stopped.root / "mlflow.db").exists()

    def test_what_dvc_removed_before_a_refusal_comes_back_as_the_message_says(
        self, finished_project: Project, tmp_path: Path
    ) -> None:
        """DVC removes a stage's outputs before it runs it, whatever the stage then says."""
        project = finished_project.copy(tmp_path / "project")
        before, params = project.outputs(), (project.root / "params.yaml").read_bytes()
        project.set_params({"train.epochs": 0})
        refused = project.attempt("dvc", "repro", "--quiet", PYTHONWARNINGS="ignore")
        assert refused.returncode != 0
        assert refused.stderr.splitlines()[:2] == [
            "params.yaml: train.epochs: got 0; allowed: a whole number from 1 to 10000",
            "data/train: DVC removed the earlier outputs before this run; `dvc repro` with the earlier parameters "
            "and code brings them back from its cache",
        ]
        assert {name for name in before if name not in project.outputs()} == {
            f"data/train/{name}" for name in ("model.safetensors", "history.csv", "attention.csv")
        }
        (project.root / "params.yaml").write_bytes(params)
        project.run("dvc", "repro", "--quiet")
        assert project.outputs() == before
        assert not (project.root / "mlflow.db").exists(), "nothing ran again"

    def test_a_training_that_fails_is_told_in_one_line_and_its_run_is_marked_failed(self, stopped: Project) -> None:
        path = stopped.root / "data/generate/train.parquet"
        table = pq.read_table(path)
        wrong = table["y"].to_numpy().copy()
        wrong[-1] = 0.5  # found when that row is reached: the run has begun by then
        pq.write_table(
            table.set_column(table.num_columns - 1, table.schema.field("y"), pa.array(wrong)), path, compression="none"
        )
        before = stopped.outputs()
        done = stopped.attempt("python", "stages/train.py", PYTHONWARNINGS="ignore")
        assert done.returncode == 1
        (message,) = done.stderr.splitlines()
        assert message.startswith("data/generate/train.parquet: row 210: y is 0.5")
        assert stopped.outputs() == before
        (run,) = runs_of(stopped)
        assert run.info.status == "FAILED"
        assert run.data.tags["error"] == f"train: DataError: {message}"

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
    def test_an_interrupted_training_is_marked_killed_and_leaves_no_process(
        self, stopped: Project, number: signal.Signals, tmp_path: Path
    ) -> None:
        before = stopped.outputs()
        stopped.set_params({"train.epochs": 10_000, "train.engine": "torch"})
        with (tmp_path / "stdout").open("w") as stdout, (tmp_path / "stderr").open("w") as stderr:
            training = subprocess.Popen(
                ["python", "stages/train.py"],
                cwd=stopped.root,
                env=clean_environment(PYTHONWARNINGS="ignore"),
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
            )
        try:
            deadline = time.monotonic() + SOONER_OR_LATER
            while "epoch 0" not in (tmp_path / "stdout").read_text() and time.monotonic() < deadline:
                assert training.poll() is None, (tmp_path / "stderr").read_text()
                time.sleep(0.1)
            training.send_signal(number)
            assert training.wait(SOONER_OR_LATER) == 130
            with pytest.raises(ProcessLookupError):
                os.killpg(training.pid, 0)
        finally:
            if training.poll() is None:
                os.killpg(training.pid, signal.SIGKILL)
                training.wait()
        assert (tmp_path / "stderr").read_text() == "interrupted; the same command starts the stage again\n"
        assert stopped.outputs() == before
        (run,) = runs_of(stopped)
        assert run.info.status == "KILLED"
        assert run.data.tags["error"] == "train: interrupted"
        assert run.data.metrics.keys() == {"train/mse", "train/normalized", "train/effective", "train/accuracy"}
