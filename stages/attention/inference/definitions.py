"""What the compiler is told of a network: the loss, and the attention, of one example."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from attention.compiler import Definition
from attention.functions import ATTENTION_FUNCTIONS
from attention.tasks.problem import draw_examples
from attention.weights import Weights, array_shapes
from workbench.stage.outputs import digest_of_code

ATTENTION = Path(__file__).parents[1]
ROOMS = ("functions", "inference", "network.py", "weights.py")  # what defines a network
Features = Literal["one", "several", "real"]
Fields = dict[str, tuple[tuple[int, ...], str]]
Function = Callable[[dict[str, Any], dict[str, Any]], Any]


def training_definition(weights: Weights) -> Definition:
    """Return the loss of one example, and what is summed over the examples: the same in float64.

    The loss is (output - target)², of classes the cross-entropy.
    """

    def build() -> Function:
        from torch.func import functional_call

        from attention.network import losses

        network = _network(weights).train()

        def loss(parameters: dict[str, Any], example: dict[str, Any]) -> tuple[Any, Any]:
            one = {name: field.unsqueeze(0) for name, field in example.items()}
            targets = one.pop("targets")
            outputs = functional_call(network, parameters, (), one)
            if weights.classes:
                entropy = losses(outputs, targets)
                return entropy.mean(), entropy.double().sum()
            error = outputs - targets
            return error.square().mean(), error.double().square().sum()

        return loss

    fields = example_fields(weights)
    if takes_noise(weights):
        fields["noise"] = ((weights.seq_len,), "float32")
    return _definition(weights, "loss", fields, build)


def attention_definition(weights: Weights) -> Definition:
    """Return the attention (seq_len,) that one query pays to the positions."""

    def build() -> Function:
        from torch.func import functional_call

        network = _network(weights).eval()
        network.forward = network.get_attention  # what `functional_call` calls

        def attention(parameters: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
            one = {name: field.unsqueeze(0) for name, field in example.items()}
            return {"attention": functional_call(network, parameters, (), one).squeeze(0)}

        return attention

    fields = {name: field for name, field in example_fields(weights).items() if name in ("queries", "keys")}
    return _definition(weights, "attention", fields, build)


def example_fields(weights: Weights) -> Fields:
    """Return what one example has: names as those of `Examples`, shapes and types; keys where they are its own.

    A network without a task has one feature a query, and a key.
    """
    if weights.problem is None:
        values = weights.seq_len, *([weights.classes] if weights.classes else [])
        own = {"keys": ((weights.seq_len,), "int64")} if weights.n_keys else {}
        targets = "int64" if weights.classes else "float32"
        return {"values": (values, "float32"), "queries": ((), "int64"), **own, "targets": ((), targets)}
    (one,) = draw_examples(weights.problem, 0, "train", 1)
    names = ("values", "queries", *(() if one.keys.ndim == 1 else ("keys",)), "targets")
    return {name: (getattr(one, name).shape[1:], str(getattr(one, name).dtype)) for name in names}


def takes_noise(weights: Weights) -> bool:
    """Whether training gives noise to the network's attention function."""
    return ATTENTION_FUNCTIONS[weights.function].takes_noise(weights.options)


def check(weights: Weights) -> None:
    """Try a network's function with queries and keys such as it will be given.

    Raises:
        FunctionError: it is not what its entry says, or not for these.

    """
    from attention.functions.check import check_function

    fields = example_fields(weights)
    keys = _kind(fields["keys"], 1) if "keys" in fields else "shared"
    entry = ATTENTION_FUNCTIONS[weights.function]
    check_function(weights.function, weights.options, entry, _kind(fields["queries"], 0), keys)


def _kind(field: tuple[tuple[int, ...], str], axes: int) -> Features:
    """Return what features of so many axes are: one at a place, several, or real numbers."""
    shape, kind = field
    return "real" if kind == "float32" else "several" if len(shape) > axes else "one"


def _network(weights: Weights) -> Any:
    from attention.network import AttentionNetwork

    check(weights)
    options: dict[str, Any] = {"n_keys": weights.n_keys, "classes": weights.classes, **weights.options}
    return AttentionNetwork(weights.function, weights.n_contexts, weights.seq_len, **options)


_made: dict[Any, Definition] = {}


def _definition(weights: Weights, what: str, fields: Fields, build: Callable[[], Function]) -> Definition:
    attend = ATTENTION_FUNCTIONS[weights.function].attend
    shape = weights.n_contexts, weights.seq_len, weights.n_keys, weights.classes
    sizes = weights.function, *shape, tuple(sorted(weights.options.items()))
    about = what, sizes, tuple(fields.items())
    if (attend, about) not in _made:
        code = attend.__code__
        digest = json.dumps([*about, [code_digest(code.co_filename), code.co_qualname, code.co_firstlineno]])
        _made[attend, about] = Definition(weights.function, digest, array_shapes(weights), fields, build)
    return _made[attend, about]


@functools.cache
def code_digest(own: str) -> str:
    """Return a digest of what defines networks, and of the file in which the attention function stands."""
    return digest_of_code(*(ATTENTION / room for room in ROOMS), *([Path(own)] if Path(own).is_file() else []))
