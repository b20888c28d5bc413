"""Compiled programs, and where they are kept: a process that finds one imports neither torch nor its tracing.

A program is kept under a digest of all that determines it: its definition, this compiler's source, the versions of
torch and LLVM, and the processor. That a function cannot be compiled is kept too. Two processes that start together
both compile, and keep the same.
"""

import functools
import hashlib
import importlib.metadata
import json
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from attention.compiler.definition import CannotCompile, Definition
from attention.compiler.machine import load_program, processor
from workbench.cache import cache_folder, keep, kept
from workbench.stage.outputs import digest_of_code

Purpose = Literal["steps of one example", "steps of a batch", "evaluation"]


class Compiled:
    """A program that can be called; `text` is what it does, for people."""

    def __init__(self, name: str, about: Mapping[str, Any], code: bytes, hold: bool) -> None:
        self.text: str = about["text"]
        self.outputs = {name: (tuple(shape), kind) for name, (shape, kind) in about["outputs"].items()}
        self._run = load_program(code, name, about["arguments"], hold)

    def __call__(self, *arguments: NDArray[Any] | float) -> None:
        """Run the program on arrays, dense and of the types that it was compiled for, and numbers."""
        self._run(*(x.ctypes.data if isinstance(x, np.ndarray) else x for x in arguments))


def compiled(definition: Definition, purpose: Purpose) -> Compiled:
    """Return the program of a definition, from where it is kept, or traced and compiled.

    Raises:
        CannotCompile: torch can run the function, and the compiler cannot translate it.

    """
    name = f"program_{_digest(definition.key, purpose)}"
    with _one_at_a_time:
        if name not in _known:
            _known[name] = _load(name, definition, purpose)
    found = _known[name]
    if isinstance(found, str):
        raise CannotCompile(found)
    return found


_one_at_a_time = threading.Lock()
_known: dict[str, Compiled | str] = {}  # a text says why there is none


def _load(name: str, definition: Definition, purpose: Purpose) -> Compiled | str:
    file = f"{name}.compiled"
    data = kept(file, cache_folder())
    if data is None:
        data = _make(name, definition, purpose)
        keep(file, cache_folder(), data)
    head, _, code = data.partition(b"\n")
    about = json.loads(head)
    return about["cannot"] or Compiled(name, about, code, hold=purpose == "evaluation")


def _make(name: str, definition: Definition, purpose: Purpose) -> bytes:
    """Return a line that describes the program, and its machine code."""
    from attention.compiler.machine import compile_program
    from attention.compiler.programs import evaluation_program, training_program
    from attention.compiler.tracing import trace_forward, trace_training

    try:
        if purpose == "evaluation":
            program = evaluation_program(definition, trace_forward(definition))
        else:
            program = training_program(definition, trace_training(definition), purpose == "steps of one example")
        code = compile_program(program.text, name)
    except CannotCompile as error:
        return json.dumps({"cannot": str(error)}).encode()
    return json.dumps({"cannot": None, **program._asdict()}).encode() + b"\n" + code


@functools.cache
def _digest(*about: str) -> str:
    versions = [importlib.metadata.version(package) for package in ("torch", "llvmlite")]
    code = digest_of_code(Path(__file__).parent)
    return hashlib.sha256(json.dumps([*about, *versions, *processor(), code]).encode()).hexdigest()[:32]
