"""Agreement byte for byte, and in numbers where torch trained: by hand, and of real trainings as two CPUs run them."""

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import LABORATORY, OUTPUTS, Project
from restoring import attention
from safetensors.numpy import save

from attention.project import TORCH, origin
from attention.training.engines import promises_bytes
from workbench.command.comparison import NOT_RECORDED, Agreement, compare, distances
from workbench.command.report import conclude
from workbench.command.snapshot import present_state

OLD = {"ATEN_CPU_CAPABILITY": "default"}
HISTORY, MODEL = "data/train/history.csv", "data/train/model.safetensors"
TRAINED = ["data/train/attention.csv", HISTORY, MODEL]


def model(number: float, about: str = "{}") -> bytes:
    return save({"w": np.array([1.0, number], np.float32)}, metadata={"attention": about})


def test_distances_of_tables_metrics_and_weights_are_the_largest_by_name() -> None:
    assert distances("a.csv", b"epoch,mse\n0,1.5\n1,2.0\n", b"epoch,mse\n0,1.25\n1,2.125\n") == {
        "epoch": 0,
        "mse": 0.25,
    }
    one, other = ({"mse": 1.0, "recovery": {"effective": value}} for value in (0.5, 0.75))
    told = distances("m.json", json.dumps(one).encode(), json.dumps(other).encode())
    assert told == {"mse": 0, "recovery.effective": 0.25}
    assert distances("m.safetensors", model(2), model(2.5))["w"] == 0.5
    endless = b"mse,epoch\ninf,0\ninf,3\n", b"mse,epoch\ninf,1\ninf,3\n"
    assert distances("a.csv", *endless) == {"mse": 0, "epoch": 1}


@pytest.mark.parametrize(
    ("path", "one", "other"),
    [
        ("a.csv", b"epoch,mse\n0,1\n", b"epoch,mse\n0,1\n1,1\n"),
        ("a.csv", b"epoch,mse\n0,1\n", b"epoch,error\n0,1\n"),
        ("a.csv", b"epoch,mse\n0,1\n", b"epoch,mse\n0,word\n"),
        ("a.csv", b"predictor,mse\nmean,1\n", b"predictor,mse\nlinear,1\n"),
        ("m.json", b'{"mse": 1}', b'{"mse": 1, "more": 1}'),
        ("m.safetensors", model(2), model(2, '{"function": "softmax"}')),
        ("picture.png", b"1", b"2"),
    ],
)
def test_what_differs_in_more_than_numbers_has_no_distance(path: str, one: bytes, other: bytes) -> None:
    with pytest.raises(ValueError, match=r"more than numbers|could not convert|no table"):
        distances(path, one, other)


@pytest.mark.parametrize(
    ("found", "status", "told"),
    [
        ([], 1, "0 of 0 outputs agree byte for byte; without {model} nothing is proved"),
        ([(HISTORY, "same")], 1, "1 of 1 outputs agree byte for byte; without {model} nothing is proved"),
        (
            [(HISTORY, "same"), (MODEL, NOT_RECORDED)],
            1,
            "1 of 1 outputs agree byte for byte, 1 are not recorded; without {model} nothing is proved",
        ),
        ([(HISTORY, "DIFFERENT"), (MODEL, "same")], 1, "1 of 2 outputs agree byte for byte"),
        ([(HISTORY, NOT_RECORDED), (MODEL, "same")], 0, "1 of 1 outputs agree byte for byte, 1 are not recorded"),
    ],
)
def test_without_the_model_nothing_is_proved(
    found: list[tuple[str, str]], status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    agreements = [Agreement(path, "0", "0", verdict) for path, verdict in found]
    assert conclude(LABORATORY, "x:", agreements) == status
    assert capsys.readouterr().out == f"x: {told.format(model=MODEL)}\n"


def test_the_tolerance_is_by_kind_of_number() -> None:
    train = TORCH["train"]
    assert [train.of(name) for name in ("epoch", "context", "position")] == [0, 0, 0]
    assert train.of("mse") == train.of("baseline.mean") == 1e-4
    assert train.of("attention.query") == train.of("effective") == 0.25
    assert TORCH["evaluate"].of("mse") < train.of("mse")


def test_only_training_through_torch_makes_no_promise() -> None:
    assert promises_bytes("compiled")
    assert not promises_bytes("torch")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, finished_project: Project) -> Project:
    """Results of training through torch, as a CPU without AVX gives them, committed."""
    project = finished_project.copy(tmp_path_factory.mktemp("agreement") / "project")
    grid = {"model.attention": ["embedding"], "train.engine": ["compiled"]}
    project.set_params(
        {
            "model.attention": "cosine",
            "train.engine": "torch",
            "data.n_train": 2003,
            "study.seeds": 1,
            "study.grid": grid,
        }
    )
    project.run("dvc", "repro", "--quiet", "evaluate", PYTHONWARNINGS="ignore", **OLD)
    project.run("dvc", "repro", "--quiet", PYTHONWARNINGS="ignore")  # what follows promises its bytes
    project.commit("cosine")
    return project


@pytest.fixture(scope="module")
def verified(project: Project) -> list[str]:
    done = attention(project, "verify", PYTHONWARNINGS="ignore")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.splitlines()


def test_verify_on_another_cpu_accepts_what_torch_trained_by_its_numbers_and_the_rest_by_its_bytes(
    verified: list[str],
) -> None:
    if verified[-1].endswith(f"{OUTPUTS} of {OUTPUTS} outputs agree byte for byte"):
        pytest.skip("this CPU has no newer instructions for torch to take")
    within = [line.split()[0] for line in verified if " within " in line]
    same = [line.split()[0] for line in verified if line.endswith(" same")]
    assert set(TRAINED) <= set(within)
    assert all(path.startswith(("data/train/", "data/evaluate/")) for path in within)
    assert {"data/plot/attention.png", "data/plot/epochs", "data/generate/train.parquet"} <= set(same)
    assert verified[-2] == (
        "engine torch does not promise its bytes; allowed: train mse 0.0001, baseline. 0.0001, other numbers 0.25; "
        "evaluate mse 1e-06, baseline. 1e-06, faithfulness. 0.01, gradient_ 0.01, left_out_ 0.01, other numbers 1e-05"
    )
    assert verified[-1] == (
        f"the working tree: {len(same)} of {OUTPUTS} outputs agree byte for byte, {len(within)} in their numbers"
    )


def test_another_training_does_not_pass(project: Project, tmp_path: Path) -> None:
    """Neither by its numbers, nor where the recorded numbers are gone."""
    other = project.copy(tmp_path / "other")
    other.set_params({"train.learning_rate": 0.011})
    other.stage("train", PYTHONWARNINGS="ignore")
    state = present_state(LABORATORY, project.root)
    found = {one.path: one for one in compare(LABORATORY, state, project.root, other.root)}
    assert {path for path in found if not found[path].holds} >= {"data/train/history.csv", TRAINED[-1]}
    assert other.outputs()["data/train/history.csv"] != project.outputs()["data/train/history.csv"], "left as it was"
    assert found["data/train/model.safetensors"].verdict == "DIFFERENT; in more than numbers", "its parameters differ"
    assert found["data/train/history.csv"].verdict.startswith("DIFFERENT; mse by ")

    (tmp_path / "lost").mkdir()  # neither data, nor a cache, nor a commit
    found = {one.path: one for one in compare(LABORATORY, state, tmp_path / "lost", other.root)}
    gone = "DIFFERENT; the recorded file is nowhere here, so its numbers are not known"
    assert found["data/train/history.csv"].verdict == gone


def test_a_compiled_training_has_no_tolerance(finished_project: Project, tmp_path: Path) -> None:
    copy = finished_project.copy(tmp_path / "copy")
    history = copy.root / "data/train/history.csv"
    history.write_text(history.read_text().replace("\n1,0.", "\n1,0.0"))
    assert origin((copy.root / "data/train/model.safetensors").read_bytes()).params["train.engine"] == "compiled"
    found = compare(LABORATORY, present_state(LABORATORY, finished_project.root), finished_project.root, copy.root)
    assert [(one.path, one.verdict) for one in found if not one.holds] == [("data/train/history.csv", "DIFFERENT")]


def test_the_origin_of_what_is_no_model_is_not_known() -> None:
    for data in (b"", b"12345678", model(1, "[]"), model(1, "{"), model(1, '{"origin": {"data": 1}}')):
        with pytest.raises(ValueError, match=r"no model of this project|Expecting|char"):
            origin(data)
