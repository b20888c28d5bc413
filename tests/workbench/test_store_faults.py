"""What can be wrong with an MLflow store on this machine: told at once, in one line, with what mends it."""

import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from conftest import LABORATORY
from filelock import FileLock

from attention.tracking.experiment import TRACKED
from workbench.command.doctor import _environment
from workbench.command.store_health import examine_store
from workbench.stage.errors import UserError
from workbench.stage.params import TrackingParams
from workbench.tracking.local import READY, StoreError
from workbench.tracking.locks import holding
from workbench.tracking.recorder import Recorder
from workbench.tracking.store import open_store

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with a store in which one run was made."""
    return enter(tmp_path / "project", monkeypatch)


def enter(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder with params.yaml and go there."""
    folder.mkdir()
    shutil.copy(ROOT / "params.yaml", folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")  # MLflow sets it; it goes when the test ends
    monkeypatch.delenv("DVC_ROOT", raising=False)
    with closing(sqlite3.connect(folder / "mlflow.db")) as store:
        store.executescript(READY.read_text(encoding="utf-8"))
    return folder


def sql(folder: Path, *statements: str) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db")) as store:
        for statement in statements:
            store.execute(statement)
        store.commit()


def text(folder: Path) -> None:
    (folder / "mlflow.db").write_text("no database " * 1000, encoding="utf-8")


def a_folder(folder: Path) -> None:
    (folder / "mlflow.db").unlink()
    (folder / "mlflow.db").mkdir()


def deleted(_: Path) -> None:
    client, experiment = open_store("attention")
    client.delete_experiment(experiment)


def newer(folder: Path) -> None:
    sql(folder, "UPDATE alembic_version SET version_num = 'ffffffffffff'")


def older(folder: Path) -> None:
    sql(folder, "UPDATE alembic_version SET version_num = '0a8213491aaa'")


def another(folder: Path) -> None:
    (folder / "mlflow.db").unlink()
    sql(folder, "CREATE TABLE moz_places (url TEXT)")


def copied(folder: Path) -> None:
    open_store("attention")
    sql(folder, "UPDATE experiments SET artifact_location = 'file:///the/original%20one/mlruns/attention'")


FAULTS: dict[Callable[[Path], None], tuple[str, str]] = {
    text: ("is no SQLite database, or damaged", "`publish --all` makes a new store"),
    a_folder: ("is a folder, no database", "name a file in MLFLOW_TRACKING_URI"),
    deleted: ("its experiment 'attention' was deleted", "mlflow experiments restore -x 1` brings it back"),
    newer: ("is of a newer MLflow than", "install that one; or move it away"),
    older: ("is of an older MLflow", "`mlflow db upgrade sqlite:////"),
    another: ("is a database of something else than MLflow", "name another in MLFLOW_TRACKING_URI"),
    copied: ("was made in /the/original one, and what is recorded here would be written there", "bring it back there"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_store_that_cannot_be_used_is_told_with_what_mends_it(
    fault: Callable[[Path], None], folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fault(folder)
    finding, mend = FAULTS[fault]
    with pytest.raises(StoreError) as told:
        open_store("attention")
    assert finding in told.value.finding
    assert mend in told.value.mend
    run = Recorder(TRACKED, TrackingParams(experiment="attention", required=False), "attention")
    run.create("name", {}) if not run.lost else None
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: MLflow cannot be reached, results are not affected (")
    assert finding in line
    assert line.endswith("; `attention publish` shows them later")
    (wrong,) = examine_store(LABORATORY, folder)
    assert (wrong.well, finding in wrong.finding, mend in wrong.mend) == (False, True, True)
    assert not Path("/the").exists()


def test_what_brings_a_deleted_experiment_back_does(folder: Path) -> None:
    deleted(folder)
    with pytest.raises(StoreError) as told:
        open_store("attention")
    command = told.value.mend.split("`")[1].replace("mlflow ", f"{Path(sys.executable).parent / 'mlflow'} ", 1)
    subprocess.run(command.replace("MLFLOW_TRACKING_URI", "env MLFLOW_TRACKING_URI"), shell=True, check=True)  # noqa: S602
    assert open_store("attention")[1] == "1"


def test_a_store_without_a_fault_is_well(folder: Path) -> None:
    client, experiment = open_store("attention")
    client.create_run(experiment)
    assert [one.well for one in examine_store(LABORATORY, folder) if one.what == "MLflow store"] == [True]


def test_a_store_seen_under_another_name_of_its_folder_is_no_copy(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_store("attention")
    other = folder.with_name("other")
    other.symlink_to(folder)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{other}/mlflow.db")
    open_store("attention")


def test_artifacts_elsewhere_by_choice_are_no_copy(folder: Path) -> None:
    open_store("attention")
    for place in ("file:///the/big/disk", "s3://bucket/mlruns/attention", "/plain/path"):
        sql(folder, f"UPDATE experiments SET artifact_location = '{place}'")  # noqa: S608
        open_store("attention")


def test_a_locked_database_is_said_to_be_locked(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "mlflow.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StoreError, match=r"mlflow\.db: is locked by another process; wait for that process"):
            open_store("attention")


def test_a_lock_that_another_holds_is_waited_for_aloud_and_not_for_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = tmp_path / "mlflow.db.lock"
    told = r"mlflow\.db\.lock: held by another process for 0.2 s; end that process"
    with FileLock(lock), pytest.raises(TimeoutError, match=told), holding(lock, silent=0.1, longest=0.2):
        pytest.fail("two hold it")
    assert capsys.readouterr().err == f"{lock}: held by another process; waiting for up to 0.2 s\n"
    with holding(lock, silent=0.1, longest=0.2):
        pass
    assert capsys.readouterr().err == ""


def test_a_lock_is_the_user_s_alone(tmp_path: Path) -> None:
    with holding(tmp_path / "lock"):
        assert (tmp_path / "lock").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["a b", "a%20b", "a%2520b", "a#b", "a?b", "a&b=c", "ümläut", "100%", "a@b:c", "a'\"b"])
def test_a_store_opens_in_a_folder_of_any_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = enter(tmp_path / name, monkeypatch)
    (folder / "mlflow.db").unlink()  # made anew, as by a first training
    (folder / "file.txt").write_text("hello", encoding="utf-8")
    for _ in range(2):  # MLflow keeps what it was told of the first
        client, experiment = open_store("attention")
        run = client.create_run(experiment).info.run_id
        client.log_artifact(run, str(folder / "file.txt"), "train")
    (tmp_path / "back").mkdir()
    back = client.download_artifacts(run, "train/file.txt", str(tmp_path / "back"))
    assert Path(back).read_text(encoding="utf-8") == "hello"
    assert (folder / "mlruns/attention" / run / "artifacts/train/file.txt").exists()
    assert {path.name for path in tmp_path.iterdir()} == {name, "back"}  # and nothing beside


@pytest.mark.parametrize("seconds", ["abc", "", "nan", "inf", "-1", "0", "1e400"])
def test_a_time_limit_that_is_none_is_told(seconds: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", seconds)
    with pytest.raises(StoreError, match=f"MLFLOW_HTTP_REQUEST_TIMEOUT: got {seconds}, allowed: a number of seconds; "):
        open_store("attention")


def test_a_uri_without_a_scheme_is_told_without_its_password(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "alice:s3cr3t@host:5000")
    with pytest.raises(UserError, match=r"^MLFLOW_TRACKING_URI: has no scheme; begin it with http://"):
        open_store("attention")
    assert list(tmp_path.iterdir()) == []


def test_a_setting_that_mlflow_cannot_be_imported_with_is_told() -> None:
    environment = {**os.environ, "MLFLOW_CONFIGURE_LOGGING": "abc", "PYTHONPATH": str(ROOT / "stages")}
    command = [sys.executable, "-W", "ignore", "-c", "import workbench.tracking"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "warning: MLFLOW_CONFIGURE_LOGGING: got abc, allowed: true or false; taken for false\n"


def test_packages_for_gpus_that_no_lock_knows_are_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(ROOT / "requirements.lock", tmp_path)
    assert [one.what for one in _environment(tmp_path)] == ["environment"]
    for name in ("nvidia_cublas_cu12", "triton"):
        (tmp_path / f"{name}-1.0.dist-info").mkdir()
        (tmp_path / f"{name}-1.0.dist-info/METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n", encoding="utf-8"
        )
    monkeypatch.syspath_prepend(str(tmp_path))
    *_, found = _environment(tmp_path)
    assert (found.what, found.well) == ("packages", False)
    assert found.finding.startswith("2 packages for GPUs that no lock knows, several GB: nvidia-cublas-cu12, triton")
    assert "build for CPUs" in found.mend


def test_a_lock_of_requirements_may_have_comments_and_markers(tmp_path: Path) -> None:
    lock = tmp_path / "requirements.lock"
    lock.write_text(
        "# a comment\n\nnumpy==0.1 ; python_version > '3'\npsutil==0.1 # why\n-r more.txt\n", encoding="utf-8"
    )
    (found,) = _environment(tmp_path)
    assert found.finding.startswith("2 packages differ: numpy ")
    lock.unlink()
    (found,) = _environment(tmp_path)
    assert (found.well, "requirements.lock" in found.finding) == (False, True)
