"""A task of chosen sizes: what its examples look like, and what a network is given of them."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attention.tasks import TASKS
from attention.tasks.entry import POSITION, Array, Column, Columns, Positions, Streams, Task, TaskError
from workbench.stage.errors import show_value

BLOCK_ROWS = 65_536  # rows drawn, written and read at a time, fewer of large examples; results do not depend on it
MOST_NUMBERS = BLOCK_ROWS * 1026  # that a block holds at most
CASES = 64  # of a task whose attention is another one for each example: those by which training is watched


class Examples(NamedTuple):
    """Some consecutive examples, as a network is given them."""

    values: NDArray[np.float32]  # (n, seq_len), in [0, 1); of classes (n, seq_len, classes), one-hot
    queries: Array  # (n,) or (n, m) int64: features; (n, d) float32: how much of each
    keys: Array  # (seq_len,) int64: the same for all; or (n, seq_len) or (n, seq_len, m) int64, (n, seq_len, d) float32
    targets: Array  # (n,) float32, or int64 of classes: the value at the true position
    truth: Positions  # (n,): the true position
    kinds: Positions  # (n,): the kind of the case

    def take(self, rows: slice | NDArray[np.int64]) -> "Examples":
        """Return some of the examples."""
        keys = self.keys if self.keys.ndim == 1 else self.keys[rows]
        values, queries, _, *others = self
        return Examples(values[rows], queries[rows], keys, *(column[rows] for column in others))


@dataclass(frozen=True)
class Problem:
    """A task with its sizes, all of them, and what its keys hold."""

    task: str
    sizes: Mapping[str, Any]
    keys: str

    @property
    def entry(self) -> Task:
        """What the registry holds of the task."""
        return TASKS[self.task]

    @property
    def seq_len(self) -> int:
        """The number of positions."""
        return self.entry.seq_len(self.sizes)

    @cached_property
    def columns(self) -> list[Column]:
        """All columns of its table, in order."""
        kept = [] if self.task == "lookup" else [Column("truth", self.seq_len)]  # of which truth.csv says it all
        return [*self.entry.columns(self.sizes), Column("y", self.classes), *kept]

    @cached_property
    def classes(self) -> int | None:
        """How many classes the values are of; None where they are real numbers."""
        return next(one.below for one in self.entry.columns(self.sizes) if one.name == self.entry.values)

    @property
    def n_queries(self) -> int:
        """The number of features of a query."""
        return self.entry.queries.number(self.sizes)

    @property
    def n_keys(self) -> int:
        """The number of features of a key."""
        return sum(self._features())

    @cached_property
    def block_rows(self) -> int:
        """How many examples to hold at a time: memory grows neither with their number nor with their size."""
        of_key = self.n_keys if self.entry.real_keys else len(self._features())
        numbers = self.seq_len * ((self.classes or 1) + of_key) + len(self.columns)
        return max(1, min(BLOCK_ROWS, MOST_NUMBERS // numbers))

    def complete(self, columns: Columns) -> Columns:
        """Return all columns of the table, from those that the task draws."""
        truth = self.entry.truth(columns, self.sizes)
        if not ((truth >= 0) & (truth < self.seq_len)).all():
            row = int(np.argmin((truth >= 0) & (truth < self.seq_len)))
            raise TaskError(
                f"{self.task}: got {truth[row]} as the true position of a drawn example; allowed: 0 to "
                f"{self.seq_len - 1}; draw none without one"
            )
        every = {**columns, "y": columns[self.entry.values][np.arange(len(truth)), truth], "truth": truth}
        return {column.name: every[column.name] for column in self.columns}

    def examples(self, columns: Columns) -> Examples:
        """Return what a network is given of the columns of a table."""
        truth = columns["truth"] if "truth" in columns else self.entry.truth(columns, self.sizes)
        values, kind = columns[self.entry.values], self.entry.kind[1]
        if self.classes:
            values = np.equal(values[..., None], np.arange(self.classes)).astype(np.float32)
        queries = self.entry.queries.of(columns, self.sizes)
        return Examples(values, queries, self._keys(columns), columns["y"], truth, kind(columns, truth, self.sizes))

    def _keys(self, columns: Columns) -> Array:
        position = np.arange(self.seq_len)
        chosen = self.keys.split("+")
        if chosen == [POSITION]:
            return position
        of = [position if name == POSITION else self.entry.keys[name].of(columns, self.sizes) for name in chosen]
        if len(of) == 1:
            return of[0]
        parts, start, (rows, *_) = [], 0, columns["y"].shape
        for features, number in zip(of, self._features(), strict=True):
            each = features[..., None] if features.ndim < 3 else features
            parts.append(np.broadcast_to(np.where(each < 0, -1, each + start), (rows, *each.shape[-2:])))
            start += number
        return np.concatenate(parts, axis=-1)

    def _features(self) -> list[int]:
        """Return the number of features of each thing that a key holds."""
        known = {name: one.number for name, one in self.entry.keys.items()} | {POSITION: self.entry.seq_len}
        return [known[name](self.sizes) for name in self.keys.split("+")]


def number_of_cases(problem: Problem) -> int:
    """Return by how many cases attention is told while training: of lookup every context once."""
    return int(problem.sizes["n_contexts"]) if problem.task == "lookup" else CASES


def contexts_of(problem: Problem) -> Examples:
    """Return every context of lookup once, without values."""
    contexts = np.arange(problem.sizes["n_contexts"])
    nothing = np.zeros((len(contexts), problem.seq_len), np.float32)
    return problem.examples({"x": nothing, "context": contexts, "y": nothing[:, 0]})


def cases_of(problem: Problem, seed: int) -> Examples:
    """Return the cases by which attention is told: of lookup every context once, else some examples of their own."""
    if problem.task == "lookup":
        return contexts_of(problem)
    (cases,) = draw_examples(problem, seed, "cases", CASES)
    return cases


def make_problem(
    task: str, sizes: Mapping[str, Any] | None = None, keys: str | None = None, *, seed: int = 0
) -> Problem:
    """Return a task of these sizes: what is left out or None is the task's default; from the seed comes what is random.

    Raises:
        TaskError: one line for each problem.

    """
    if task not in TASKS:
        raise TaskError(f"task: got {show_value(task)}; allowed: one of: {', '.join(TASKS)}")
    given = {**(sizes or {}), "keys": keys}
    if problems := size_problems(task, given):
        lines = (f"{name}: got {show_value(given.get(name))}; allowed: {allowed}" for name, allowed in problems.items())
        raise TaskError("\n".join(lines))
    entry = TASKS[task]
    return Problem(task, entry.settled(seed, _with_defaults(entry, given)), keys or entry.default_keys)


def lookup(truth: Iterable[int], seq_len: int) -> Problem:
    """Return the problem of the task lookup in which each context reads the position that `truth` says."""
    listed = [int(position) for position in truth]
    return Problem("lookup", {"seq_len": seq_len, "n_contexts": len(listed), "true_attention": listed}, POSITION)


def size_problems(task: str, given: Mapping[str, Any]) -> dict[str, str]:
    """Return what is wrong with the sizes and keys of a task: from a name to what it allows; None is the default."""
    entry, problems = TASKS[task], dict[str, str]()
    for name, value in given.items():
        if value is None:
            continue
        if name == "keys":
            if not isinstance(value, str) or not _chosen(value, entry):
                more = "" if entry.real_keys or not entry.keys else ", or several of them joined by a +"
                problems[name] = f"null, or one of: {', '.join([*entry.keys, POSITION])}{more}"
        elif name not in entry.sizes:
            names = ", ".join(entry.sizes) or "none"
            problems[name] = f"null, as the task has no such size (it has: {names}); set it to null"
        elif not entry.sizes[name].takes(value):
            problems[name] = f"null, or {entry.sizes[name].allowed}"
    return problems or dict(entry.problems(_with_defaults(entry, given)))


def _chosen(keys: str, entry: Task) -> bool:
    """Whether keys name different things that can stand together: real numbers only alone."""
    names = keys.split("+")
    known = {POSITION, *entry.keys}
    return set(names) <= known and len(set(names)) == len(names) and (len(names) == 1 or not entry.real_keys)


def _with_defaults(entry: Task, given: Mapping[str, Any]) -> dict[str, Any]:
    return {name: size.default if given.get(name) is None else given[name] for name, size in entry.sizes.items()}


def draw_columns(problem: Problem, seed: int, split: str, n: int, rows: int | None = None) -> Iterator[Columns]:
    """Yield the table of the first `n` examples of a split, `rows` at a time; the numbers do not depend on that."""
    streams, held, wanted, left = Streams(seed, split), list[Columns](), rows or problem.block_rows, n
    have = 0
    while left:
        while have < min(wanted, left):
            held.append(problem.entry.draw(streams, min(wanted, left) - have, problem.sizes))
            have += _length(held[-1])
        block = {name: np.concatenate([part[name] for part in held]) for name in held[0]} if held[1:] else held[0]
        now = min(wanted, left)
        yield problem.complete({name: column[:now] for name, column in block.items()})
        held, have, left = [{name: column[now:] for name, column in block.items()}], have - now, left - now


def _length(columns: Columns) -> int:
    return len(next(iter(columns.values())))


def draw_examples(problem: Problem, seed: int, split: str, n: int, rows: int | None = None) -> Iterator[Examples]:
    """Yield the examples that a network is given of these tables, block by block."""
    return map(problem.examples, draw_columns(problem, seed, split, n, rows))
