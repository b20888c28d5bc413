"""The network, in torch: what every number of the project means."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from attention.functions import ATTENTION_FUNCTIONS
from attention.tasks.problem import Examples
from attention.weights import Arrays, Weights, draw_weights, load_weights
from workbench.stage.streams import stream


class AttentionNetwork(nn.Module):
    """output = Σ_j values_j · attention(query, keys)_j · w_j + b; of classes one such output for each, with its own b.

    Query and keys alone decide the attention; the glimpse values ⊙ attention goes through one linear output. In the
    article's problem the query is the context, the values are the inputs, and the key of a position is its number.

    Args:
        attention: a name in ATTENTION_FUNCTIONS.
        n_contexts: how many features queries have.
        seq_len: how many positions there are.
        n_keys: how many features keys have; None: one a position, which its number names.
        classes: how many classes the values are of, each a one-hot vector; None: they are numbers.
        seed: what the initial weights and the noise of training are drawn from (see `draw_weights`); the global
            generators are not touched.
        options: of the attention function; left out or None, they have the function's own defaults.

    """

    positions: Tensor
    numbers: Tensor

    def __init__(
        self,
        attention: str,
        n_contexts: int,
        seq_len: int,
        *,
        n_keys: int | None = None,
        classes: int | None = None,
        seed: int = 0,
        **options: float | str | None,
    ) -> None:
        super().__init__()
        weights = draw_weights(attention, n_contexts, seq_len, seed, options=options, n_keys=n_keys, classes=classes)
        self.function = ATTENTION_FUNCTIONS[attention].attend
        self.options = weights.options
        self._noise = stream(seed, "gumbel noise") if ATTENTION_FUNCTIONS[attention].takes_noise(self.options) else None
        self.register_buffer("positions", torch.arange(seq_len, dtype=torch.float32), persistent=False)
        self.register_buffer("numbers", torch.arange(seq_len), persistent=False)
        self.attention = nn.ParameterDict()  # which would sort what it is made from
        for name, array in weights.arrays.items():
            if name.startswith("attention."):
                self.attention[name.removeprefix("attention.")] = nn.Parameter(torch.empty(array.shape))
        self.classes = classes
        self.linear = nn.Linear(seq_len, 1, device="meta").to_empty(device="cpu")  # draws nothing from torch
        if classes:
            self.linear.bias = nn.Parameter(torch.empty(classes))
        self._take(weights.arrays)

    @classmethod
    def from_weights(cls, weights: Weights, *, seed: int = 0) -> "AttentionNetwork":
        """Build the network that has these numbers, in evaluation mode; the seed is that of the noise of training."""
        options: dict[str, Any] = {
            "n_keys": weights.n_keys,
            "classes": weights.classes,
            "seed": seed,
            **weights.options,
        }
        network = cls(weights.function, weights.n_contexts, weights.seq_len, **options)
        network._take(weights.arrays)
        network.eval()
        return network

    def forward(
        self, values: Tensor, queries: Tensor, keys: Tensor | None = None, noise: Tensor | None = None
    ) -> Tensor:
        """Return the predictions (n,) for values (n, seq_len) float32, and queries and keys as features.py says.

        Of classes it returns their logits (n, classes) for values (n, seq_len, classes).
        """
        attention = self.get_attention(queries, keys, noise)  # (n, seq_len)
        if self.classes:
            glimpses = values * attention.unsqueeze(-1)  # (n, seq_len, classes)
            return (self.linear.weight @ glimpses).squeeze(-2) + self.linear.bias
        glimpse = values * attention
        return self.linear(glimpse).squeeze(-1)  # type: ignore[no-any-return]  # (n, 1) -> (n,)

    def get_attention(self, queries: Tensor, keys: Tensor | None = None, noise: Tensor | None = None) -> Tensor:
        """Return the attention (n, seq_len) that each query pays to the positions, by default each its own key.

        In training mode it is what training sees: a function that is stochastic there draws noise, if none is given.
        """
        if noise is None and self.training and self._noise:
            drawn = self._noise.random((*queries.shape[:1], len(self.positions)), dtype=np.float32)
            noise = torch.from_numpy(drawn).to(self.positions)
        parameters = dict(self.attention.items())
        keys = self.numbers if keys is None else keys
        return self.function(parameters, queries, keys, positions=self.positions, noise=noise, **self.options)

    def arrays(self) -> Arrays:
        """Return a copy of the numbers, as a `Weights` holds them."""
        return {name: tensor.numpy().copy() for name, tensor in self.state_dict().items()}

    def _take(self, arrays: Arrays) -> None:
        self.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})


def losses(outputs: Tensor, targets: Tensor) -> Tensor:
    """Return the loss (n,) of each example: the squared error, of classes the cross-entropy."""
    if outputs.dim() == 1:
        return (outputs - targets).square()
    return -outputs.log_softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


def load_model(path: str | Path) -> AttentionNetwork:
    """Rebuild the network of a model file (see `load_weights` for what is refused)."""
    return AttentionNetwork.from_weights(load_weights(path))


def torch_attention(weights: Weights, examples: Examples | None = None) -> NDArray[np.float32]:
    """Return the attention (n, seq_len) that a network with these weights pays in each example, or each context."""
    queries, keys = torch.arange(weights.n_contexts), None
    if examples is not None:
        queries, keys = torch.tensor(examples.queries), torch.tensor(examples.keys)
    with torch.no_grad():
        return AttentionNetwork.from_weights(weights).get_attention(queries, keys).numpy().copy()
