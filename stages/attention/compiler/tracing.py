"""From a function of torch to a graph: the one module that touches torch's tracing."""

import logging
import traceback
from typing import Any

from attention.compiler.aten import OPERATIONS
from attention.compiler.definition import CannotCompile, Definition
from attention.compiler.graph import Graph, Node
from attention.compiler.lowerings.out import Out

# What torch says in other operations, besides those of the core table.
DECOMPOSED = (
    *("_log_softmax", "_softmax", "addmm", "elu", "embedding", "index_select", "linalg_vector_norm"),
    *("select_scatter", "slice_scatter"),
)


def trace_training(definition: Definition) -> dict[str, Node]:
    """Return the gradient of the loss by each parameter ("gradient …"), and the number to be summed ("measured")."""
    import torch

    gradients, (_, measured) = _trace(definition, torch.func.grad_and_value(definition.build(), has_aux=True))
    return {"measured": measured, **{f"gradient {name}": gradients[name] for name in definition.parameters}}


def trace_forward(definition: Definition) -> dict[str, Node]:
    """Return the outputs of the function by name."""
    return dict(_trace(definition, definition.build()))


def _trace(definition: Definition, function: Any) -> Any:
    """Let torch run the function on tensors without numbers, writing down what it does, and translate that."""
    import torch
    from torch._decomp import core_aten_decompositions, decomposition_table
    from torch.fx.experimental.proxy_tensor import make_fx

    table = {key: value for key, value in dict(core_aten_decompositions()).items() if _name(key) not in OPERATIONS}
    table |= {key: value for key, value in decomposition_table.items() if _name(key) in DECOMPOSED}
    kind = getattr(torch, definition.kind)
    parameters = {name: torch.zeros(shape, dtype=kind) for name, shape in definition.parameters.items()}
    example = {name: torch.zeros(shape, dtype=getattr(torch, of)) for name, (shape, of) in definition.example.items()}
    logging.disable(logging.CRITICAL)  # of what goes wrong torch would print pages
    try:
        pure = torch.func.functionalize(function)  # nothing is changed in place
        trace = make_fx(pure, decomposition_table=table, tracing_mode="fake", _allow_non_fake_inputs=True)
        traced = trace(parameters, example)
    except Exception as error:
        raise CannotCompile(_why(definition, error)) from error
    finally:
        logging.disable(logging.NOTSET)
    graph = Graph()
    inputs = [
        *(graph.input("parameter", name, shape, definition.kind) for name, shape in definition.parameters.items()),
        *(graph.input("example", name, shape, _kind(of)) for name, (shape, of) in definition.example.items()),
    ]
    return traced.graph.process_outputs(_translate(definition, traced, graph, inputs))


def _translate(definition: Definition, traced: Any, graph: Graph, inputs: list[Node]) -> list[Any]:
    import torch

    known: dict[Any, Any] = {}
    arguments = iter(inputs)

    def given(x: Any) -> Any:
        if isinstance(x, torch.fx.Node):
            return known[x]
        if isinstance(x, torch.dtype | torch.device | torch.layout | torch.memory_format):
            return None
        return type(x)(map(given, x)) if isinstance(x, list | tuple) else x

    for node in traced.graph.nodes:
        if node.op == "placeholder":
            known[node] = next(arguments)
        elif node.op == "get_attr":
            tensor = getattr(traced, node.target)
            known[node] = graph.constant(tensor.detach().numpy(), tensor.shape, _kind(str(tensor.dtype)))
        elif node.op == "output":
            return list(map(given, node.args[0]))
        elif getattr(node.target, "__name__", "") == "getitem":
            known[node] = known[node.args[0]][node.args[1]]
        else:
            known[node] = _operation(definition, graph, node, given)
            if _name(node.target).endswith("_"):  # a decomposition of torch's own works in place
                known[node.args[0]] = known[node]
    raise AssertionError("a graph without output")


def _operation(definition: Definition, graph: Graph, node: Any, given: Any) -> Any:
    name, value = _name(node.target), node.meta.get("val")
    first = value[0] if isinstance(value, list | tuple) else value
    if not all(isinstance(size, int) for size in first.shape):
        raise CannotCompile(_refusal(definition, f"aten.{name}, whose result has a size that depends on values"))
    out = Out(graph, tuple(first.shape), _kind(str(first.dtype)))
    operation = OPERATIONS.get(name)
    try:
        if operation is None:
            raise NotImplementedError(f"the operation aten.{name}, of which aten.py has no translation")
        return operation(
            out, *map(given, node.args), **{key: given(x) for key, x in node.kwargs.items() if key not in _MEMORY}
        )
    except NotImplementedError as error:
        raise CannotCompile(_refusal(definition, str(error))) from None


def _refusal(definition: Definition, got: str, instead: str = "write it otherwise") -> str:
    return f"{definition.name}: cannot be compiled: got {got}; {instead}, or choose train.engine: torch"


_MEMORY = ("dtype", "device", "layout", "pin_memory", "memory_format", "non_blocking")


def _name(operation: Any) -> str:
    return str(operation).removeprefix("aten.").split(".")[0]


def _kind(dtype: str) -> str:
    kind = dtype.removeprefix("torch.")
    return "bool8" if kind == "bool" else kind


def _why(definition: Definition, error: Exception) -> str:
    """Say in one line what torch's tracing did not take, and where in the user's function."""
    import torch

    frames = [
        frame
        for frame in traceback.extract_tb(error.__traceback__)
        if "/torch/" not in frame.filename and frame.filename != __file__
    ]
    line = frames[-1] if frames else None
    where = f" in line {line.lineno} of {line.filename.rpartition('/')[2]} ({line.line})" if line else ""
    if type(error).__name__ in ("GuardOnDataDependentSymNode", "DataDependentOutputException"):
        return _refusal(definition, f"a decision that depends on values{where}", "use torch.where, write it otherwise")
    said = str(error).strip().splitlines() or [type(error).__name__]
    return _refusal(definition, f"{said[0]}, by torch {torch.__version__}{where}")
