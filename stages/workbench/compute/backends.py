"""Where work can be computed: threads, processes, a Dask or a Ray cluster, all of them joblib's."""

import asyncio
import logging
import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import joblib

from workbench.stage.errors import ComputeError
from workbench.stage.params import ComputeParams

ANSWER_SECONDS = 5.0  # a cluster that is there answers in milliseconds
LOUD = ("asyncio", "distributed", "distributed.client", "tornado", "tornado.application")  # loggers


@dataclass(frozen=True)
class Backend:
    """A way to compute, ready to use."""

    workers: int  # how many chunks are computed at once
    queued: int  # how many more are sent, so that no worker waits for the next one
    local: bool  # whether workers see this machine's files
    lost: tuple[type[BaseException], ...]  # what says that a worker died
    options: Mapping[str, Any] = field(default_factory=dict)  # of joblib.parallel_config


@contextmanager
def start_backend(where: ComputeParams, most: int) -> Iterator[Backend]:
    """Start or find the workers, no more on this machine than there are pieces, and let go of them at the end."""
    if where.backend == "threading":
        workers = min(most, where.workers or joblib.cpu_count())
        yield Backend(workers, 0, True, (), {"backend": "threading", "n_jobs": workers})
    elif where.backend == "loky":
        from joblib.externals.loky.process_executor import BrokenProcessPool

        workers = min(most, where.workers or joblib.cpu_count())
        options = {"backend": "loky", "n_jobs": workers, "initializer": _end_with, "initargs": (os.getpid(),)}
        yield Backend(workers, 0, True, (BrokenProcessPool,), options)
    elif where.backend == "dask":
        with _dask(where) as backend:
            yield backend
    else:
        with _ray(where) as backend:
            yield backend


def _end_with(parent: int) -> None:
    """End this worker once the process that started it is gone: kill -9 lets nobody tell its workers to."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _dask(where: ComputeParams) -> Iterator[Backend]:
    try:
        from distributed import Client, KilledWorker, LocalCluster
        from distributed.client import FutureCancelledError
        from distributed.comm import connect
        from joblib._dask import DaskDistributedBackend
    except ImportError:
        raise _not_installed(where) from None

    class Telling(DaskDistributedBackend):  # type: ignore[misc, unused-ignore]
        """Tells joblib of a task that the cluster itself failed with: else joblib waits for its result for ever."""

        def submit(self, func: Any, callback: Any = None) -> Any:
            future = super().submit(func, callback)
            future.add_done_callback(lambda done: done.exception() and callback(done.exception()))
            return future

        def retrieve_result_callback(self, out: Any) -> Any:
            if isinstance(out, BaseException):
                raise out
            return super().retrieve_result_callback(out)

        def effective_n_jobs(self, n_jobs: int) -> int:
            return max(2, int(super().effective_n_jobs(n_jobs)))  # with 1, joblib would leave the cluster alone

    for name in LOUD:  # what is wrong is told in one line of ours
        logging.getLogger(name).setLevel(logging.CRITICAL)
    _probe(where)
    local = {"n_workers": where.workers or joblib.cpu_count(), "threads_per_worker": 1, "dashboard_address": None}
    cluster = None if where.address else LocalCluster(**local)
    try:
        if where.address:  # the client would wait without end for somebody who listens and never answers
            asyncio.run(asyncio.wait_for(connect(where.address), ANSWER_SECONDS)).abort()
        client = Client(where.address or cluster, timeout=ANSWER_SECONDS, set_as_default=False)
    except (OSError, ValueError) as error:
        raise _no_answer(where, error) from None
    try:
        cores = sum(client.ncores().values())
        if not cores:
            raise ComputeError(
                f"params.yaml: compute.address: got {where.address!r}, a scheduler without workers; "
                f"start some: dask worker {where.address}"
            )
        workers = min(cores, where.workers or cores)
        joblib.register_parallel_backend("dask", Telling)
        options = {"backend": "dask", "client": client, "n_jobs": -1}
        yield Backend(workers, 0 if where.workers else workers, False, (KilledWorker, FutureCancelledError), options)
    finally:
        client.close()
        if cluster:
            cluster.close()


@contextmanager
def _ray(where: ComputeParams) -> Iterator[Backend]:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # its own new default, without the warning
    try:
        import ray
        from ray.exceptions import NodeDiedError, ObjectLostError, RayActorError, WorkerCrashedError
        from ray.util.joblib.ray_backend import RayBackend
    except ImportError:
        raise _not_installed(where) from None

    class Generating(RayBackend):  # type: ignore[misc, unused-ignore]
        """Gives results as they come: Ray's pool can, only joblib does not expect it of a pool."""

        supports_return_generator = True

    _probe(where)
    workers = None if where.address else where.workers or joblib.cpu_count()
    try:
        ray.init(where.address or "local", num_cpus=workers, log_to_driver=False, logging_level="ERROR")
    except (OSError, RuntimeError, ValueError) as error:
        raise _no_answer(where, error) from None
    joblib.register_parallel_backend("ray", Generating)
    try:
        cores = int(ray.cluster_resources().get("CPU", 0))
        workers = min(cores, where.workers or cores)
        lost = (RayActorError, NodeDiedError, ObjectLostError, WorkerCrashedError)
        yield Backend(workers, workers, False, lost, {"backend": "ray", "n_jobs": workers})
    finally:
        ray.shutdown()


def _not_installed(where: ComputeParams) -> ComputeError:
    return ComputeError(
        f"params.yaml: compute.backend: got {where.backend!r}, which is not installed; "
        f"pip install -e '.[{where.backend}]', or set it to threading or loky"
    )


def _no_answer(where: ComputeParams, error: Exception) -> ComputeError:
    how = {"dask": "dask scheduler", "ray": "ray start --head"}[where.backend]
    reason = str(error).partition("\n")[0][:120] or type(error).__name__
    return ComputeError(
        f"params.yaml: compute.address: got {where.address!r}, where no {where.backend.title()} cluster answers "
        f"({reason}); start one: {how}; or set compute.backend to threading"
    )


def _probe(where: ComputeParams) -> None:
    """Knock at the address: the clients themselves would wait for minutes, and say more than a line."""
    if where.address is None:
        return
    host, _, port = where.address.rpartition("://")[2].rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise _no_answer(where, error) from None
