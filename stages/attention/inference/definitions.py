"""What the compiler is told of a network: the loss, and the attention, of one example."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attention.compiler import Definition
from attention.functions import ATTENTION_FUNCTIONS
from attention.tasks.problem import draw_examples
from attention.weights import Weights, array_shapes
from workbench.stage.outputs import digest_of_code

ATTENTION = Path(__file__).parents[1]
ROOMS = ("functions", "inference", "network.py", "weights.py")  # what defines a network
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
    """Return what one example has: names as those of `Examples`, shapes and types; keys where they are its own."""
    if weights.problem is None:
        return {"values": ((weights.seq_len,), "float32"), "queries": ((), "int64"), "targets": ((), "float32")}
    (one,) = draw_examples(weights.problem, 0, "train", 1)
    names = ("values", "queries", *(() if one.keys.ndim == 1 else ("keys",)), "targets")
    return {name: (getattr(one, name).shape[1:], str(getattr(one, name).dtype)) for name in names}


def takes_noise(weights: Weights) -> bool:
    """Whether training gives noise to the network's attention function."""
    return ATTENTION_FUNCTIONS[weights.function].takes_noise(weights.options)


def _network(weights: Weights) -> Any:
    from attention.functions.check import check_function
    from attention.network import AttentionNetwork

    check_function(weights.function, weights.options, ATTENTION_FUNCTIONS[weights.function])
    options: dict[str, Any] = {"n_keys": weights.n_keys, "classes": weights.classes, **weights.options}
    return AttentionNetwork(weights.function, weights.n_contexts, weights.seq_len, **options)


_made: dict[str, Definition] = {}


def _definition(weights: Weights, what: str, fields: Fields, build: Callable[[], Function]) -> Definition:
    shape = [weights.n_contexts, weights.seq_len, weights.n_keys, weights.classes]
    sizes = [weights.function, *shape, sorted(weights.options.items())]
    code = ATTENTION_FUNCTIONS[weights.function].attend.__code__
    source = [code_digest(code.co_filename), code.co_qualname, code.co_firstlineno]
    digest = json.dumps([what, sizes, [*fields.items()], source])
    if digest not in _made:
        _made[digest] = Definition(weights.function, digest, array_shapes(weights), fields, build)
    return _made[digest]


@functools.cache
def code_digest(own: str) -> str:
    """Return a digest of what defines networks, and of the file in which the attention function stands."""
    return digest_of_code(*(ATTENTION / room for room in ROOMS), *([Path(own)] if Path(own).is_file() else []))
