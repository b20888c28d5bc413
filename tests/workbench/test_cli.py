"""The attention command on real copies, real experiments and a real store."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import OUTPUTS, ROOT, Project, clean_environment, warm_environment
from faulty_servers import PASSWORD, closed_port, mlflow_server, no_such_store
from restoring import Wanted, attention, lose_cache, make, problems

from workbench.tracking.patches import LARGEST, code_patch

SIZES = "n_train 211, n_test 53, seq_len 7, n_contexts 3, true_attention 2 6 3"
NAME = f"embedding, {SIZES}, epochs 2, learning_rate 0.01, seed 0"


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
    assert restored.stdout.endswith(
        f"restored; 17 of 17 outputs agree byte for byte, {OUTPUTS - 17} are not recorded\n"
    )
    assert Project(tmp_path / "restored").outputs() == project.outputs()


def test_an_incomplete_run_is_completed(project: Project) -> None:
    """As a server leaves it that went away after the first epoch's metrics."""
    attention(project, "publish")
    metrics = "SELECT key, step, value FROM metrics"
    with sqlite3.connect(project.root / "mlflow.db") as store:
        whole = sorted(store.execute(metrics))
        of_training = "run_uuid IN (SELECT run_uuid FROM tags WHERE key = 'attention.key')"  # and not of the study
        store.execute(f"DELETE FROM metrics WHERE (step = 1 OR key LIKE 'test/%') AND {of_training}")  # noqa: S608
        store.execute(f"DELETE FROM latest_metrics WHERE key LIKE 'test/%' AND {of_training}")  # noqa: S608
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


def test_an_experiment_with_changed_code_on_another_task_is_published_restored_and_verified(
    project: Project, tmp_path: Path
) -> None:
    """The code differs from every commit: a patch carries it, and a queued run has a folder of its own."""
    code = project.root / "stages/attention/weights.py"
    text = code.read_text()
    code.write_text(text.replace("bound = np.float32(1 / ", "bound = np.float32(0.5 / "))
    sizes = [f"--set-param=data.{name}=null" for name in ("seq_len", "n_contexts", "true_attention")]
    changed = ["--set-param=data.task=caption", *sizes, "--set-param=model.attention=softmax"]
    project.run("dvc", "exp", "run", "--temp", "--quiet", "--name", "halved", *changed)
    code.write_text(text)
    published = attention(project, "publish", "--all")
    assert published.returncode == 0, published.stderr
    caption = "softmax, caption, n_train 211, n_test 53, epochs 2, learning_rate 0.01, seed 0"
    assert published.stdout == f"data/: run {NAME}\nhalved: run {caption} (halved)\n"
    restored = attention(project, "restore", "halved", str(tmp_path / "restored"))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert restored.stdout.endswith(f"halved restored; {OUTPUTS} of {OUTPUTS} outputs agree byte for byte\n")
    copy = Project(tmp_path / "restored")
    assert "0.5 / " in (copy.root / "stages/attention/weights.py").read_text()
    assert {"loss", "accuracy"} < json.loads((copy.root / "data/evaluate/metrics.json").read_text()).keys()
    verified = attention(project, "verify", "halved")
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert verified.stdout.endswith(f"halved: {OUTPUTS} of {OUTPUTS} outputs agree byte for byte\n")


def test_verify_compares_every_output_and_sees_one_changed_digest(project: Project, tmp_path: Path) -> None:
    """In a clone that is detached and knows no origin."""
    clone = Project(tmp_path / "clone")
    project.run("git", "clone", "--quiet", str(project.root), str(clone.root))
    clone.run("git", "checkout", "--quiet", "--detach")
    clone.run("git", "remote", "remove", "origin")
    lock = clone.root / "dvc.lock"
    text = lock.read_text()
    place = text.index("md5: ", text.index("path: data/study/summary.csv"))  # which no stage reads
    lock.write_text(text[:place] + "md5: " + "f" * 32 + text[place + 37 :])
    done = attention(clone, "verify")
    lines = done.stdout.splitlines()
    assert done.returncode == 1, done.stderr
    assert lines[-1] == f"the working tree: {OUTPUTS - 1} of {OUTPUTS} outputs agree byte for byte"
    assert [line.split()[0] for line in lines if line.endswith("DIFFERENT")] == ["data/study/summary.csv"]
    assert sum(line.endswith("same") for line in lines) == OUTPUTS - 1


def test_restore_refuses_a_folder_that_is_not_empty(project: Project, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    refused = attention(project, "restore", "anything", str(tmp_path))
    assert refused.returncode == 1
    assert refused.stderr == f"{tmp_path}: is not empty; allowed: a new or empty folder; nothing was changed\n"
    refused = attention(project, "restore", "anything", str(tmp_path / "mine.txt"))
    assert refused.stderr == f"{tmp_path}/mine.txt: is a file; allowed: a new or empty folder; nothing was changed\n"
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    refused = attention(project, "restore", "anything", str(tmp_path / "link"))
    assert refused.stderr == f"{tmp_path}/link: is a link; allowed: a new or empty folder; nothing was changed\n"


def test_a_name_that_nothing_has_is_refused_with_what_there_is(project: Project, tmp_path: Path) -> None:
    attention(project, "publish")
    refused = attention(project, "restore", "nobody", str(tmp_path / "new"))
    assert refused.returncode == 1
    told = refused.stderr.splitlines()[-1]  # MLflow's own warnings may stand before it
    assert told.startswith("nobody: neither a DVC experiment, a commit, nor an MLflow run by id, name or key; known: ")
    assert NAME in told
    assert not (tmp_path / "new").exists()


def test_the_command_needs_a_project(project: Project, tmp_path: Path) -> None:
    done = Project(tmp_path).attempt(
        "python", "-m", "attention.project", "doctor", PYTHONPATH=str(project.root / "stages")
    )
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


def test_runs_of_changed_trees_come_back_from_the_cache_and_without_it(project: Project, tmp_path: Path) -> None:
    """New files too, which DVC leaves out of an experiment; `benchmarks/trust.py restore` tries many more."""
    project = project.copy(tmp_path / "project")
    by_name, by_id = Wanted({"seed": 2}, "a new file", "experiment"), Wanted({"seed": 3}, "a new binary file", "id")
    kept = [make(project, one, number) for number, one in enumerate((by_name, by_id))]
    assert [*problems(project, kept[1], tmp_path / "from cache")] == []
    lose_cache(project)
    assert [*problems(project, kept[0], tmp_path / "by running")] == []


def test_outputs_come_from_a_remote_and_a_local_configuration_is_kept(project: Project, tmp_path: Path) -> None:
    project = project.copy(tmp_path / "project")
    project.run("dvc", "remote", "add", "--quiet", "--default", "store", str(tmp_path / "store"))
    config = project.root / ".dvc/config"
    config.write_text(config.read_text().replace(str(tmp_path / "store"), "../../store"))  # from the folder of the file
    (project.root / ".dvc/config.local").write_text("[cache]\n    type = copy\n")
    project.commit("remote")
    attention(project, "publish")
    project.run("dvc", "push", "--quiet")
    wanted = project.outputs()
    lose_cache(project)
    restored = attention(project, "restore", NAME, str(tmp_path / "restored"))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert Project(tmp_path / "restored").outputs() == wanted
    assert not (tmp_path / "restored/mlflow.db").exists(), "nothing ran"
    assert "type = copy" in (tmp_path / "restored/.dvc/config.local").read_text()


def test_what_a_remote_falsified_does_not_stay_in_the_projects_own_cache(project: Project, tmp_path: Path) -> None:
    project = project.copy(tmp_path / "project")
    project.run("dvc", "remote", "add", "--quiet", "--default", "store", str(tmp_path / "store"))
    project.commit("remote")
    project.run("git", "update-ref", f"refs/exps/12/{'a' * 38}/kept", "HEAD")
    project.run("dvc", "push", "--quiet")
    wanted = project.outputs()
    lose_cache(project)
    for file in (tmp_path / "store/files/md5").glob("??/*"):
        file.chmod(0o644)
        file.write_bytes(file.read_bytes() if file.suffix == ".dir" else b"false")
    restored = attention(project, "restore", "kept", str(tmp_path / "restored"), PYTHONWARNINGS="ignore")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert Project(tmp_path / "restored").outputs() == wanted
    cached = (project.root / ".dvc/cache/files/md5").glob("??/*")
    assert [file for file in cached if file.read_bytes() == b"false"] == []


@pytest.mark.parametrize("tracker", [closed_port, no_such_store])
@pytest.mark.parametrize("command", [("verify", "nobody"), ("restore", "nobody", "new"), ("publish",)])
def test_a_tracker_that_does_not_answer_is_told_in_one_line_without_its_password(
    tracker: Callable[[], contextlib.AbstractContextManager[str]], command: tuple[str, ...], project: Project
) -> None:
    with tracker() as uri:
        done = attention(project, *command, MLFLOW_TRACKING_URI=uri, PYTHONWARNINGS="ignore")
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("MLflow did not answer, or stopped answering (")
    assert line.endswith("one that answers; `attention doctor` looks at the store")
    assert PASSWORD not in done.stdout + done.stderr
    assert not (project.root / "new").exists()


def test_publish_completes_what_a_server_lost_that_went_away(project: Project, tmp_path: Path) -> None:
    """Killed as soon as the run exists; the same store, opened again, then has all of it, once."""
    project = project.copy(tmp_path / "project")
    with mlflow_server(tmp_path) as (uri, group):
        path = str(project.root / "stages")
        environment = warm_environment(MLFLOW_TRACKING_URI=uri, PYTHONPATH=path, PYTHONWARNINGS="ignore")
        command = ["python", "-m", "attention.project", "publish"]
        with (tmp_path / "said.txt").open("w") as said:
            publishing = subprocess.Popen(command, cwd=project.root, env=environment, stdout=said, stderr=said)
        while publishing.poll() is None and not count(tmp_path / "server.db", "runs"):
            time.sleep(0.01)
        os.killpg(group, signal.SIGKILL)
        assert publishing.wait() == 1
    said_last = (tmp_path / "said.txt").read_text().splitlines()[-1]
    assert said_last == "MLflow was lost on the way; `attention publish` again completes the run"

    attention(project, "publish")
    store = {"MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/server.db", "PYTHONWARNINGS": "ignore"}
    with sqlite3.connect(tmp_path / "server.db") as server:  # its artifacts were behind the server
        server.execute("UPDATE runs SET artifact_uri = ?", ((tmp_path / "artifacts").as_uri(),))
        server.execute("UPDATE experiments SET artifact_location = ?", ((tmp_path / "artifacts").as_uri(),))
    for _ in range(2):
        done = attention(project, "publish", **store)
        assert done.returncode == 0, done.stderr
    numbers = "SELECT key, step, value FROM metrics ORDER BY key, step"
    with sqlite3.connect(tmp_path / "server.db") as server, sqlite3.connect(project.root / "mlflow.db") as whole:
        assert server.execute(numbers).fetchall() == whole.execute(numbers).fetchall()
    assert count(tmp_path / "server.db", "runs") == count(project.root / "mlflow.db", "runs")


def count(store: Path, table: str) -> int:
    with sqlite3.connect(store) as connection:
        return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


def test_a_state_that_is_not_there_is_told_in_one_line(project: Project, tmp_path: Path) -> None:
    project = project.copy(tmp_path / "project")
    attention(project, "publish")
    lock = project.root / "dvc.lock"
    text = lock.read_text()
    expected = {
        "dvc.lock: is not as DVC writes it; `git checkout dvc.lock` brings the committed one back": "stages: [7]",
        f"{lock}: cannot be read (No such file or directory); `dvc repro` makes results": None,
    }
    for message, content in expected.items():
        lock.unlink()
        if content:
            lock.write_text(content)
        done = attention(project, "verify")
        assert (done.returncode, done.stderr) == (1, f"{message}\n")
    lock.write_text(text)

    for sql, message in {
        "UPDATE tags SET value = printf('%040d', 0) WHERE key = 'mlflow.source.git.commit'": (
            f"{NAME}: its commit {'0' * 40} is not in this repository; `git fetch --all` may bring it"
        ),
        "DELETE FROM tags WHERE key = 'mlflow.source.git.commit'": (
            f"{NAME}: its run has no git commit, so its code is not known; run it again in a git repository"
        ),
    }.items():
        with sqlite3.connect(project.root / "mlflow.db") as store:
            store.execute(sql)
        done = attention(project, "restore", NAME, str(tmp_path / "new"), PYTHONWARNINGS="ignore")
        assert (done.returncode, done.stderr) == (1, f"{message}\n")
        assert not (tmp_path / "new").exists()

    params = (project.root / "params.yaml").read_text()
    (project.root / "params.yaml").write_text(params.replace("epochs: 2", "epochs: 3"))
    done = attention(project, "verify")
    (project.root / "params.yaml").write_text(params)
    assert (done.returncode, done.stderr) == (
        1,
        f"{project.root}: dvc.lock does not match params.yaml: train, study ran with other values; `dvc repro` makes "
        "the results of these, `git checkout params.yaml dvc.lock` returns to the committed ones\n",
    )

    shutil.rmtree(project.root / ".git")
    done = attention(project, "verify")
    assert done.returncode == 1
    assert done.stderr.startswith(f"{project.root}: `git rev-parse HEAD …` failed: ")
    assert done.stderr.endswith("; is this a git repository with a commit?\n")
    ill = attention(project, "doctor")
    assert ill.returncode == 1
    assert "WRONG  cache" in ill.stdout
    assert "`dvc data status` failed (" in ill.stdout


def test_code_that_does_not_run_is_told_with_a_file_that_has_all_it_said(project: Project, tmp_path: Path) -> None:
    """And nothing else stays, neither of a copy nor in the folder that was to be restored: once mended, it works."""
    project = project.copy(tmp_path / "project")
    code = project.root / "stages/train.py"
    code.write_text("raise ImportError('broken')\n")
    project.commit("broken")
    project.run("git", "update-ref", f"refs/exps/12/{'a' * 38}/broken", "HEAD")
    (tmp_path / "temporary").mkdir()
    (tmp_path / "empty").mkdir()
    for command in (
        ("verify",),
        ("restore", "broken", str(tmp_path / "new")),
        ("restore", "broken", f"{tmp_path}/empty"),
    ):
        done = attention(project, *command, TMPDIR=str(tmp_path / "temporary"), PYTHONWARNINGS="ignore")
        assert done.returncode == 1
        (log,) = (tmp_path / "temporary").iterdir()
        assert done.stderr.splitlines()[-1] == (
            f"`dvc repro` failed in a copy made for it: ImportError: broken; {log} has all that it said"
        )
        assert "stages/train.py" in log.read_text()
        log.unlink()
    assert not (tmp_path / "new").exists()
    assert [*(tmp_path / "empty").iterdir()] == []


def test_a_file_of_the_project_that_is_gone_is_told_in_one_line(project: Project) -> None:
    lock = project.root / "requirements.lock"
    text = lock.read_text()
    lock.unlink()
    done = attention(project, "doctor")
    lock.write_text(text)
    assert (done.returncode, done.stderr) == (1, "")
    assert "WRONG  environment   requirements.lock: [Errno 2] No such file or directory" in done.stdout
    assert "environment: `git checkout requirements.lock`" in done.stdout.splitlines()


def test_what_the_system_refuses_is_told_in_one_line(project: Project, tmp_path: Path) -> None:
    (tmp_path / "dvc.yaml").mkdir()
    command = ("python", "-m", "attention.project", "declare")
    done = Project(tmp_path).attempt(*command, PYTHONPATH=str(project.root / "stages"))
    told = f"{tmp_path}/dvc.yaml: Is a directory; mend that, and give the command again\n"
    assert (done.returncode, done.stderr) == (1, told)


def test_the_command_works_below_the_root(project: Project) -> None:
    below = Project(project.root / "stages")
    done = below.attempt("python", "-m", "attention.project", "publish", "--all", PYTHONPATH=str(below.root))
    assert done.returncode == 0, done.stderr
    assert not (below.root / "mlflow.db").exists()


def test_a_project_below_its_repository_is_proved_listed_and_restored(tmp_path: Path) -> None:
    """Another project than ours, in a folder with a name of any characters."""
    repository, root = tmp_path / "repository", tmp_path / "repository/below/öne more"
    subprocess.run([sys.executable, str(ROOT / "tests/second_project/lay_out.py"), str(root)], check=True)
    shutil.rmtree(root / ".git")
    (repository / "outside.txt").write_text("of another project\n")
    project = Project(root)
    project.run("git", "init", "--quiet", str(repository))
    project.run("git", "add", "--all", str(repository))
    project.commit("code")
    project.run("dvc", "repro", "--quiet", PYTHONWARNINGS="ignore")
    project.commit("results")
    for name in ("longer", "again"):
        change = ("-S", "count.min_length=5")
        project.run("dvc", "exp", "run", "--quiet", "--name", name, *change, PYTHONWARNINGS="ignore")
        project.run("git", "checkout", "--quiet", ".")

    def words(*arguments: str) -> str:
        path = {"PYTHONPATH": str(root / "stages"), "PYTHONWARNINGS": "ignore"}
        return project.run("python", "-m", "words.project", *arguments, **path).stdout

    assert words("verify").endswith("the working tree: 3 of 3 outputs agree byte for byte\n")
    rows = {one["name"]: (one["what"], one["state"]) for one in json.loads(words("runs", "--json"))}
    own = "committed"
    assert rows == {
        own: ("min_length 3, lowercase True, top 5, seed 0", "computed"),
        "longer": ("min_length 5, lowercase True, top 5, seed 0", "computed"),
        "again": ("min_length 5, lowercase True, top 5, seed 0", "cached"),
    }
    folder = tmp_path / "restored"
    assert words("restore", own, str(folder)).endswith("restored; 3 of 3 outputs agree byte for byte\n")
    project.run("dvc", "checkout", "--quiet")
    assert Project(folder / "below/öne more").outputs() == project.outputs()
    assert (folder / "outside.txt").exists()


def test_the_patch_of_a_tree_leaves_the_repository_as_it_is(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the user's index nor the objects change; no huge file and no other repository gets into it."""
    root = project.copy(tmp_path / "project").root
    project = Project(root)
    (root / "stages/evaluate.py").write_bytes(b"x = '\xe9'\r\n")  # neither UTF-8 nor ends of lines of this system
    (root / "stages/new [file].py").write_text("y = 1\n")
    (root / "data.bin").write_bytes(bytes(LARGEST + 1))
    project.run("git", "init", "--quiet", "inner")
    (root / "note.txt").write_text("staged")
    project.run("git", "add", "note.txt")
    before = {path: path.read_bytes() for path in (root / ".git").rglob("*") if path.is_file()}
    monkeypatch.setenv("GIT_INDEX_FILE", str(root / ".git/index"))  # as git tells its hooks
    patch = code_patch(root)
    assert {path: path.read_bytes() for path in (root / ".git").rglob("*") if path.is_file()} == before
    named = {line.split()[-1] for line in patch.splitlines() if line.startswith(b"diff --git")}
    assert named == {b"b/note.txt", b"b/stages/evaluate.py", b"[file].py"}
    project.run("git", "stash", "--quiet", "--include-untracked")
    subprocess.run(["git", "apply", "--binary", "-"], cwd=root, input=patch, check=True, env=clean_environment())
    assert (root / "stages/evaluate.py").read_bytes() == b"x = '\xe9'\r\n"


def test_a_shell_completes_the_command(project: Project) -> None:
    script = attention(project, "completion", "bash").stdout
    tried = f"{script}\nCOMP_WORDS=(attention re); COMP_CWORD=1; _shtab_attention; echo ${{COMPREPLY[@]}}"
    assert project.run("bash", "-c", tried).stdout.split() == ["restore"]


def test_output_that_nobody_reads_to_its_end_is_no_error(project: Project) -> None:
    command = "python -m workbench.command.main completion bash | head -n 1; echo ${PIPESTATUS[0]}"
    done = project.attempt("bash", "-c", command, PYTHONPATH=str(project.root / "stages"))
    assert (done.stdout.splitlines()[-1], done.stderr) in {("141", ""), ("0", "")}


def test_of_experiments_of_one_name_a_commit_names_one(project: Project, tmp_path: Path) -> None:
    project = project.copy(tmp_path / "project")
    for baseline in ("a" * 38, "b" * 38):
        project.run("git", "update-ref", f"refs/exps/12/{baseline}/twice", "HEAD")
        project.run("git", "commit", "--quiet", "--allow-empty", "--message", baseline)
    one, other = (project.run("git", "rev-parse", f"HEAD~{back}").stdout[:7] for back in (2, 1))
    refused = attention(project, "restore", "twice", str(tmp_path / "new"), PYTHONWARNINGS="ignore")
    assert (refused.returncode, refused.stderr) == (
        1,
        f"twice: 2 DVC experiments have this name; allowed: the commit of one of them, {one} or {other}; "
        "`dvc exp show --all-commits` shows them\n",
    )
    restored = attention(project, "restore", other, str(tmp_path / "new"), PYTHONWARNINGS="ignore")
    assert restored.returncode == 0, restored.stderr
    assert Project(tmp_path / "new").run("git", "rev-parse", "HEAD").stdout[:7] == other
