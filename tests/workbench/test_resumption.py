"""A study that is killed goes on where it was: kill -9 at random moments, and the bytes of an undisturbed run."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Project, clean_environment, own_cache
from faulty_servers import end_group

from attention.studies.trainings import TRAININGS, Outcome
from workbench.compute.checkpoint import Checkpoint
from workbench.compute.work import Work

KILLS, WORKERS = 5, 2
SEEDS = 300
SOONER_OR_LATER = 240  # seconds, far more than anything here takes
# Tells of every training that is begun; the digest of the code is that of this one, then.
TELLING = '''
_run_training = run_training


def run_training(training: Training) -> Outcome:
    """Say that it began."""
    with open("begun.txt", "a") as file:
        file.write(f"{training.seed}\\n")
    return _run_training(training)


TRAININGS = Work(**{**vars(TRAININGS), "compute": run_training})
'''


@pytest.fixture
def killed(finished_project: Project, tmp_path: Path) -> Project:
    """A project whose study takes some seconds, in chunks of many trainings."""
    project = finished_project.copy(tmp_path / "project", ".dvc", ".git")
    compute = {"compute.backend": "threading", "compute.workers": WORKERS}
    project.set_params({"study.seeds": SEEDS, "study.grid": {}, "data.n_train": 20_000, "train.epochs": 4, **compute})
    with (project.root / "stages/attention/studies/trainings.py").open("a") as file:
        file.write(TELLING)
    return project


def run(project: Project, cache: Path) -> tuple[set[int], str]:
    """Run the study to its end; return which seeds it trained and what it said."""
    (project.root / "begun.txt").write_text("")
    done = project.run("python", "stages/study.py", PYTHONWARNINGS="ignore", **own_cache(cache))
    return begun(project), done.stdout


def begun(project: Project) -> set[int]:
    seeds = [int(line) for line in (project.root / "begun.txt").read_text().split()]
    assert len(seeds) == len(set(seeds))
    return set(seeds)


def kept(cache: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in cache.rglob("*.jsonl"))


def study_files(project: Project) -> dict[str, bytes]:
    return {name: data for name, data in project.outputs().items() if name.startswith("data/study/")}


def test_kill_9_at_random_moments_costs_no_more_than_what_was_at_work(killed: Project, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    chosen = random.Random(6)  # noqa: S311
    lost = []
    for _ in range(KILLS):
        (killed.root / "begun.txt").write_text("")
        before = kept(cache)
        study = subprocess.Popen(
            ["python", "stages/study.py"],
            cwd=killed.root,
            env=clean_environment(PYTHONWARNINGS="ignore", **own_cache(cache)),
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )
        try:
            enough, deadline = chosen.choice([0, 0, 1, 5, 20]), time.monotonic() + SOONER_OR_LATER
            while len(begun(killed)) < enough and time.monotonic() < deadline:
                assert study.poll() is None
                time.sleep(0.005)
            time.sleep(chosen.random() * (0.05 if enough else 2.0))
            assert study.poll() is None, "too late: the study has ended"
            os.killpg(study.pid, signal.SIGKILL)
            study.wait()
        finally:
            end_group(study.pid)
            study.wait()
        lost.append(len(begun(killed)) - (kept(cache) - before))
    assert max(lost) <= WORKERS, lost  # of chunks of dozens
    reused = kept(cache)
    assert 0 < reused < SEEDS
    trained, said = run(killed, cache)
    assert len(trained) == SEEDS - reused
    assert f"study: {reused} of {SEEDS} trainings reused from a study that did not end" in said
    resumed = study_files(killed)
    assert kept(cache) == 0  # all is in data/ now

    trained, said = run(killed, tmp_path / "other")
    assert (len(trained), "reused" in said) == (SEEDS, False)
    assert study_files(killed) == resumed


def checkpoint(code: str = "ours") -> Checkpoint[str, Outcome]:
    """Return the checkpoint of a study whose trainings are called by a letter."""
    work: Work[str, Outcome] = Work(
        piece="training",
        compute=lambda _: Outcome([], None, False),
        key=str,
        alike=len,
        code=lambda: code,
        to_json=lambda outcome: [*outcome],
        from_json=TRAININGS.from_json,
    )
    return Checkpoint(work, "study")


class TestTheCheckpoint:
    @pytest.fixture(autouse=True)
    def _cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("workbench.compute.checkpoint.cache_folder", lambda: tmp_path)

    def test_what_was_cut_is_not_there_and_what_is_whole_is(self, tmp_path: Path) -> None:
        first = checkpoint()
        first.append([("a", Outcome([[0.1, 0.2, 0.3, 1e-300]], 0.5, True)), ("b", Outcome([], None, False))])
        (file,) = tmp_path.rglob("*.jsonl")
        with file.open("a") as cut:
            cut.write('["c", [[0.1, 0.2')
        assert checkpoint()._everything() == {
            "a": Outcome([[0.1, 0.2, 0.3, 1e-300]], 0.5, True),
            "b": Outcome([], None, False),
        }

    def test_cut_anywhere_or_filled_with_anything_it_says_nothing_wrong(self, tmp_path: Path) -> None:
        wanted = {name: Outcome([[0.1, 0.2, 0.3, 1e-300]] * 2, 0.25, True) for name in ("a", "b")}
        checkpoint().append(wanted.items())
        (file,) = tmp_path.rglob("*.jsonl")
        whole = file.read_bytes()
        anything = b'\n[["a"], 1, 2]\n["a", 3, 0.5]\n["a", [["x"]], "y"]\n["a", [], NaN]\n' + b"[" * 10_000
        for length in range(len(whole)):
            for rest in (b"", bytes(len(whole) - length), anything):
                file.write_bytes(whole[:length] + rest)
                assert checkpoint()._everything().items() <= wanted.items()
        file.write_bytes(whole)
        assert checkpoint()._everything() == wanted
        file.chmod(0o620)
        assert checkpoint()._everything() == {}

    def test_another_code_knows_nothing_of_it(self) -> None:
        checkpoint().append([("a", Outcome([], None, False))])
        assert checkpoint()._everything()
        assert not checkpoint(code="other")._everything()

    def test_a_study_that_ends_leaves_another_one_that_runs_alone(self, tmp_path: Path) -> None:
        other, ours = checkpoint(), checkpoint()
        other.append([("a", Outcome([], None, False))])
        (folder,) = tmp_path.glob("study/*")
        dead = folder / "1-00000000-0000-0000-0000-000000000000_1_1-abcdef01.jsonl"  # of another boot
        dead.write_text('["b", [], null, false]\n')
        assert ours._everything().keys() == {"a", "b"}
        ours.append([("c", Outcome([], None, False))])
        (own,) = (path for path in folder.iterdir() if '"c"' in path.read_text())
        files = {*folder.iterdir()}
        renamed = folder / f"1-unknown-{other._mine}.jsonl"  # a study of which nobody knows
        next(path for path in files if other._mine in path.name).rename(renamed)
        again = checkpoint()
        assert again._everything().keys() == {"a", "b", "c"}
        ours.remove()
        assert {*folder.iterdir()} <= {renamed}
        assert not own.exists()

    def test_a_folder_that_cannot_be_written_costs_nothing_else(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "file").touch()
        monkeypatch.setattr("workbench.compute.checkpoint.cache_folder", lambda: tmp_path / "file")
        kept = checkpoint()
        kept.append([("a", Outcome([], None, False))])
        assert list(kept.known(["a"])) == []
        kept.remove()
