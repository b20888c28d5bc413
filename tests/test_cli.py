"""The attention command on real copies, real experiments and a real store."""

import sqlite3
import subprocess
from pathlib import Path

import pytest
from conftest import Project

NAME = "embedding, n_train 211, n_test 53, seq_len 7, n_contexts 3, epochs 2, learning_rate 0.01, seed 0"


def attention(project: Project, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """Run the command of the project's own copy, wherever an installed one points."""
    path = str(project.root / "stages")
    return project.attempt("python", "-m", "attention.cli", *arguments, PYTHONPATH=path, **environment)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory, finished_project: Project) -> Project:
    """A finished project whose store has been lost."""
    return finished_project.copy(tmp_path_factory.mktemp("cli") / "project")


def rows(project: Project) -> dict[str, list[tuple[object, ...]]]:
    """Return the content of every table of the store."""
    with sqlite3.connect(project.root / "mlflow.db") as store:
        names = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
        return {name: sorted(store.execute(f"SELECT * FROM {name}"), key=repr) for name in names}  # noqa: S608


def files(project: Project) -> set[str]:
    return {path.relative_to(project.root).as_posix() for path in (project.root / "mlruns").rglob("*")}


def test_publish_rebuilds_a_lost_run_once_and_restore_brings_its_bytes_back(project: Project, tmp_path: Path) -> None:
    made = attention(project, "publish")
    assert (made.returncode, made.stdout) == (0, f"data/: run {NAME}\n"), made.stderr
    before = rows(project), files(project)
    assert attention(project, "publish").returncode == 0
    assert (rows(project), files(project)) == before, "publishing twice changes nothing"

    restored = attention(project, "restore", NAME, str(tmp_path / "restored"))
    assert restored.returncode == 0, restored.stderr
    assert restored.stdout.endswith("restored; 14 of 14 outputs agree byte for byte\n")
    assert Project(tmp_path / "restored").outputs() == project.outputs()


def test_an_incomplete_run_is_completed(project: Project) -> None:
    """As a server leaves it that went away after the first epoch's metrics."""
    attention(project, "publish")
    metrics = "SELECT key, step, value FROM metrics"
    with sqlite3.connect(project.root / "mlflow.db") as store:
        whole = sorted(store.execute(metrics))
        store.execute("DELETE FROM metrics WHERE step = 1 OR key LIKE 'test/%'")
        store.execute("DELETE FROM latest_metrics WHERE key LIKE 'test/%'")
        store.execute("DELETE FROM tags WHERE key IN ('attention.evaluation')")
        store.execute("UPDATE tags SET value = 'train' WHERE key = 'attention.stages'")
        assert len(whole) > len(sorted(store.execute(metrics))) > 0
    assert attention(project, "publish").returncode == 0
    with sqlite3.connect(project.root / "mlflow.db") as store:
        assert sorted(store.execute(metrics)) == whole


def test_publish_refuses_results_that_are_not_those_of_the_code(project: Project) -> None:
    text = (project.root / "params.yaml").read_text()
    (project.root / "params.yaml").write_text(text.replace("seed: 0", "seed: 1"))
    refused = attention(project, "publish")
    (project.root / "params.yaml").write_text(text)
    assert refused.returncode == 1
    assert refused.stderr == (
        f"{project.root}: its results are not those of its code and parameters (`dvc status` tells how); "
        "run `dvc repro`, or `dvc checkout` for the committed ones, then publish\n"
    )


def test_an_experiment_with_changed_code_is_published_and_restored(project: Project, tmp_path: Path) -> None:
    """The code differs from every commit: a patch carries it, and a queued run has a folder of its own."""
    code = project.root / "stages/attention/weights.py"
    text = code.read_text()
    code.write_text(text.replace("bound = np.float32(1 / ", "bound = np.float32(0.5 / "))
    project.run("dvc", "exp", "run", "--temp", "--quiet", "--name", "halved", "-S", "model.attention=softmax")
    code.write_text(text)
    published = attention(project, "publish", "--all")
    assert published.returncode == 0, published.stderr
    softmax = NAME.replace("embedding", "softmax")
    assert published.stdout == f"data/: run {NAME}\nhalved: run {softmax} (halved)\n"
    restored = attention(project, "restore", "halved", str(tmp_path / "restored"))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert restored.stdout.endswith("halved restored; 13 of 13 outputs agree byte for byte\n")
    copy = Project(tmp_path / "restored")
    assert "0.5 / " in (copy.root / "stages/attention/weights.py").read_text()
    assert copy.outputs() != project.outputs()


def test_verify_compares_every_output_and_sees_one_changed_digest(project: Project) -> None:
    lock = project.root / "dvc.lock"
    text = lock.read_text()
    place = text.index("md5: ", text.index("path: data/train/history.csv", text.index("\n  train:")))
    lock.write_text(text[:place] + "md5: " + "f" * 32 + text[place + 37 :])
    done = attention(project, "verify")
    lock.write_text(text)
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert lines[-1] == "the working tree: 12 of 13 outputs agree byte for byte"
    assert [line.split()[0] for line in lines if line.endswith("DIFFERENT")] == ["data/train/history.csv"]
    assert sum(line.endswith("same") for line in lines) == 12


def test_restore_refuses_a_folder_that_is_not_empty(project: Project, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    refused = attention(project, "restore", "anything", str(tmp_path))
    assert refused.returncode == 1
    assert refused.stderr == f"{tmp_path}: is not empty; allowed: a new or empty folder; nothing was changed\n"


def test_a_name_that_nothing_has_is_refused_with_what_there_is(project: Project, tmp_path: Path) -> None:
    attention(project, "publish")
    refused = attention(project, "restore", "nobody", str(tmp_path / "new"))
    assert refused.returncode == 1
    told = refused.stderr.splitlines()[-1]  # MLflow's own warnings may stand before it
    assert told.startswith("nobody: neither a DVC experiment nor an MLflow run by id or name; known: ")
    assert NAME in told
    assert not (tmp_path / "new").exists()


def test_the_command_needs_a_project(project: Project, tmp_path: Path) -> None:
    done = Project(tmp_path).attempt("python", "-m", "attention.cli", "doctor", PYTHONPATH=str(project.root / "stages"))
    assert done.returncode == 1
    assert done.stderr == f"{tmp_path}: no dvc.yaml here or above; run the command inside the project\n"


def test_doctor_finds_nothing_wrong_and_then_each_thing_that_is(project: Project) -> None:
    attention(project, "publish")
    well = attention(project, "doctor")
    assert well.returncode == 0, well.stdout
    assert "WRONG" not in well.stdout

    with sqlite3.connect(project.root / "mlflow.db") as store:
        store.execute("UPDATE runs SET status = 'RUNNING'")
    (project.root / "mlruns/attention").rename(project.root / "moved")
    params = (project.root / "params.yaml").read_text()
    lock = (project.root / "requirements.lock").read_text()
    (project.root / "params.yaml").write_text(params.replace("epochs: 2", "epochs: 0"))
    (project.root / "requirements.lock").write_text(lock + "no-such-package==1.0\n")
    ill = attention(project, "doctor")
    (project.root / "params.yaml").write_text(params)
    (project.root / "requirements.lock").write_text(lock)
    (project.root / "moved").rename(project.root / "mlruns/attention")
    assert ill.returncode == 1
    wrong = {line.split()[1] for line in ill.stdout.splitlines() if line.startswith("WRONG")}
    assert {"environment", "params.yaml", "results"} <= wrong
    assert "no-such-package none, locked 1.0" in ill.stdout
    assert "environment: `make clean repro` installs requirements.lock anew" in ill.stdout


def test_a_shell_completes_the_command(project: Project) -> None:
    script = attention(project, "completion", "bash").stdout
    tried = f"{script}\nCOMP_WORDS=(attention re); COMP_CWORD=1; _shtab_attention; echo ${{COMPREPLY[@]}}"
    assert project.run("bash", "-c", tried).stdout.split() == ["restore"]


def test_output_that_nobody_reads_to_its_end_is_no_error(project: Project) -> None:
    command = "python -m attention.cli completion bash | head -n 1; echo ${PIPESTATUS[0]}"
    done = project.attempt("bash", "-c", command, PYTHONPATH=str(project.root / "stages"))
    assert (done.stdout.splitlines()[-1], done.stderr) in {("141", ""), ("0", "")}
