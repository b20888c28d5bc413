"""Where a study is computed: the one seam, joblib, to threads, processes, a Dask or a Ray cluster.

Members go out in chunks that take about CHUNK_SECONDS, by the time that earlier ones took: a training takes from
milliseconds to a minute, and sending a chunk to a cluster some milliseconds. A worker that dies costs its chunks.
"""

import asyncio
import logging
import os
import socket
import time
from collections import deque
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import joblib

from attention.errors import ComputeError
from attention.journal import Journal, code_digest
from attention.members import Member, Outcome, member_key, train_member
from attention.params import ComputeParams

CHUNK_SECONDS = 0.2
ANSWER_SECONDS = 5.0  # a cluster that is there answers in milliseconds
ATTEMPTS = 3  # how often workers may die without a single training done in between

LOUD = ("asyncio", "distributed", "distributed.client", "tornado", "tornado.application")  # loggers

Indexed = tuple[int, Member]


@dataclass(frozen=True)
class Place:
    """A way to compute, ready to use."""

    workers: int  # how many chunks are computed at once
    queued: int  # how many more are sent, so that no worker waits for the next one
    local: bool  # whether workers see this machine's files
    lost: tuple[type[BaseException], ...]  # what says that a worker died
    options: Mapping[str, Any] = field(default_factory=dict)  # of joblib.parallel_config


@dataclass(frozen=True)
class Report:
    """What comes back of a chunk."""

    code: str  # the digest of the code that computed it
    seconds: float
    outcomes: list[tuple[int, Outcome]]


def compute(
    members: Sequence[Member], done: Container[int], where: ComputeParams, journal: Journal
) -> Iterator[tuple[int, Outcome]]:
    """Yield the number and the outcome of each member that is not done as it is finished, in any order.

    Raises:
        ComputeError: the backend is not installed, does not answer, has other code, or its workers die again and again.

    """
    left = {index: member for index, member in enumerate(members) if index not in done}
    if not left:
        return
    attempts = 0
    while left:
        attempts += 1
        with _place(where, len(left)) as place:  # anew after a death: who is left?
            try:
                for index, outcome in _attempt(left, place, where.backend, journal):
                    del left[index]
                    attempts = 0
                    yield index, outcome
            except place.lost as error:
                if attempts >= ATTEMPTS:
                    raise ComputeError(
                        f"params.yaml: compute.backend: got {where.backend!r}, whose workers died {ATTEMPTS} times "
                        f"without finishing a training ({type(error).__name__}); look at their memory and logs, or "
                        "set it to threading"
                    ) from None
            except (ModuleNotFoundError, RuntimeError) as error:
                lacking = error.__cause__ or error  # Dask's scheduler is the first to read a task, and wraps its error
                if not isinstance(lacking, ModuleNotFoundError):
                    raise
                raise ComputeError(
                    f"params.yaml: compute.backend: got {where.backend!r}, whose workers lack a module "
                    f"({lacking.msg}); start them where this project is installed: pip install -e . in the same commit"
                ) from error


def work(chunk: list[Indexed], code: str, journal: Journal | None) -> Report:
    """Compute the members of a chunk, unless the code here is another one than where the study runs."""
    started, outcomes = time.perf_counter(), []
    if code == code_digest():
        for index, member in chunk:
            outcome = train_member(member)
            outcomes.append((index, outcome))
            if journal:
                journal.append([(member_key(member), outcome)])
    return Report(code_digest(), time.perf_counter() - started, outcomes)


def _attempt(left: Mapping[int, Member], place: Place, backend: str, journal: Journal) -> Iterator[tuple[int, Outcome]]:
    chunks = _Chunks(left, place.workers)
    code, near = code_digest(), journal if place.local else None
    with joblib.parallel_config(**place.options):
        parallel = joblib.Parallel(
            return_as="generator_unordered", batch_size=1, pre_dispatch=place.workers + place.queued
        )
        for report in parallel(joblib.delayed(work)(chunk, code, near) for chunk in chunks):
            if report.code != code:
                raise ComputeError(
                    f"params.yaml: compute.backend: got {backend!r}, whose workers have other code of this project; "
                    "allowed: the same commit and packages as here; bring them up to date, and start them again"
                )
            chunks.learn(report)
            if not near:
                journal.append((member_key(left[index]), outcome) for index, outcome in report.outcomes)
            yield from report.outcomes


class _Chunks:
    """Members in their order, so many at once as take CHUNK_SECONDS; towards the end fewer, so that all end together.

    A chunk holds members of one configuration, for only these take equally long; the first ones are single.
    """

    def __init__(self, left: Mapping[int, Member], workers: int) -> None:
        self._queues: dict[int, deque[Indexed]] = {}
        self._seconds: dict[int, float] = {}  # that a member took, by configuration
        self._configuration: dict[int, int] = {}
        self._workers = workers
        for index, member in left.items():
            name = id(member.params)
            self._queues.setdefault(name, deque()).append((index, member))
            self._configuration[index] = name

    def learn(self, report: Report) -> None:
        """Take note of how long a chunk took."""
        self._seconds[self._configuration[report.outcomes[0][0]]] = report.seconds / len(report.outcomes)

    def __iter__(self) -> Iterator[list[Indexed]]:
        for name, queue in self._queues.items():
            while queue:
                fitting = int(CHUNK_SECONDS / self._seconds[name]) if name in self._seconds else 1
                share = -(-len(queue) // (2 * self._workers))
                yield [queue.popleft() for _ in range(max(1, min(fitting, share)))]


@contextmanager
def _place(where: ComputeParams, most: int) -> Iterator[Place]:
    """Start or find the workers, on this machine no more than there are trainings, and let go of them at the end."""
    if where.backend == "threading":
        workers = min(most, where.workers or joblib.cpu_count())
        yield Place(workers, 0, True, (), {"backend": "threading", "n_jobs": workers})
    elif where.backend == "loky":
        from joblib.externals.loky.process_executor import BrokenProcessPool

        workers = min(most, where.workers or joblib.cpu_count())
        yield Place(workers, 0, True, (BrokenProcessPool,), {"backend": "loky", "n_jobs": workers})
    elif where.backend == "dask":
        with _dask(where) as place:
            yield place
    else:
        with _ray(where) as place:
            yield place


@contextmanager
def _dask(where: ComputeParams) -> Iterator[Place]:
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
        yield Place(workers, 0 if where.workers else workers, False, (KilledWorker, FutureCancelledError), options)
    finally:
        client.close()
        if cluster:
            cluster.close()


@contextmanager
def _ray(where: ComputeParams) -> Iterator[Place]:
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
        yield Place(workers, workers, False, lost, {"backend": "ray", "n_jobs": workers})
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
