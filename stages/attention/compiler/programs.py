"""The programs around what was traced: training by Adam for whole epochs, and evaluation of a table of examples."""

import math
from collections.abc import Mapping
from typing import NamedTuple

from attention.compiler.adam import BIAS_CORRECTIONS, STEPS_AHEAD, adam
from attention.compiler.definition import Definition
from attention.compiler.graph import Node, Shape
from attention.compiler.indexing import Place, Terms, number, strides_of
from attention.compiler.loops import Loops
from attention.compiler.source import Body


class Program(NamedTuple):
    """The text of a program, the types of its arguments, and its outputs: their names, shapes and types."""

    text: str
    arguments: list[str]
    outputs: dict[str, tuple[Shape, str]]


def training_program(definition: Definition, nodes: Mapping[str, Node], single: bool) -> Program:
    """Return the program that takes a step of Adam a batch, or, `single`, an example.

    Arguments: parameters, means, squares, β₁ᵗ and β₂ᵗ; the fields of the examples; their number; the batch size;
    epochs; learning rate; and what is filled: the sum of what is measured, and the parameters, after each epoch.
    """
    size = sum(map(math.prod, definition.parameters.values()))
    gradients, layout = {name: nodes[f"gradient {name}"] for name in definition.parameters}, list[str]()
    body = Body(_places(definition), 4 if single else 5, [nodes["measured"], *gradients.values()])
    step, start = Loops(4), Loops(1)
    for name, place in _learned(definition, "g").items():
        shape, gathers = definition.parameters[name], body.sparse(gradients[name]) or not single
        layout.append(f"    # p, m, v, g: {name} {shape} from {place.offset}")
        body.write(gradients[name], place, add=not single)
        if gathers:
            start.clear(place, math.prod(shape))
        adam(step, shape, place.offset, gathers, single)
    body.line(f"sums[0] = sums[0] + convert({body.values.scalar(nodes['measured'])}, float64)")
    fields = {_identifier(name): f"{_held(kind)}[:]" for name, (_, kind) in definition.example.items()}
    arguments = {
        **dict.fromkeys("pmv", "float32[:]"),
        "powers": "float64[:]",
        **fields,
        "n": "int64",
        "batch": "int64",
        "epochs": "int64",
        "learning_rate": "float64",
        "measured": "float64[:]",
        "after": "float32[:]",
    }
    lines = [
        *layout,
        f"    g = empty({size}, float32)",
        f"    rates = empty({STEPS_AHEAD}, float64)",
        f"    scales = empty({STEPS_AHEAD}, float64)",
        "    power = empty(2, float64)",
        "    sums = empty(1, float64)",
        *(f"    {line}" for line in body.arrays),
        f"    for t in range({STEPS_AHEAD}):",
        "        rates[t] = 0.0",
        "        scales[t] = 0.0",
        *start.lines,
        "    for epoch in range(epochs):",
        "        sums[0] = 0.0",
        f"        for block in range(0, n, {STEPS_AHEAD}{'' if single else ' * batch'}):",
        *BIAS_CORRECTIONS.splitlines(),
        "            for step in range(steps):",
        *([_ONE] if single else _BATCH.splitlines()),
        *body.lines,
        *([] if single else ["                count = convert(smaller(batch, n - first), float32)"]),
        "                rate = convert(rates[step], float32)",
        "                scale = convert(scales[step], float32)",
        *step.lines,
        "        measured[epoch] = sums[0]",
        f"        for k in range({size}):",
        f"            after[epoch * {size} + k] = p[k]",
    ]
    return Program(_whole(body, arguments, lines), [*arguments.values()], {})


_ONE = "                e = block + step"
_BATCH = """\
                first = block + step * batch
                for e in range(first, smaller(first + batch, n)):"""


def evaluation_program(definition: Definition, nodes: Mapping[str, Node]) -> Program:
    """Return the program that computes the outputs of each example.

    Arguments: parameters; the fields of the examples; their number; an array for each output.
    """
    body = Body(_places(definition), 2, [*nodes.values()])
    for name, node in nodes.items():
        place = Place(f"out_{_identifier(name)}", strides_of(node.shape), Terms({"e": max(1, node.size)}))
        if body.sparse(node):
            body.clear(place, node.size)
        body.write(node, place)
    arguments = {
        "p": f"{definition.kind}[:]",
        **{_identifier(name): f"{_held(kind)}[:]" for name, (_, kind) in definition.example.items()},
        "n": "int64",
        **{f"out_{_identifier(name)}": f"{node.kind}[:]" for name, node in nodes.items()},
    }
    lines = [*(f"    {line}" for line in body.arrays), "    for e in range(n):", *body.lines]
    outputs = {name: (node.shape, node.kind) for name, node in nodes.items()}
    return Program(_whole(body, arguments, lines), [*arguments.values()], outputs)


def _whole(body: Body, arguments: Mapping[str, str], lines: list[str]) -> str:
    constants = [f"{name} = {text}" for text, name in body.values.constants.items()]
    head = f"def program({', '.join(f'{name}: {kind!r}' for name, kind in arguments.items())}):"
    return "\n".join([*constants, head, *lines, ""])


def _places(definition: Definition) -> dict[tuple[str, str], Place]:
    """Return where the inputs lie: parameters one after the other, fields by example."""
    places = {("parameter", name): place for name, place in _learned(definition, "p").items()}
    for name, (shape, _) in definition.example.items():
        places["example", name] = Place(_identifier(name), strides_of(shape), Terms({"e": math.prod(shape)}))
    return places


def _learned(definition: Definition, array: str) -> dict[str, Place]:
    """Return where each parameter is in an array that holds a number for each."""
    places, first = dict[str, Place](), 0
    for name, shape in definition.parameters.items():
        places[name] = Place(array, strides_of(shape), number(first))
        first += math.prod(shape)
    return places


def _identifier(name: str) -> str:
    return "of_" + "".join(letter if letter.isalnum() else "_" for letter in name)


def _held(kind: str) -> str:
    return "bool8" if kind == "bool" else kind
