"""Many pieces of work, handed out to whoever computes them.

Pieces go out in chunks that take about CHUNK_SECONDS, by the time that earlier ones took: a training takes from
milliseconds to a minute, and sending a chunk to a cluster some milliseconds. A worker that dies costs its chunks.
"""

import time
from collections import deque
from collections.abc import Container, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic

import joblib

from workbench.compute.backends import Backend, start_backend
from workbench.compute.checkpoint import Checkpoint
from workbench.compute.work import R, T, Work
from workbench.stage.errors import ComputeError
from workbench.stage.params import ComputeParams

CHUNK_SECONDS = 0.2
ATTEMPTS = 3  # how often workers may die without a single piece done in between


@dataclass(frozen=True)
class Report(Generic[R]):
    """What comes back of a chunk."""

    code: str  # the digest of the code that computed it
    seconds: float
    results: list[tuple[int, R]]


def compute(
    work: Work[T, R], pieces: Sequence[T], done: Container[int], where: ComputeParams, checkpoint: Checkpoint[T, R]
) -> Iterator[tuple[int, R]]:
    """Yield the number and the result of each piece that is not done as it is finished, in any order.

    Raises:
        ComputeError: the backend is not installed, does not answer, has other code, or its workers die again and again.

    """
    left = {index: piece for index, piece in enumerate(pieces) if index not in done}
    if not left:
        return
    attempts = 0
    while left:
        attempts += 1
        with start_backend(where, len(left)) as backend:  # anew after a death: who is left?
            try:
                for index, result in _attempt(work, left, backend, where.backend, checkpoint):
                    del left[index]
                    attempts = 0
                    yield index, result
            except backend.lost as error:
                if attempts >= ATTEMPTS:
                    raise ComputeError(
                        f"params.yaml: compute.backend: got {where.backend!r}, whose workers died {ATTEMPTS} times "
                        f"without finishing a {work.piece} ({type(error).__name__}); look at their memory and logs, or "
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


def compute_chunk(
    work: Work[T, R], chunk: list[tuple[int, T]], code: str, checkpoint: Checkpoint[T, R] | None
) -> Report[R]:
    """Compute the pieces of a chunk, unless the code here is another one than where they came from."""
    started, results = time.perf_counter(), []
    if code == work.code():
        for index, piece in chunk:
            result = work.compute(piece)
            results.append((index, result))
            if checkpoint:
                checkpoint.append([(piece, result)])
    return Report(work.code(), time.perf_counter() - started, results)


def _attempt(
    work: Work[T, R], left: Mapping[int, T], backend: Backend, name: str, checkpoint: Checkpoint[T, R]
) -> Iterator[tuple[int, R]]:
    chunks = _Chunks(work, left, backend.workers)
    code, near = work.code(), checkpoint if backend.local else None
    with joblib.parallel_config(**backend.options):
        parallel = joblib.Parallel(
            return_as="generator_unordered", batch_size=1, pre_dispatch=backend.workers + backend.queued
        )
        for report in parallel(joblib.delayed(compute_chunk)(work, chunk, code, near) for chunk in chunks):
            if report.code != code:
                raise ComputeError(
                    f"params.yaml: compute.backend: got {name!r}, whose workers have other code of this project; "
                    "allowed: the same commit and packages as here; bring them up to date, and start them again"
                )
            chunks.learn(report)
            if not near:
                checkpoint.append((left[index], result) for index, result in report.results)
            yield from report.results


class _Chunks(Generic[T, R]):
    """Pieces in their order, so many at once as take CHUNK_SECONDS; towards the end fewer, so that all end together.

    A chunk holds pieces that are alike, for only these take equally long; the first ones are single.
    """

    def __init__(self, work: Work[T, R], left: Mapping[int, T], workers: int) -> None:
        self._queues: dict[Hashable, deque[tuple[int, T]]] = {}
        self._seconds: dict[Hashable, float] = {}  # that a piece took, by what is alike
        self._kinds: dict[int, Hashable] = {}
        self._workers = workers
        for index, piece in left.items():
            kind = work.alike(piece)
            self._queues.setdefault(kind, deque()).append((index, piece))
            self._kinds[index] = kind

    def learn(self, report: Report[Any]) -> None:
        """Take note of how long a chunk took."""
        self._seconds[self._kinds[report.results[0][0]]] = report.seconds / len(report.results)

    def __iter__(self) -> Iterator[list[tuple[int, T]]]:
        for kind, queue in self._queues.items():
            while queue:
                fitting = int(CHUNK_SECONDS / self._seconds[kind]) if kind in self._seconds else 1
                share = -(-len(queue) // (2 * self._workers))
                yield [queue.popleft() for _ in range(max(1, min(fitting, share)))]
