"""What is computed in many pieces: what any backend, and the checkpoint, must know of it."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")  # a piece
R = TypeVar("R")  # what comes of it


@dataclass(frozen=True)
class Work(Generic[T, R]):
    """Pieces of one kind, each computed by itself. All functions are known to a worker by their module and name.

    Attributes:
        piece: what a piece is called, for people.
        compute: from a piece to its result.
        key: from a piece to a text that is equal for two pieces exactly when their results are.
        alike: from a piece to what pieces share that take equally long.
        code: the digest of the code that computes, where it is called: a worker may have other code.
        to_json: from a result to what JSON can hold.
        from_json: and back; it raises ValueError or TypeError for what was never one.

    """

    piece: str
    compute: Callable[[T], R]
    key: Callable[[T], str]
    alike: Callable[[T], Hashable]
    code: Callable[[], str]
    to_json: Callable[[R], list[Any]]
    from_json: Callable[[list[Any]], R]
