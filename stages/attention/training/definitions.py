"""What the compiler is told of a network: the loss, and the attention, of one example."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from attention.compiler import Definition
from attention.functions import ATTENTION_FUNCTIONS
from attention.weights import Weights, array_shapes
from workbench.stage.outputs import digest_of_code

ATTENTION = Path(__file__).parents[1]
ROOMS = ("functions", "network.py", "training/definitions.py", "weights.py")  # what defines a network
Fields = dict[str, tuple[tuple[int, ...], str]]
Function = Callable[[dict[str, Any], dict[str, Any]], Any]


def training_definition(weights: Weights) -> Definition:
    """Return the loss (output - target)² of one example, and what is summed over the examples: the same in float64."""

    def build() -> Function:
        from torch.func import functional_call

        network = _network(weights).train()

        def loss(parameters: dict[str, Any], example: dict[str, Any]) -> tuple[Any, Any]:
            values, queries, targets = (example[name].unsqueeze(0) for name in ("values", "queries", "targets"))
            noise = {"noise": example["noise"].unsqueeze(0)} if "noise" in example else {}
            error = functional_call(network, parameters, (values, queries), noise) - targets
            return error.square().mean(), error.double().square().sum()

        return loss

    positions = (weights.seq_len,)
    fields: Fields = {"values": (positions, "float32"), "queries": ((), "int64"), "targets": ((), "float32")}
    if takes_noise(weights):
        fields["noise"] = (positions, "float32")
    return _definition(weights, "loss", fields, build)


def attention_definition(weights: Weights) -> Definition:
    """Return the attention (seq_len,) that one query pays to the positions."""

    def build() -> Function:
        from torch.func import functional_call

        network = _network(weights).eval()
        network.forward = network.get_attention  # what `functional_call` calls

        def attention(parameters: dict[str, Any], example: dict[str, Any]) -> dict[str, Any]:
            return {"attention": functional_call(network, parameters, (example["queries"].unsqueeze(0),)).squeeze(0)}

        return attention

    return _definition(weights, "attention", {"queries": ((), "int64")}, build)


def takes_noise(weights: Weights) -> bool:
    """Whether training gives noise to the network's attention function."""
    return ATTENTION_FUNCTIONS[weights.function].takes_noise(weights.options)


def _network(weights: Weights) -> Any:
    from attention.functions.check import check_function
    from attention.network import AttentionNetwork

    check_function(weights.function, weights.options, ATTENTION_FUNCTIONS[weights.function])
    options: dict[str, Any] = {"n_keys": weights.n_keys, **weights.options}
    return AttentionNetwork(weights.function, weights.n_contexts, weights.seq_len, **options)


_made: dict[str, Definition] = {}


def _definition(weights: Weights, what: str, fields: Fields, build: Callable[[], Function]) -> Definition:
    sizes = [weights.function, weights.n_contexts, weights.seq_len, weights.n_keys, sorted(weights.options.items())]
    code = ATTENTION_FUNCTIONS[weights.function].attend.__code__
    digest = json.dumps([what, sizes, code_digest(code.co_filename), code.co_qualname, code.co_firstlineno])
    if digest not in _made:
        _made[digest] = Definition(weights.function, digest, array_shapes(weights), fields, build)
    return _made[digest]


@functools.cache
def code_digest(own: str) -> str:
    """Return a digest of what defines networks, and of the file in which the attention function stands."""
    return digest_of_code(*(ATTENTION / room for room in ROOMS), *([Path(own)] if Path(own).is_file() else []))
