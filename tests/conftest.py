"""Copies of the project with small parameters; one that has run is shared by all who only look at it."""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

from attention.project import project as laboratory
from workbench.cache import cache_folder
from workbench.command.dvc_lock import locked_outputs

if TYPE_CHECKING:
    from mlflow.entities import Run
    from mlflow.tracking import MlflowClient

# A shell ignores SIGINT in what it starts in the background, and so would all that the tests start.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if "PYTEST_XDIST_WORKER" not in os.environ:  # the workers take what their controller says
    os.environ |= {"WARM_PYTHON": tempfile.mkdtemp(prefix="warm"), "WARM_PYTHON_OWNER": str(os.getpid())}
    atexit.register(shutil.rmtree, os.environ["WARM_PYTHON"])  # and so the warm Python ends

os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = "60"  # of the tests' own questions to servers, on a machine that is busy

ROOT = Path(__file__).parents[1]
SUPPORT = ROOT / "tests/support"
LABORATORY = laboratory()
OUTPUTS = len(locked_outputs((ROOT / "dvc.lock").read_text()))

# Distinct primes, so that no axis can stand for another; the answer is still learned in two epochs of big steps.
SMALL: Mapping[str, Any] = {
    "data.n_train": 211,
    "data.n_test": 53,
    "data.seq_len": 7,
    "data.n_contexts": 3,
    "data.true_attention": [2, 6, 3],
    "train.epochs": 2,
    "train.learning_rate": 0.01,
    "study.seeds": 3,
    "study.grid": {"model.attention": ["embedding", "softmax"]},
}

# Begun first, those that take longest before the others, so that no worker is left with one when all the rest is done.
LONGEST = (
    *("test_compute", "test_cli", "test_readme", "test_agreement", "test_bad_input", "test_browser"),
    *("test_tracker_faults", "test_second_project", "test_experiments", "test_declarations", "test_listing"),
    *("test_team_server", "test_hostile", "test_cpu_independence", "test_before_the_rooms"),
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest modules first."""
    items.sort(key=lambda item: LONGEST.index(item.path.stem) if item.path.stem in LONGEST else len(LONGEST))


def clean_environment(**more: str) -> dict[str, str]:
    """Return the environment without what would steer DVC, MLflow or git, and with our Python first on the path."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "DVC_", "GIT_", "PYTHON", "PYTEST_"))}
    identity = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    quiet = {"DVC_NO_ANALYTICS": "1", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # three processes of a server less
    return kept | identity | {"PATH": path, "PYTHONWARNINGS": "default"} | quiet | more


def warm_environment(**more: str) -> dict[str, str]:
    """Return a clean environment in which `python` and `dvc` find the slow libraries imported."""
    environment = clean_environment(**more)
    return environment | {"PATH": f"{warm_commands()}{os.pathsep}{environment['PATH']}"}


def own_cache(folder: Path) -> dict[str, str]:
    """Return an environment whose cache is in `folder`: it has what is compiled already, and of no study a journal."""
    folder.mkdir(mode=0o700, exist_ok=True)
    cache = folder / "workbench"
    if not cache.exists():
        cache.mkdir(mode=0o700)
        for file in (cache_folder() or cache).iterdir():
            if file.is_file():
                shutil.copy2(file, cache)
    return {"XDG_CACHE_HOME": str(folder)}


def copy_of_project(folder: Path) -> Path:
    """Copy what git knows of the project (committed or not) into a new repository with one commit."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


@cache
def warm_commands() -> Path:
    """Start the warm Python, one for all workers, and return the folder of the commands that go through it."""
    folder = Path(os.environ["WARM_PYTHON"])
    with FileLock(folder / "lock"):
        if not (folder / "socket").exists():
            _start_warm_python(folder)
    return folder


def _start_warm_python(folder: Path) -> None:
    for name in ("python", "dvc", "attention"):
        command = folder / name
        command.write_text(f"#!{sys.executable} -IS\n{(SUPPORT / 'warm_client.py').read_text()}")
        command.chmod(0o755)
    quiet = {"PYTHONWARNINGS": "ignore", "MLFLOW_CONFIGURE_LOGGING": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    server = subprocess.Popen(
        [sys.executable, str(SUPPORT / "warm_python.py"), str(folder / "socket"), os.environ["WARM_PYTHON_OWNER"]],
        env=clean_environment(**quiet),
    )
    while not (folder / "socket").exists():
        assert server.poll() is None, "tests/support/warm_python.py has ended"
        time.sleep(0.05)
    server.returncode = 0  # it is nobody's to wait for: other workers may need it longer


@dataclass(frozen=True)
class Project:
    """A working copy that a test may do anything to.

    Attributes:
        root: its folder.
        warm: whether its commands find the slow libraries imported.

    """

    root: Path
    warm: bool = True

    def attempt(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command in the project's root, as a user would, and capture what it prints."""
        env = warm_environment(**environment) if self.warm else clean_environment(**environment)
        return subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False, timeout=300)

    def run(self, *command: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command that must succeed."""
        done = self.attempt(*command, **environment)
        assert done.returncode == 0, f"{' '.join(command)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def stage(self, *names: str, **environment: str) -> None:
        """Run stage scripts, in order."""
        for name in names:
            self.run("python", f"stages/{name}.py", **environment)

    def set_params(self, values: Mapping[str, Any]) -> None:
        """Change params.yaml by dotted keys."""
        yaml = YAML()
        tree = yaml.load((self.root / "params.yaml").read_text())
        for key, value in values.items():
            *sections, leaf = key.split(".")
            section = tree
            for name in sections:
                section = section[name]
            section[leaf] = value
        with (self.root / "params.yaml").open("w") as file:
            yaml.dump(tree, file)

    def commit(self, message: str = "change") -> str:
        """Commit everything and return the commit."""
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)
        return self.run("git", "rev-parse", "HEAD").stdout.strip()

    def copy(self, folder: Path, *left_out: str) -> "Project":
        """Copy everything, results and DVC's cache too, but not MLflow's store: its runs name this folder."""
        shutil.copytree(self.root, folder, ignore=shutil.ignore_patterns("mlruns", "mlflow.db*", *left_out))
        return Project(folder)

    def outputs(self) -> dict[str, bytes]:
        """Return every file that the stages wrote."""
        files = (p for p in (self.root / "data").rglob("*") if p.is_file() and p.name != ".gitignore")
        return {p.relative_to(self.root).as_posix(): p.read_bytes() for p in sorted(files)}


def open_store(uri: str) -> "MlflowClient":
    """Open an MLflow store in this process, in peace: MLflow's own deprecation warnings are not ours to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow.tracking import MlflowClient

        import workbench.tracking  # noqa: F401 - switches MLflow's telemetry off

        client = MlflowClient(uri)
        client.search_experiments()
        return client


def recorded_runs(client: "MlflowClient", experiment_name: str = "attention") -> "list[Run]":
    """Return all runs of an experiment, the newest first: that of params.yaml, or of its studies."""
    experiment = client.get_experiment_by_name(experiment_name)
    return list(client.search_runs([experiment.experiment_id])) if experiment else []


def small_project(folder: Path) -> Project:
    """Make a copy of the project with small parameters, committed; nothing has run and no MLflow store exists."""
    project = Project(copy_of_project(folder))
    for file in project.outputs():
        (project.root / file).unlink()
    (project.root / "dvc.lock").unlink(missing_ok=True)
    project.set_params(SMALL)
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.commit("small")
    return project


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A small project in which nothing has run."""
    return small_project(tmp_path / "project")


@pytest.fixture(scope="session")
def finished_project(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Project:
    """A small project after `dvc repro`, one for all workers: look at it, but change nothing."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "finished"
    with FileLock(f"{folder}.lock"):
        if not folder.with_suffix(".done").exists():
            project = small_project(folder)
            project.run("dvc", "repro", "--quiet")
            project.commit("results")
            folder.with_suffix(".done").touch()
    return Project(folder)


@dataclass(frozen=True)
class Race:
    """Trainings that were started at once in copies of the project, on one store that did not exist."""

    copies: list[Project]
    statuses: list[int]
    store: str


@pytest.fixture(scope="session")
def race(tmp_path_factory: pytest.TempPathFactory, worker_id: str, finished_project: Project) -> Race:
    """Eight trainings with seeds 0 to 7, one race for all workers: look at its store, but change nothing."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "race"
    store = f"sqlite:///{folder}/store.db"
    copies = [Project(folder / str(seed)) for seed in range(8)]
    with FileLock(f"{folder}.lock"):
        if not (folder / "statuses.json").exists():
            for seed, project in enumerate(copies):
                finished_project.copy(project.root, ".git", ".dvc")
                project.set_params({"seed": seed, "train.learning_rate": 0.01 * (seed + 1)})
            (folder / "statuses.json").write_text(json.dumps(_train_at_once(copies, store)))
    return Race(copies, json.loads((folder / "statuses.json").read_text()), store)


def _train_at_once(copies: list[Project], store: str) -> list[int]:
    started: list[subprocess.Popen[bytes]] = []
    try:
        for project in copies:
            with (project.root / "said.txt").open("w") as said:
                command = ["python", "stages/train.py"]
                env = warm_environment(MLFLOW_TRACKING_URI=store)
                started.append(
                    subprocess.Popen(command, cwd=project.root, env=env, stdout=said, stderr=subprocess.STDOUT)
                )
        return [training.wait(timeout=300) for training in started]
    finally:
        for training in started:
            training.kill()
            training.wait()
