"""Clusters that are really there: a head and two workers, each a process of its own, on 127.0.0.1."""

import importlib.util
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from conftest import clean_environment
from faulty_servers import end_group

STARTING = 90  # seconds, far more than a cluster needs


@dataclass(frozen=True)
class Cluster:
    """Where it is reached, the workers' process groups, and what the environment of a study needs to be let in."""

    address: str
    workers: list[int]
    environment: Mapping[str, str]

    def kill_a_worker(self) -> None:
        """End a worker with all its processes, without a word to anybody."""
        os.killpg(self.workers[0], signal.SIGKILL)


def need(package: str, how: str) -> None:
    """Skip a test where a package is missing; where CI has to have it, fail."""
    if importlib.util.find_spec(package) is None:
        skip(f"no {package}: {how}")


def skip(why: str) -> None:
    """Skip a test, or fail where CI has to run it."""
    if os.environ.get("CI") == "true":
        pytest.fail(why)
    pytest.skip(why)


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@contextmanager
def dask_cluster(stages: Path, folder: Path) -> Iterator[Cluster]:
    """A scheduler and two workers, whose code is in `stages`."""
    with _started(stages, folder) as start:
        known = folder / "scheduler.json"
        start("scheduler", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--no-show",
              "--scheduler-file", str(known))  # fmt: skip
        _wait(known.exists, folder)
        address = json.loads(known.read_text())["address"]
        worker = ("dask", "worker", address, "--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        workers = [start(f"worker{number}", *worker) for number in range(2)]
        code = f"from distributed import Client; Client('{address}').wait_for_workers(2, timeout={STARTING})"
        subprocess.run([sys.executable, "-c", code], check=True, env=clean_environment(), capture_output=True)
        yield Cluster(address, workers, {})


@contextmanager
def ray_cluster(stages: Path, folder: Path) -> Iterator[Cluster]:
    """A head that computes nothing and two workers, whose code is in `stages`."""
    port = str(free_port())
    address = f"127.0.0.1:{port}"
    # Ray listens to all the network, and whoever may send it work may do anything: it asks for a word.
    let_in = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    with tempfile.TemporaryDirectory(prefix="ray") as short, _started(stages, folder, **let_in) as start:
        here = ("--node-ip-address", "127.0.0.1", "--disable-usage-stats", "--block")
        head = ("--num-cpus", "0", "--include-dashboard", "false", "--temp-dir", short)  # sockets have short names
        start("head", "ray", "start", "--head", "--port", port, *head, *here)
        _wait(lambda: _listens(int(port)), folder)
        worker, workers = ("ray", "start", "--address", address, "--num-cpus", "1", *here), []
        for name in ("worker0", "worker1"):  # one after the other: two that start at once may choose the same ports
            workers.append(start(name, *worker))
            _wait(partial(_says, folder / f"{name}.txt", "Ray runtime started"), folder)
        yield Cluster(address, workers, let_in)


CLUSTERS: dict[str, Callable[[Path, Path], AbstractContextManager[Cluster]]] = {
    "dask": dask_cluster,
    "ray": ray_cluster,
}


@contextmanager
def _started(stages: Path, folder: Path, **environment: str) -> Iterator[Callable[..., int]]:
    """Give a function that starts a command and returns the number of its process group; all end with the block."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(name: str, *command: str) -> int:
        with (folder / f"{name}.txt").open("w") as said:
            process = subprocess.Popen(
                command,
                cwd=folder,
                env=clean_environment(PYTHONPATH=str(stages), PYTHONWARNINGS="ignore", **environment),
                stdout=said,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        processes.append(process)
        return process.pid

    try:
        yield start
    finally:
        for process in processes:
            end_group(process.pid)
            process.wait()


def _listens(port: int) -> bool:
    with socket.socket() as knock:
        return knock.connect_ex(("127.0.0.1", port)) == 0


def _says(file: Path, what: str) -> bool:
    return what in file.read_text()


def _wait(ready: Callable[[], bool], folder: Path) -> None:
    deadline = time.monotonic() + STARTING
    while not ready():
        assert time.monotonic() < deadline, {path.name: path.read_text()[-2000:] for path in folder.glob("*.txt")}
        time.sleep(0.1)
