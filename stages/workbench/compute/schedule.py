"""A study's trainings, handed out to whoever computes them.

Members go out in chunks that take about CHUNK_SECONDS, by the time that earlier ones took: a training takes from
milliseconds to a minute, and sending a chunk to a cluster some milliseconds. A worker that dies costs its chunks.
"""

import time
from collections import deque
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

import joblib

from workbench.stage.errors import ComputeError
from workbench.compute.checkpoint import Journal, code_digest
from attention.study.trainings import Member, Outcome, member_key, train_member
from workbench.compute.backends import Place, find_place
from attention.params.schema import ComputeParams

CHUNK_SECONDS = 0.2
ATTEMPTS = 3  # how often workers may die without a single training done in between

Indexed = tuple[int, Member]


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
        with find_place(where, len(left)) as place:  # anew after a death: who is left?
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
