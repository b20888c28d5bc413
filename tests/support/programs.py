"""A definition traced, written, and run twice: as machine code, and as the plain Python that its text is."""

import itertools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attention.compiler import primitives
from attention.compiler.definition import Definition
from attention.compiler.graph import Node
from attention.compiler.machine import compile_program, load_program
from attention.compiler.programs import Program, evaluation_program

Arrays = dict[str, NDArray[Any]]
_names = itertools.count()


def evaluate(
    definition: Definition,
    nodes: Mapping[str, Node],
    parameters: Mapping[str, NDArray[Any]],
    examples: Mapping[str, NDArray[Any]],
) -> Arrays:
    """Return the values of nodes (n, …) for each of n examples, after it was seen that Python gets the same bits."""
    program = evaluation_program(definition, nodes)
    n = len(next(iter(examples.values())))
    given = [np.concatenate([parameters[name].ravel() for name in definition.parameters] or [np.empty(0, np.float32)])]
    given += [np.ascontiguousarray(examples[name]) for name in definition.example]
    compiled, interpreted = _outputs(program, n), _outputs(program, n)
    run(program, *given, n, *compiled.values())
    interpret(program, *(array.ravel() for array in given), n, *(array.ravel() for array in interpreted.values()))
    for name, array in compiled.items():
        assert array.tobytes() == interpreted[name].tobytes(), f"{name}: Python gets other bits"
    return compiled


def _outputs(program: Program, n: int) -> Arrays:
    return {
        name: np.full((n, *shape), 7, np.bool_ if kind == "bool8" else kind)  # what is not written is seen
        for name, (shape, kind) in program.outputs.items()
    }


def run(program: Program, *arguments: Any) -> None:
    """Run a program as machine code."""
    name = f"test_{next(_names)}"
    function = load_program(compile_program(program.text, name), name, program.arguments)
    function(*(x.ctypes.data if isinstance(x, np.ndarray) else x for x in arguments))


def interpret(program: Program, *arguments: Any) -> None:
    """Run a program as Python."""
    words = dict(vars(primitives))
    exec(program.text, words)  # noqa: S102
    with np.errstate(all="ignore"):
        words["program"](*arguments)
