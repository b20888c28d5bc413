"""Runs that a colleague forged in a real store: nothing of theirs runs or is written without the user's word."""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from conftest import LABORATORY, Project, open_store
from hostile import CODE, DATA, FORGERIES, MODEL, RAN, Forgery, both, everything, forge, git, patch_of, write

from attention.project import origin
from workbench.command import find
from workbench.command.clone import lay_out, share_cache, write_plainly
from workbench.command.consent import consent
from workbench.command.find import find_state
from workbench.command.restore import restore
from workbench.command.snapshot import State, present_state
from workbench.command.verify import verify
from workbench.stage.errors import RestoreError, printable
from workbench.tracking.patches import changes

pytestmark = pytest.mark.filterwarnings("ignore")  # MLflow's own, in this process

Forge = Callable[..., str]


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory, finished_project: Project) -> Project:
    """A project between files that must not change, with an experiment that has a new file, and a store."""
    place = tmp_path_factory.mktemp("hostile")
    (place / "victim").write_text("mine")
    (place / "victims").mkdir()
    project = replace(finished_project.copy(place / "project"), warm=False)  # git alone is asked
    baseline = git(project.root, "rev-parse", "HEAD").decode().strip()
    write("stages/other.py", "THEIRS = 0\n")(project.root)
    project.commit("an experiment")
    project.run("git", "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/faster", "HEAD")
    project.run("git", "reset", "--quiet", "--hard", baseline)
    return project


@pytest.fixture
def forged(victim: Project, monkeypatch: pytest.MonkeyPatch) -> Forge:
    """What writes a forged run into the victim's store; the working folder is the victim's."""
    monkeypatch.chdir(victim.root)
    for name in [name for name in os.environ if name.startswith(("MLFLOW_TRACKING", "DVC_"))]:
        monkeypatch.delenv(name)
    from workbench.tracking.store import open_store as open_own

    client, experiment_id = open_own("attention")

    def make(forgery: Forgery, **more: str) -> str:
        return forge(client, experiment_id, victim, forgery, **more)

    return make


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forged_run_is_refused_in_one_line_and_nothing_ran_or_changed(
    name: str, victim: Project, forged: Forge, tmp_path: Path
) -> None:
    forgery = FORGERIES[name]
    run, before = forged(forgery), everything(victim.root.parent)
    for command in (
        partial(restore, LABORATORY, victim.root, run, tmp_path / "new"),
        partial(verify, LABORATORY, victim.root, run),
    ):
        with pytest.raises(RestoreError, match=forgery.refusal) as refused:
            command(yes=forgery.yes)
        assert str(refused.value).isprintable()
        assert everything(victim.root.parent) == before
        assert not (tmp_path / "new").exists()
    assert not (victim.root.parent / RAN).exists()


def test_a_run_without_changes_is_laid_out_without_a_question(victim: Project, forged: Forge, tmp_path: Path) -> None:
    """The twin: what the refused ones differ in is what they are refused for."""
    for forgery in (Forgery(""), Forgery("", both(write("stages/new.py"), write("stages/train.py")))):
        state = consent(find_state(LABORATORY, victim.root, forged(forgery)), victim.root, yes=bool(forgery.change))
        copy = lay_out(state, victim.root, tmp_path / printable(str(len(state.patch))))
        assert (copy / "params.yaml").read_bytes() == (victim.root / "params.yaml").read_bytes()
    assert (copy / "stages/new.py").read_text() == CODE


NEW = write("stages/random.py")
OTHER = {"mlflow.source.git.commit": "1" * 40}
FOR_AN_EXPERIMENT = {
    "changed code": Forgery("", write("stages/train.py")),
    "changed code and a new file": Forgery("its run's new files|left out", both(write("stages/train.py"), NEW)),
    "a new file": Forgery("left out, `--yes` takes them", NEW),
    "a file that the experiment has": Forgery("", write("stages/other.py")),
    "a new file on another commit": Forgery("no MLflow run of its training was found", NEW, tags=OTHER),
    "a file taken away": Forgery("", lambda root: (root / "stages/plot.py").unlink()),
    "a commit that is an option": Forgery("", NEW, tags={"mlflow.source.git.commit": "--output=x"}),
    "a digest that is a path": Forgery("names the digest", NEW, dataset=(DATA, "../victim")),
    "a link outwards": Forgery("is a link that leads out", lambda root: (root / "stages/way").symlink_to("/etc")),
}


@pytest.mark.parametrize("name", FOR_AN_EXPERIMENT)
def test_an_experiment_is_its_commit_whatever_runs_say_they_are_of_it(
    name: str, victim: Project, forged: Forge, capsys: pytest.CaptureFixture[str]
) -> None:
    forgery = FOR_AN_EXPERIMENT[name]
    run = forged(
        Forgery(
            forgery.refusal, forgery.change, tags={"dvc.exp_name": "faster", **forgery.tags}, dataset=forgery.dataset
        )
    )
    try:
        state = consent(find_state(LABORATORY, victim.root, "faster"), victim.root, yes=False)
    finally:
        delete(victim, run)
    assert (state.patch, state.params) == (b"", None)
    assert state.commit == git(victim.root, "rev-parse", "refs/exps/" + experiment(victim)).decode().strip()
    said = capsys.readouterr()
    assert forgery.refusal.split("|")[-1] in said.err + said.out


def experiment(victim: Project) -> str:
    baseline = git(victim.root, "rev-parse", "HEAD").decode().strip()
    return f"{baseline[:2]}/{baseline[2:]}/faster"


def delete(victim: Project, *runs: str) -> None:
    client = open_store(f"sqlite:///{victim.root}/mlflow.db")
    for run in runs:
        client.delete_run(run)


def test_new_files_of_an_experiment_come_with_the_users_word_and_it_is_said_from_whom(
    victim: Project, forged: Forge, capsys: pytest.CaptureFixture[str]
) -> None:
    own = Forgery(
        "",
        both(write("stages/train.py", "changed"), write("stages/new.py", "y = 1\n")),
        tags={"dvc.exp_name": "faster"},
    )
    run = forged(own)
    state = consent(find_state(LABORATORY, victim.root, "faster"), victim.root, yes=True)
    assert changes(victim.root, state.commit, state.patch) == ["new stages/new.py (+1 -0)"]
    assert f"MLflow run {run} at " in capsys.readouterr().out
    assert state.source.endswith(" of mallory")
    same = forged(own)
    assert consent(find_state(LABORATORY, victim.root, "faster"), victim.root, yes=True).patch == state.patch, (
        "the same twice"
    )
    other = forged(Forgery("", NEW, tags={"dvc.exp_name": "faster"}))
    assert consent(find_state(LABORATORY, victim.root, "faster"), victim.root, yes=True).patch == b""
    said = capsys.readouterr().err
    assert "its MLflow runs hold different new files" in said
    assert other in said
    delete(victim, run, same, other)


def test_experiments_of_one_name_on_two_commits_do_not_mix(
    finished_project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from workbench.command.find import find_state
    from workbench.tracking.store import open_store as open_own

    project = replace(finished_project.copy(tmp_path / "project"), warm=False)
    monkeypatch.chdir(project.root)
    client, experiment_id = open_own("attention")
    commits = []
    for word in ("one", "two"):
        project.run("git", "commit", "--quiet", "--allow-empty", "--message", word)
        baseline = git(project.root, "rev-parse", "HEAD").decode().strip()
        forge(
            client, experiment_id, project, Forgery("", write("stages/new.py", word), tags={"dvc.exp_name": "faster"})
        )
        project.run("git", "commit", "--quiet", "--allow-empty", "--message", f"experiment {word}")
        project.run("git", "update-ref", f"refs/exps/{baseline[:2]}/{baseline[2:]}/faster", "HEAD")
        commits.append(git(project.root, "rev-parse", "HEAD").decode().strip())
        project.run("git", "reset", "--quiet", "--hard", baseline)
    for word, commit in zip(("one", "two"), commits, strict=True):
        assert f"+{word}".encode() in find_state(LABORATORY, project.root, commit[:7]).patch


def test_a_name_means_an_id_first_then_its_beginning_and_never_several_runs(victim: Project, forged: Forge) -> None:
    own, key = forged(Forgery("", tags={"attention.key": "c" * 32}), name="mine"), "c" * 32
    false = [forged(Forgery("", NEW), name=own), forged(Forgery("", NEW), name=own[:8])]
    for name in (own, own[:8], own[:12], "mine", key):
        assert own in find_state(LABORATORY, victim.root, name).source
    more = forged(Forgery("", tags={"mlflow.user": "mal\x1b[2Jlory\nfaster"}), name="mine")
    with pytest.raises(RestoreError) as refused:
        find_state(LABORATORY, victim.root, "mine")
    commit = git(victim.root, "rev-parse", "HEAD").decode()[:9]
    assert str(refused.value).startswith("mine: 2 MLflow runs are meant; name one by its id: ")
    assert f"{own} at {commit}... of mallory" in str(refused.value)
    assert rf"{more} at {commit}... of mal\x1b[2Jlory\nfaster" in str(refused.value)
    delete(victim, own, *false, more)
    with pytest.raises(RestoreError, match="neither a DVC experiment, a commit, nor an MLflow run"):
        find_state(LABORATORY, victim.root, own)


@pytest.mark.parametrize("name", ["it's", 'a "b"', "a`b", "a;b -- c", "100%", "a\\b"])
def test_a_name_of_any_characters_is_found(name: str, victim: Project, forged: Forge) -> None:
    run = forged(Forgery(""), name=name)
    assert run in find_state(LABORATORY, victim.root, name).source


def test_a_run_is_found_on_whatever_page_it_is(victim: Project, forged: Forge, monkeypatch: pytest.MonkeyPatch) -> None:
    run, later = forged(Forgery(""), name="it's old"), forged(Forgery(""), name="it's new")
    monkeypatch.setattr(find, "AT_ONCE", 1)
    assert run in find.find_state(LABORATORY, victim.root, "it's old").source
    delete(victim, run, later)


def test_folders_among_the_artifacts_and_foreign_data_sets_are_no_outputs(
    victim: Project, forged: Forge, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/model.safetensors").write_text("x")
    told = {*origin((victim.root / MODEL).read_bytes()).outputs, MODEL}
    assert told == {"data/generate/truth.csv", DATA, MODEL}
    for path in ("../../victim", "/data/generate/test.parquet", "data/generate/..", "data/../victim", "params.yaml"):
        run = forged(Forgery("", dataset=(path, "0" * 32)))
        open_store(f"sqlite:///{victim.root}/mlflow.db").log_artifacts(run, str(folder), "train")
        assert {*find_state(LABORATORY, victim.root, run).outputs} == told
    of_ours = forged(Forgery("", dataset=("data/generate/test.parquet", "1" * 32)))
    assert {*find_state(LABORATORY, victim.root, of_ours).outputs} == told | {"data/generate/test.parquet"}, "the twin"


def test_where_mlflow_cannot_be_asked_an_experiment_says_so(
    victim: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(victim.root)
    for uri, reason in {
        "http://127.0.0.1:1": "MLflow did not answer",
        "sqlite:///none.db": "there is no none.db here",
    }.items():
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
        assert find_state(LABORATORY, victim.root, "faster").patch == b""
        said = capsys.readouterr().err
        assert said.startswith(
            f"warning: faster: files that were new and not in git cannot be looked up in MLflow ({reason}"
        )
        assert said.endswith("; only its commit is used\n")


@pytest.mark.parametrize("answer", ["y\n", "n\n", "\n", ""])
def test_on_a_terminal_the_user_is_asked(answer: str, victim: Project) -> None:
    import pty

    state = State(
        "x", git(victim.root, "rev-parse", "HEAD").decode().strip(), patch_of(victim, NEW), b"", {}, {}, "run"
    )
    state = State(**{**vars(state), "params": (victim.root / "params.yaml").read_bytes()})
    pid, terminal = pty.fork()
    if not pid:
        sys.stdin, sys.stdout = open(0), open(1, "w")  # noqa: SIM115 - pytest's own stand in their place
        try:
            consent(state, victim.root, yes=False)
            os._exit(0)
        except RestoreError:
            os._exit(3)
        finally:
            os._exit(4)
    said = b""
    while b"[y/N]" not in said:
        said += os.read(terminal, 1000)
    os.write(terminal, answer.encode() or b"\x04")
    _, status = os.waitpid(pid, 0)
    assert b"new stages/random.py (+1 -0)" in said
    assert os.waitstatus_to_exitcode(status) == (0 if answer == "y\n" else 3)


def test_nothing_is_written_through_a_link_and_passwords_stay_with_their_owner(victim: Project, tmp_path: Path) -> None:
    (tmp_path / "there").write_text("mine")
    (tmp_path / "link").symlink_to("there")
    write_plainly(tmp_path / "link", b"ours")
    assert (tmp_path / "there").read_text() == "mine"
    assert (tmp_path / "link").read_text() == "ours"
    (tmp_path / "folder").symlink_to(".")
    with pytest.raises(RestoreError, match=r"folder: is a link in this commit; a folder was expected"):
        write_plainly(tmp_path / "folder/file", b"ours")
    local = victim.root / ".dvc/config.local"
    local.write_text("['remote \"far\"']\n    url = s3://far\n    password = secret\n")
    try:
        copy = lay_out(present_state(LABORATORY, victim.root), victim.root, tmp_path / "copy")
        assert not share_cache(victim.root, copy)
        made = copy / ".dvc/config.local"
        assert made.stat().st_mode & 0o777 == 0o600
        assert "verify = true" in made.read_text()
        local.write_text("[[[")
        with pytest.raises(RestoreError, match=r"config or config.local cannot be read .*; mend that file"):
            share_cache(victim.root, copy)
    finally:
        local.unlink()


def test_a_password_in_dvcs_configuration_is_no_code(victim: Project) -> None:
    config = victim.root / ".dvc/config"
    text = config.read_text()
    config.write_text(f"{text}['remote \"far\"']\n    password = secret\n")
    try:
        assert present_state(LABORATORY, victim.root).patch == b""
    finally:
        config.write_text(text)


def test_modules_of_dvcs_names_in_the_project_do_not_run(victim: Project) -> None:
    from workbench.command.snapshot import dvc_cache

    for name in ("configobj.py", "random.py", "dvc.py"):
        (victim.root / name).write_text("raise SystemExit('taken')\n")
    try:
        assert dvc_cache(victim.root).name == "cache"
        plain = subprocess.run(
            ["python", "-m", "dvc", "cache", "dir"], cwd=victim.root, capture_output=True, check=False
        )
        assert b"taken" in plain.stderr, "the twin"
    finally:
        for name in ("configobj.py", "random.py", "dvc.py"):
            (victim.root / name).unlink()
