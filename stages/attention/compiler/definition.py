"""What is to be compiled: a function of torch, the shapes of its arguments, and a digest of what defines it."""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

Shape = tuple[int, ...]


class CannotCompile(Exception):  # noqa: N818 - no error: the function can still be run by torch
    """A function that torch runs, and the compiler cannot translate: one line, with what would mend it."""


@dataclass(frozen=True)
class Definition:
    """A pure function of torch of one example.

    Attributes:
        name: what people call it.
        digest: of all source that defines the function, and of all values that it has besides its arguments.
        parameters: name and shape of what is learned; all of it is float32.
        example: name, shape and type ("float32", "int64", "bool") of each field of one example.
        build: imports torch, and returns the function: of the parameters, and of the fields. For training it returns
            the loss and a number to be summed over the examples, both of shape (); for evaluation a dictionary of
            tensors.
        kind: the type of the parameters: float64 is for tests.

    """

    name: str
    digest: str
    parameters: Mapping[str, Shape]
    example: Mapping[str, tuple[Shape, str]]
    build: Callable[[], Callable[[dict[str, Any], dict[str, Any]], Any]]
    kind: str = "float32"

    @functools.cached_property
    def key(self) -> str:
        """A digest of all of it."""
        about = [self.name, self.digest, [*self.parameters.items()], [*self.example.items()], self.kind]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()
