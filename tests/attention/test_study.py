"""A study: its members are the pipeline's own trainings, its spread is that of the textbook, and MLflow shows it."""

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import ROOT, Project, open_store, recorded_runs
from mlflow.entities import Run

from attention.params import load_study
from attention.studies.groups import ARTICLE_MSE, MEASURES, Group, group
from attention.studies.statistics import SPREAD, share_interval, spread
from attention.studies.tables import read_outcomes
from attention.studies.tracking import FILES
from attention.studies.trainings import Outcome, Training, run_training, training_key, trainings_of
from attention.tasks.examples import DrawnTable, ExampleTable, write_examples
from attention.tasks.problem import BLOCK_ROWS, draw_columns, lookup
from workbench.command.snapshot import experiments

GRID = {"model.attention": ["embedding", "softmax"]}  # conftest's small study


def table(project: Project, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((project.root / "data/study" / name).read_text())))


def run_study(project: Project, **environment: str) -> str:
    return project.run("python", "stages/study.py", PYTHONWARNINGS="ignore", **environment).stdout


class TestMembersAreThePipelineSOwnTrainings:
    def test_a_member_is_to_the_last_bit_what_dvc_exp_run_gives(
        self, finished_project: Project, tmp_path: Path
    ) -> None:
        project = finished_project.copy(tmp_path / "project")
        project.set_params({"study.grid": GRID | {"train.learning_rate": [0.01, 0.02]}})
        run_study(project)
        project.run("git", "checkout", "params.yaml")
        wanted = {"model.attention": "softmax", "train.learning_rate": "0.02", "seed": "2"}
        overrides = [argument for key, value in wanted.items() for argument in ("-S", f"{key}={value}")]
        project.run("dvc", "exp", "run", "--quiet", "--temp", "-n", "one", *overrides, "evaluate")

        (row,) = (row for row in table(project, "results.csv") if wanted.items() <= row.items())
        commit = experiments(project.root)["one"]
        metrics = json.loads(project.run("git", "show", f"{commit}:data/evaluate/metrics.json").stdout)
        assert float(row["mse"]) == metrics["mse"]
        del metrics["recovery"]["entropy"]  # which a study leaves out
        assert {name: float(row[name]) for name in MEASURES[1:]} == metrics["recovery"]
        history = project.run("git", "show", f"{commit}:data/train/history.csv").stdout
        epochs = [row for row in table(project, "histories.csv") if wanted.items() <= row.items()]
        assert [{key: row[key] for key in ("epoch", *MEASURES)} for row in epochs] == list(
            csv.DictReader(io.StringIO(history))
        )

    @pytest.mark.parametrize("rows", [13, BLOCK_ROWS - 7, BLOCK_ROWS])
    @pytest.mark.parametrize("n", [41, BLOCK_ROWS + 5])
    def test_examples_in_memory_are_those_of_the_file(self, n: int, rows: int, tmp_path: Path) -> None:
        if rows == 13 and n > BLOCK_ROWS:
            pytest.skip("thousands of blocks")
        truth = np.array([2, 0, 1])
        problem = lookup(truth, 3)
        write_examples(tmp_path / "t.parquet", draw_columns(problem, 5, "test", n), problem)
        file, drawn = ExampleTable(tmp_path / "t.parquet", problem), DrawnTable(problem, 5, "test", n)
        assert (len(drawn), drawn.problem) == (len(file), file.problem)
        for one, other in zip(file.blocks(rows), drawn.blocks(rows), strict=True):
            assert np.array_equal(one.values, other.values)
            assert np.array_equal(one.queries, other.queries)
            assert np.array_equal(one.targets, other.targets)

    def test_a_function_of_one_s_own_takes_part(self, project: Project) -> None:
        (project.root / "stages/attention/functions/cube.py").write_text(
            "from attention.functions.entry import AttentionFunction\n"
            "from attention.functions.table import score_table\n\n\n"
            "def cube(parameters, queries, keys, **_):\n    return parameters['scores'][queries][..., keys] ** 3\n\n\n"
            "FUNCTIONS = {'cube': AttentionFunction(cube, score_table, 'E[q,k]³', 'of ones own')}\n"
        )
        project.set_params({"study.grid": {"model.attention": ["embedding", "cube"]}, "study.seeds": 2})
        run_study(project)
        assert [row["model.attention"] for row in table(project, "summary.csv")] == ["embedding", "cube"]
        assert all(float(row["mse"]) < 0.2 for row in table(project, "results.csv"))

    def test_the_key_of_a_member_differs_exactly_when_what_determines_it_does(self, project: Project) -> None:
        def key(seed: int = 1, **changes: Any) -> str:
            project.set_params({name.replace("__", "."): value for name, value in changes.items()})
            return training_key(Training(load_study(project.root / "params.yaml")[0], seed))

        plain = key(study__grid={})
        assert (
            key(tracking__experiment="other", compute__workers=2, study__seeds=5, seed=1, model__temperature=None)
            == plain
        )
        assert key(train__engine="compiled") == plain  # which `auto` is
        changes: list[Mapping[str, Any]] = [
            {"seed": 2},
            {"train__engine": "torch"},
            {"train__epochs": 3},
            {"data__n_test": 54},
            {"data__true_attention": [2, 6, 4]},
            {"model__attention": "softmax"},
            {"model__temperature": 2.0},
        ]
        keys = [key(**change) for change in changes]  # one on top of the other
        assert len({plain, *keys}) == len(keys) + 1


@pytest.fixture(scope="module")
def groups() -> list[Group]:
    """The groups of the committed study, its article's experiment with 100 seeds."""
    params, configurations = load_study(ROOT / "params.yaml")
    ours = [each for each in configurations if each.params.model.attention == "embedding"]
    trainings = trainings_of(ours, params.seed, 100)
    return group(ours, params.seed, 100, [run_training(training) for training in trainings])


class TestTheArticle:
    def test_its_own_errors_lie_inside_the_90_percent_band_at_every_epoch(self, groups: list[Group]) -> None:
        for seeds in (100, load_study(ROOT / "params.yaml")[0].study.seeds):  # the committed picture has fewer
            low, high = np.percentile(groups[0].histories[:seeds, :, 0], [5, 95], axis=0)
            assert (low <= ARTICLE_MSE).all()
            assert (high >= ARTICLE_MSE).all()

    def test_its_marks_are_on_its_own_experiment_and_on_no_other(self, groups: list[Group], project: Project) -> None:
        assert groups[0].is_article
        _, configurations = load_study(project.root / "params.yaml")
        assert not any(each.is_article for each in group(configurations, 0, 0, []))


class TestTables:
    def test_rows_come_in_the_order_of_the_grid_then_of_the_seeds(self, finished_project: Project) -> None:
        rows = table(finished_project, "results.csv")
        assert list(rows[0]) == ["model.attention", "seed", *MEASURES, "found"]
        assert [(row["model.attention"], row["seed"]) for row in rows] == [
            (name, str(seed)) for name in GRID["model.attention"] for seed in range(3)
        ]
        histories = table(finished_project, "histories.csv")
        assert [(row["model.attention"], row["seed"], row["epoch"]) for row in histories] == [
            (name, str(seed), str(epoch)) for name in GRID["model.attention"] for seed in range(3) for epoch in range(2)
        ]

    def test_the_summary_is_the_spread_of_the_results(self, finished_project: Project) -> None:
        for row in table(finished_project, "summary.csv"):
            ours = [r for r in table(finished_project, "results.csv") if r["model.attention"] == row["model.attention"]]
            values = np.array([[float(r[name]) for name in MEASURES] for r in ours])
            wanted = dict(zip(MEASURES, spread(values).T, strict=True))
            assert (row["trainings"], row["diverged"]) == ("3", "0")
            for measure, numbers in wanted.items():
                assert [row[f"{measure}.{name}"] for name in SPREAD] == [*map(repr, numbers[:3].tolist()), "", ""]
            found = sum(int(one["found"]) for one in ours)
            ends = [float(row["found.low"]), float(row["found.high"])]
            assert [float(row["found"]), *ends] == [found / 3, *share_interval(found, 3).tolist()]

    def test_the_outcomes_are_read_back_from_the_tables(self, finished_project: Project) -> None:
        params, configurations = load_study(finished_project.root / "params.yaml")
        trainings = trainings_of(configurations, params.seed, params.study.seeds)
        assert read_outcomes(finished_project.root / "data/study") == [run_training(one) for one in trainings]

    def test_a_pair_of_functions_is_compared_seed_by_seed(self, finished_project: Project) -> None:
        (row,) = table(finished_project, "comparison.csv")
        errors = {
            (one["model.attention"], one["seed"]): float(one["mse"]) for one in table(finished_project, "results.csv")
        }
        lower = sum(errors["embedding", seed] < errors["softmax", seed] for seed in "012")
        assert [row["model.attention.first"], row["model.attention.second"]] == ["embedding", "softmax"]
        assert [int(row[name]) for name in ("seeds", "lower", "higher", "ties")] == [3, lower, 3 - lower, 0]
        assert f"(the first is lower in {lower} of 3 seeds" in row["says"]
        assert table(finished_project, "best.csv") == []  # nobody asked

    def test_the_order_of_the_grid_s_keys_changes_nothing(self, project: Project) -> None:
        """To DVC two such files are equal."""
        grid: dict[str, list[Any]] = {
            "train.shuffle": [True, False],
            "model.attention": ["softmax"],
            "train.epochs": [1, 2],
        }
        project.set_params({"study.grid": grid, "study.seeds": 2})
        run_study(project)
        before = project.outputs()
        project.set_params({"study.grid": dict(reversed(grid.items()))})
        run_study(project)
        assert project.outputs() == before
        assert [(row["train.epochs"], row["train.shuffle"]) for row in table(project, "summary.csv")] == [
            ("1", "true"), ("1", "false"), ("2", "true"), ("2", "false"),
        ]  # fmt: skip

    def test_a_training_that_diverges_is_counted_and_the_others_go_on(self, project: Project) -> None:
        project.set_params({"study.grid": {"train.learning_rate": [0.01, 10]}, "train.epochs": 60, "data.n_test": 3})
        run_study(project)
        calm, wild = table(project, "summary.csv")
        assert (calm["diverged"], calm["trainings"]) == ("0", "3")
        gone = [row for row in table(project, "results.csv") if row["train.learning_rate"] == "10.0"]
        assert int(wild["diverged"]) == sum(row["mse"] == "" for row in gone)

    def test_what_diverged_has_an_infinite_error_and_recovers_nothing(self) -> None:
        params, configurations = load_study(ROOT / "params.yaml")
        lost = [Outcome([], None, False), Outcome([[0.1, 0.2, 0.3, 0.4]], None, False)]
        (one,) = group(configurations[:1], params.seed, 2, lost)
        assert (one.results.tolist(), one.histories.shape) == ([[np.inf, 0, 0, 0]] * 2, (0, 4, 4))
        assert (one.diverged, one.found, one.spread["mse"][0], one.spread["effective"][0]) == (2, 0, np.inf, 0)

    def test_an_empty_grid_is_one_configuration(self, project: Project) -> None:
        project.set_params({"study.grid": {}})
        run_study(project)
        assert [list(row)[:2] for row in table(project, "results.csv")] == [["seed", "mse"]] * 3
        (row,) = table(project, "summary.csv")
        assert row["trainings"] == "3"


@pytest.fixture(scope="module")
def runs(finished_project: Project) -> tuple[Run, list[Run]]:
    """The parent, and its children in the order in which they were made."""
    client = open_store(f"sqlite:///{finished_project.root}/mlflow.db")
    *children, parent = recorded_runs(client, "attention-study")
    return parent, children[::-1]


class TestMlflow:
    def test_a_parent_and_a_child_for_each_configuration_all_finished(self, runs: tuple[Run, list[Run]]) -> None:
        parent, children = runs
        assert [run.info.status for run in (parent, *children)] == ["FINISHED"] * 3
        assert [run.info.run_name for run in children] == GRID["model.attention"]
        assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}

    def test_a_child_has_the_medians_their_spread_and_the_median_curve(
        self, finished_project: Project, runs: tuple[Run, list[Run]]
    ) -> None:
        client = open_store(f"sqlite:///{finished_project.root}/mlflow.db")
        histories = table(finished_project, "histories.csv")
        for child, row in zip(runs[1], table(finished_project, "summary.csv"), strict=True):
            name = row["model.attention"]
            assert child.data.params["model.attention"] == name
            assert child.data.params["train.learning_rate"] == "0.01"
            wanted = {"trainings/diverged": 0.0, "trainings/found": float(row["found"])}
            for measure in MEASURES:
                shown = "test/mse" if measure == "mse" else f"test/recovery.{measure}"
                wanted |= {
                    shown + ("" if number == "median" else f".{number}"): float(row[f"{measure}.{number}"])
                    for number in SPREAD[:3]  # of three trainings there is no interval
                }
            curves = {key: value for key, value in child.data.metrics.items() if key.startswith("train/")}
            assert {key: child.data.metrics[key] for key in wanted} == wanted
            assert child.data.metrics.keys() == wanted.keys() | curves.keys()
            for measure in MEASURES:
                found = [(m.step, m.value) for m in client.get_metric_history(child.info.run_id, f"train/{measure}")]
                ours = [row for row in histories if row["model.attention"] == name]
                values = [[float(row[measure]) for row in ours if row["epoch"] == str(epoch)] for epoch in range(2)]
                assert found == [(epoch, np.median(values[epoch])) for epoch in range(2)]

    def test_the_parent_has_the_files_and_the_grid(
        self, finished_project: Project, runs: tuple[Run, list[Run]], tmp_path: Path
    ) -> None:
        parent = runs[0]
        assert parent.data.params == {
            "seed": "0",
            "study.seeds": "3",
            "grid.model.attention": json.dumps(GRID["model.attention"]),
        }
        client = open_store(f"sqlite:///{finished_project.root}/mlflow.db")
        client.download_artifacts(parent.info.run_id, "", str(tmp_path))
        for name in FILES:
            assert (tmp_path / "study" / name).read_bytes() == (
                finished_project.root / "data/study" / name
            ).read_bytes()
        shown = json.loads((tmp_path / "summary.json").read_text())
        assert [shown["columns"], len(shown["data"])] == [list(table(finished_project, "summary.csv")[0]), 2]

        sentence = table(finished_project, "comparison.csv")[0]["says"]
        assert sentence in parent.data.tags["mlflow.note.content"]
        found = [float(row["found"]) for row in table(finished_project, "summary.csv")]
        assert parent.data.metrics["trainings/found"] == pytest.approx(np.mean(found))

    def test_what_differs_between_configurations_was_varied(self, project: Project) -> None:
        """*Compare* opens with the first three parameters that differ, and options of a function are not among them."""
        grid = {"model.attention": ["softmax", "scaled_dot"], "train.learning_rate": [0.01, 0.02]}
        project.set_params({"study.grid": grid, "study.seeds": 1, "data.n_train": 5})
        run_study(project)
        client = open_store(f"sqlite:///{project.root}/mlflow.db")
        *children, _ = recorded_runs(client, "attention-study")
        params = [child.data.params for child in children]
        assert len(params) == 4
        assert {key for key in params[0] if len({one.get(key) for one in params}) > 1} == grid.keys()
        assert params[0]["data.n_train"] == "5"
        experiment = client.get_experiment_by_name("attention-study")
        assert experiment
        assert experiment.tags["mlflow.note.content"].startswith("Studies, made by the stage `study`")

    def test_a_long_curve_is_shown_in_points_that_fit_into_one_request(self, project: Project) -> None:
        project.set_params({"train.epochs": 600, "study.grid": {}, "study.seeds": 1, "data.n_train": 5})
        run_study(project)
        client = open_store(f"sqlite:///{project.root}/mlflow.db")
        child = recorded_runs(client, "attention-study")[0]
        steps = [metric.step for metric in client.get_metric_history(child.info.run_id, "train/mse")]
        assert (steps[0], steps[-1]) == (0, 599)
        assert 200 < len(steps) < 250

    def test_publish_shows_the_study_once_from_its_files(self, finished_project: Project, tmp_path: Path) -> None:
        project = finished_project.copy(tmp_path / "project")
        for _ in range(2):
            project.run("python", "-m", "attention.project", "publish", PYTHONPATH="stages")
        shown, before = (
            recorded_runs(open_store(f"sqlite:///{each.root}/mlflow.db"), "attention-study")
            for each in (project, finished_project)
        )
        assert len(shown) == 3
        assert {run.info.run_name: run.data.metrics for run in shown} == {
            run.info.run_name: run.data.metrics for run in before
        }
