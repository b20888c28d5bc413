"""Where a study is computed: the same bytes everywhere, whoever dies; and what is said where it cannot be."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from clusters import CLUSTERS, Cluster, need
from conftest import Project, clean_environment, own_cache, warm_environment
from faulty_servers import closed_port, end_group, silent_server

from attention.params import load_params
from attention.studies.trainings import TRAININGS, Outcome, Training, code_digest
from workbench.compute.schedule import CHUNK_SECONDS, Report, _Chunks, compute_chunk

PACKAGES = {"dask": "distributed", "ray": "ray"}
SOONER_OR_LATER = 240  # seconds, far more than anything here takes
SLOW = {"data.n_train": 100_003, "train.epochs": 20, "study.seeds": 16, "study.grid": {}}  # a fifth of a second each
QUIET = {"PYTHONWARNINGS": "ignore"}


@pytest.fixture(scope="module")
def prepared(finished_project: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project in which the study alone will run, with enough trainings for many chunks."""
    project = finished_project.copy(tmp_path_factory.mktemp("compute") / "project", ".dvc")
    project.set_params({"study.seeds": 40})
    return project


@pytest.fixture(scope="module")
def alone(prepared: Project) -> dict[str, bytes]:
    """What one thread computes."""
    project = prepared.copy(prepared.root.parent / "alone")
    return study(project, backend="threading", workers=1)


@pytest.fixture(scope="module")
def slow(prepared: Project) -> tuple[Project, dict[str, bytes]]:
    """A project whose trainings take long enough to be disturbed, without its study, and what that would write."""
    project = prepared.copy(prepared.root.parent / "slow")
    project.set_params(SLOW)
    wanted = study(project, backend="threading", workers=2)
    for name in wanted:
        (project.root / name).unlink()
    return project, wanted


@pytest.fixture(scope="module", params=CLUSTERS)
def cluster(
    request: pytest.FixtureRequest, prepared: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Cluster]]:
    backend = request.param
    need(PACKAGES[backend], f"pip install -e '.[{backend}]'")
    with CLUSTERS[backend](prepared.root / "stages", tmp_path_factory.mktemp(backend)) as started:
        yield backend, started


def settings(**compute: Any) -> dict[str, Any]:
    plain = {"backend": "threading", "workers": None, "address": None}
    return {f"compute.{name}": value for name, value in (plain | compute).items()}


def study(project: Project, environment: Mapping[str, str] = MappingProxyType({}), **compute: Any) -> dict[str, bytes]:
    """Run the study in a new folder and return what it writes."""
    project.set_params(settings(**compute))
    project.run("python", "stages/study.py", **QUIET, **own_cache(Path(f"{project.root}.cache")), **environment)
    return {name: data for name, data in project.outputs().items() if name.startswith("data/study/")}


def refusal(project: Project, environment: Mapping[str, str] = MappingProxyType({}), **compute: Any) -> str:
    """Run a study that cannot be computed and return what it says; nothing else may happen."""
    before = project.outputs()
    project.set_params(settings(**compute))
    done = project.attempt(
        "python", "stages/study.py", **QUIET, **own_cache(Path(f"{project.root}.cache")), **environment
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert project.outputs() == before
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize(("backend", "workers"), [("threading", 2), ("threading", 5), ("loky", 2)])
def test_threads_and_processes_write_the_same_bytes(
    backend: str, workers: int, prepared: Project, alone: dict[str, bytes], tmp_path: Path
) -> None:
    assert study(prepared.copy(tmp_path / "project"), backend=backend, workers=workers) == alone


@pytest.mark.parametrize("workers", [None, 1])
def test_a_cluster_writes_the_same_bytes(
    cluster: tuple[str, Cluster], workers: int | None, prepared: Project, alone: dict[str, bytes], tmp_path: Path
) -> None:
    backend, there = cluster
    project = prepared.copy(tmp_path / "project")
    assert study(project, there.environment, backend=backend, workers=workers, address=there.address) == alone


def test_workers_with_other_code_are_refused(
    cluster: tuple[str, Cluster], prepared: Project, alone: dict[str, bytes], tmp_path: Path
) -> None:
    backend, there = cluster
    project = prepared.copy(tmp_path / "project")
    with (project.root / "stages/attention/studies/trainings.py").open("a") as file:
        file.write("# other code\n")
    if backend == "ray":  # its workers look where the study is first, and here they find that
        assert study(project, there.environment, backend=backend, address=there.address) == alone
        return
    assert refusal(project, there.environment, backend=backend, address=there.address) == (
        f"params.yaml: compute.backend: got '{backend}', whose workers have other code of this project; "
        "allowed: the same commit and packages as here; bring them up to date, and start them again"
    )


def test_a_worker_that_is_killed_in_the_middle_changes_no_byte(
    cluster: tuple[str, Cluster], slow: tuple[Project, dict[str, bytes]], tmp_path: Path
) -> None:
    """The last test of the cluster: it has one worker then."""
    backend, there = cluster
    project, wanted, cache = slow[0].copy(tmp_path / "project"), slow[1], tmp_path / "cache"
    project.set_params(settings(backend=backend, address=there.address))
    running = subprocess.Popen(
        ["python", "stages/study.py"],
        cwd=project.root,
        env=warm_environment(**own_cache(cache), **QUIET, **there.environment),
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: finished(cache) >= 3, running)
        there.kill_a_worker()
        killed_at = finished(cache)
        _, said = running.communicate(timeout=SOONER_OR_LATER)
    finally:
        end_group(running.pid)
        running.wait()
    assert running.returncode == 0, said
    assert 3 <= killed_at < SLOW["study.seeds"]  # type: ignore[operator]
    assert {name: (project.root / name).read_bytes() for name in wanted} == wanted


@pytest.mark.parametrize("backend", CLUSTERS)
def test_a_cluster_of_this_machine_alone_is_started_where_no_address_is_given(
    backend: str, prepared: Project, alone: dict[str, bytes], tmp_path: Path
) -> None:
    need(PACKAGES[backend], f"pip install -e '.[{backend}]'")
    project = prepared.copy(tmp_path / "project")
    environment = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 64}  # else Ray leaves one in the home folder
    assert study(project, environment, backend=backend, workers=1) == alone


def finished(cache: Path) -> int:
    """Count the members that a study has in its journal."""
    return sum(path.read_text().count("\n") for path in cache.rglob("*.jsonl"))


def wait_for(happened: Any, running: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + SOONER_OR_LATER
    while not happened():
        assert running.poll() is None, running.stderr and running.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_worker_process_that_is_killed_is_replaced(slow: tuple[Project, dict[str, bytes]], tmp_path: Path) -> None:
    """loky's workers, on this machine."""
    import psutil

    project, wanted = slow[0].copy(tmp_path / "project"), slow[1]
    project.set_params(settings(backend="loky", workers=2))
    cache = tmp_path / "cache"
    running = subprocess.Popen(
        ["python", "stages/study.py"],
        cwd=project.root,
        env=clean_environment(**own_cache(cache), **QUIET),
        start_new_session=True,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        wait_for(lambda: finished(cache) >= 3, running)
        workers = [p for p in psutil.Process(running.pid).children(recursive=True) if "popen_loky" in str(p.cmdline())]
        workers[0].kill()
        _, said = running.communicate(timeout=SOONER_OR_LATER)
    finally:
        end_group(running.pid)
        running.wait()
    assert running.returncode == 0, said
    assert {name: (project.root / name).read_bytes() for name in wanted} == wanted


def test_worker_processes_end_with_a_study_that_is_killed(
    slow: tuple[Project, dict[str, bytes]], tmp_path: Path
) -> None:
    import psutil

    project, cache = slow[0].copy(tmp_path / "project"), tmp_path / "cache"
    project.set_params(settings(backend="loky", workers=2))
    running = subprocess.Popen(
        ["python", "stages/study.py"],
        cwd=project.root,
        env=clean_environment(**own_cache(cache), **QUIET),
        start_new_session=True,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait_for(lambda: finished(cache) >= 2, running)
        started = psutil.Process(running.pid).children(recursive=True)
        assert len([process for process in started if "popen_loky" in str(process.cmdline())]) == 2
        running.kill()
        _, left = psutil.wait_procs(started, timeout=60)  # joblib itself lets idle workers be for 300 s
        assert left == []
    finally:
        end_group(running.pid)
        running.wait()


class TestWhatIsSaid:
    @pytest.mark.parametrize("backend", CLUSTERS)
    def test_where_the_package_is_missing(self, backend: str, prepared: Project) -> None:
        code = f"import runpy, sys; sys.modules['{PACKAGES[backend]}'] = None; sys.path[0] = 'stages'\n"
        prepared.set_params(settings(backend=backend))
        done = prepared.attempt(
            "python", "-c", f"{code}runpy.run_path('stages/study.py', run_name='__main__')", **QUIET
        )
        assert done.returncode == 1
        assert done.stderr.splitlines() == [
            f"params.yaml: compute.backend: got '{backend}', which is not installed; pip install -e '.[{backend}]', "
            "or set it to threading or loky"
        ]

    def test_where_workers_die_again_and_again(self, prepared: Project, tmp_path: Path) -> None:
        project = prepared.copy(tmp_path / "project")
        with (project.root / "stages/attention/studies/trainings.py").open("a") as file:
            file.write(
                "\n\ndef run_training(training):\n    import os\n    os.kill(os.getpid(), 9)\n"
                "\n\nimport dataclasses\nTRAININGS = dataclasses.replace(TRAININGS, compute=run_training)\n"
            )
        project.set_params(settings(backend="loky", workers=2))
        done = project.attempt("python", "stages/study.py", **QUIET)
        assert done.returncode == 1
        assert done.stderr.splitlines()[-1] == (
            "params.yaml: compute.backend: got 'loky', whose workers died 3 times without finishing a training "
            "(TerminatedWorkerError); look at their memory and logs, or set it to threading"
        )

    @pytest.mark.parametrize(("backend", "how"), [("dask", "dask scheduler"), ("ray", "ray start --head")])
    def test_where_nobody_listens(self, backend: str, how: str, prepared: Project) -> None:
        need(PACKAGES[backend], f"pip install -e '.[{backend}]'")
        with closed_port() as uri:
            address = uri.rpartition("@")[2]
            assert refusal(prepared, backend=backend, address=address) == (
                f"params.yaml: compute.address: got '{address}', where no {backend.title()} cluster answers "
                f"([Errno 111] Connection refused); start one: {how}; or set compute.backend to threading"
            )

    def test_where_the_address_is_none(self, prepared: Project) -> None:
        need("distributed", "pip install -e '.[dask]'")
        address = "tcp://127.0.0.1:70000"
        said = refusal(prepared, backend="dask", address=address)
        assert said.startswith(f"params.yaml: compute.address: got '{address}', where no Dask cluster answers (")

    def test_where_somebody_listens_who_never_answers(self, prepared: Project) -> None:
        need("distributed", "pip install -e '.[dask]'")
        with silent_server() as uri:
            address = uri.rpartition("@")[2]
            said = refusal(prepared, backend="dask", address=address)
        assert said.startswith(f"params.yaml: compute.address: got '{address}', where no Dask cluster answers (")

    def test_where_a_scheduler_has_no_workers(self, prepared: Project, tmp_path: Path) -> None:
        need("distributed", "pip install -e '.[dask]'")
        with ExitStack() as ending:
            there = ending.enter_context(CLUSTERS["dask"](prepared.root / "stages", tmp_path))
            for group in there.workers:
                end_group(group)
            time.sleep(1)  # until the scheduler has seen it
            assert refusal(prepared, backend="dask", address=there.address) == (
                f"params.yaml: compute.address: got '{there.address}', a scheduler without workers; "
                f"start some: dask worker {there.address}"
            )

    def test_where_workers_lack_the_project(self, prepared: Project, tmp_path: Path) -> None:
        need("distributed", "pip install -e '.[dask]'")
        (tmp_path / "stages/attention").mkdir(parents=True)
        (tmp_path / "stages/attention/__init__.py").touch()
        with CLUSTERS["dask"](tmp_path / "stages", tmp_path) as there:
            said = refusal(prepared, backend="dask", address=there.address)
        assert said == (
            "params.yaml: compute.backend: got 'dask', whose workers lack a module (No module named "
            "'attention.studies'); start them where this project is installed: "
            "pip install -e . in the same commit"
        )


class TestChunks:
    def chunks(self, seconds: float, configurations: int, seeds: int, workers: int) -> list[list[tuple[int, Training]]]:
        """Return all chunks where each training takes so long."""
        each = [load_params() for _ in range(configurations)]
        left = {n * seeds + s: Training(params, s) for n, params in enumerate(each) for s in range(seeds)}
        chunks, seen = _Chunks(TRAININGS, left, workers), list[list[tuple[int, Training]]]()
        for chunk in chunks:
            seen.append(chunk)
            chunks.learn(Report("", seconds * len(chunk), [(index, Outcome([], None, False)) for index, _ in chunk]))
        assert sorted(index for chunk in seen for index, _ in chunk) == sorted(left)
        return seen

    def test_fast_trainings_go_out_many_at_once_the_first_alone(self) -> None:
        sizes = [len(chunk) for chunk in self.chunks(CHUNK_SECONDS / 20, 1, 1000, 2)]
        assert sizes[:3] == [1, 20, 20]
        assert sizes[-1] == 1  # so that all workers end together
        assert len(sizes) < 1000 / 20 + 20

    def test_slow_trainings_go_out_one_by_one(self) -> None:
        assert {len(chunk) for chunk in self.chunks(CHUNK_SECONDS * 3, 2, 7, 2)} == {1}

    def test_a_chunk_holds_one_configuration(self) -> None:
        for chunk in self.chunks(CHUNK_SECONDS / 20, 3, 50, 2):
            assert len({id(training.params) for _, training in chunk}) == 1


def test_the_report_of_a_chunk_says_which_code_computed_it() -> None:
    report = compute_chunk(TRAININGS, [], "other", None)
    assert (report.code, report.results) == (code_digest(), [])
    assert json.dumps(report.code)
