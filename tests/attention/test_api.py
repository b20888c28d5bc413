"""The laboratory in Python: the numbers of the pipeline to the last bit, and nothing written."""

import json
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT, SMALL, Project, clean_environment

import attention
from attention.api import KNOWN, run, runs, study
from attention.network import load_model
from attention.params.schema import Params
from attention.weights import load_weights
from cells import run_notebook
from workbench.stage.errors import ParamsError
from workbench.stage.params import known_keys

SMALL_ONES: dict[str, Any] = {key.rpartition(".")[2]: value for key, value in SMALL.items() if "study" not in key}
TOUR = (ROOT / "docs/tour.ipynb").read_text()


class TestRun:
    def test_history_attention_measures_and_weights_are_those_of_the_files(self, finished_project: Project) -> None:
        one, data = run(**SMALL_ONES), finished_project.root / "data"
        history = pd.read_csv(data / "train/history.csv")
        assert {name: values.tolist() for name, values in one.history.items()} == history.drop(columns="epoch").to_dict(
            "list"
        )
        table = pd.read_csv(data / "train/attention.csv")
        assert one.attention.shape == (2, 3, 7)
        assert one.attention.dtype == np.float32
        assert np.array_equal(one.attention.ravel(), table["attention"].astype(np.float32))
        metrics = json.loads((data / "evaluate/metrics.json").read_text())
        assert one.measures == {
            "mse": metrics["mse"],
            **{
                f"{kind}.{name}": value
                for kind in ("recovery", "faithfulness", "baseline")
                for name, value in metrics[kind].items()
            },
        }
        weights = load_weights(data / "train/model.safetensors")
        assert {name: array.tolist() for name, array in one.weights.arrays.items()} == {
            name: array.tolist() for name, array in weights.arrays.items()
        }
        assert one.truth.tolist() == SMALL["data.true_attention"]
        assert one.params == {"seed": 0, **{key: one.params[key] for key in KNOWN.values()}}
        assert one.params["train.epochs"] == 2
        saved, ours = load_model(data / "train/model.safetensors"), one.network()
        assert {name: value.tolist() for name, value in ours.state_dict().items()} == {
            name: value.tolist() for name, value in saved.state_dict().items()
        }

    def test_every_parameter_of_a_training_has_a_name_of_its_own(self) -> None:
        of_training = [key for key in known_keys(Params) if key.startswith(("data.", "model.", "train."))]
        assert sorted(KNOWN.values()) == sorted(of_training)

    def test_what_is_not_given_is_params_yaml_as_it_comes(self) -> None:
        given = run(n_train=11, n_test=3, epochs=1)
        assert run(n_train=11, n_test=3, epochs=1, attention="embedding", seed=0).measures == given.measures
        assert given.attention.shape == (1, 5, 8)

    def test_a_mistake_is_told_by_its_name(self) -> None:
        mistakes: Mapping[Callable[[], Any], str] = {
            lambda: run(epoch=3): "run: got the parameter 'epoch'; did you mean epochs?",
            lambda: run(epochs=0): "run: train.epochs: got 0; allowed: a whole number from 1 to 10000",
            lambda: run(attention="dott"): "run: model.attention: got 'dott'; allowed: one of: embedding",
            lambda: run(width=4): "run: model.width: got 4; allowed with embedding: null, as the function",
            lambda: study(seeds=0): "study: study.seeds: got 0; allowed: a whole number from 1 to 100000",
            lambda: study(grid={"rate": [1]}): "study: study.grid: got the key rate; allowed: data.task",
            lambda: study(grid={"engine": ["auto", "compiled"]}): "study: study.grid: train.engine: got ['auto', 'c",
            lambda: study(best={"by": "mse"}): "study: study.best: got {'by': 'mse', 'over': []}; allowed: n",
        }
        for call, told in mistakes.items():
            with pytest.raises(ParamsError) as caught:
                call()
            assert str(caught.value).startswith(told)

    def test_nothing_is_written_and_neither_mlflow_nor_torch_nor_pandas_is_imported(self, tmp_path: Path) -> None:
        code = (
            "import sys; from attention import run; run(n_train=11, n_test=3); "
            "print(*{'mlflow', 'torch', 'pandas', 'matplotlib'} & sys.modules.keys()); "
            "from attention import study; study(seeds=2, n_train=11, n_test=3); "
            "print(*{'mlflow', 'torch', 'matplotlib'} & sys.modules.keys())"
        )
        env = clean_environment(PYTHONPATH=str(ROOT / "stages"))
        done = subprocess.run(
            [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True
        )
        assert done.stdout.split() == []
        assert list(tmp_path.iterdir()) == []


class TestStudy:
    def test_its_tables_are_those_of_the_files(self, finished_project: Project) -> None:
        small = {key: value for key, value in SMALL_ONES.items() if key != "attention"}
        found = study(seeds=3, grid={"attention": ["embedding", "softmax"]}, workers=2, **small)
        for name, frame in found._asdict().items():
            wanted = (finished_project.root / f"data/study/{name}.csv").read_text()
            assert frame.to_csv(index=False, lineterminator="\n") == wanted, name

    def test_the_best_is_chosen_over_a_key_by_its_short_name(self) -> None:
        found = study(
            seeds=2,
            grid={"learning_rate": [0.1, 0.2]},
            best={"over": ["learning_rate"], "by": "mse"},
            n_train=7,
            n_test=3,
        )
        assert found.best["train.learning_rate"].tolist() in (["0.1"], ["0.2"])


def test_runs_are_those_of_the_command(finished_project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)  # MLflow leaves it set where another test asked it
    frame = runs(finished_project.root)
    said = finished_project.run(
        "python", "-m", "attention.project", "runs", "--json", PYTHONPATH=str(finished_project.root / "stages")
    )
    listed = json.loads(said.stdout)
    assert [one["name"] for one in listed] == frame["name"].tolist() != []
    assert [one["mse"] for one in listed] == frame["mse"].tolist()
    assert list(frame.columns)[:2] == ["name", "what"]


def test_the_package_knows_its_three_calls_and_no_other() -> None:
    assert attention.run is run
    assert dir(attention) == ["run", "runs", "study"]
    with pytest.raises(AttributeError, match="module 'attention' has no attribute 'runn'"):
        attention.runn  # noqa: B018 - that is what is asked


class TestTheTour:
    def test_its_outputs_are_those_that_its_cells_have(self) -> None:
        assert run_notebook(TOUR) == TOUR, "`make docs` brings them up to date"

    def test_a_cell_that_says_something_else_would_be_seen(self) -> None:
        cell = {"cell_type": "code", "metadata": {}, "execution_count": 7, "outputs": [], "source": ["print(1)\n", "2"]}
        first = json.loads(run_notebook(json.dumps({"cells": [cell]})))["cells"][0]
        assert first["execution_count"] == 1
        assert first["outputs"] == [
            {"output_type": "stream", "name": "stdout", "text": ["1\n"]},
            {"output_type": "execute_result", "execution_count": 1, "metadata": {}, "data": {"text/plain": ["2"]}},
        ]
        cell["source"] = ["1 / 0"]
        with pytest.raises(ZeroDivisionError):
            run_notebook(json.dumps({"cells": [cell]}))
