"""The network, in torch: what every number of the project means."""

from pathlib import Path

import torch
from torch import Tensor, nn

from attention.functions import ATTENTION_FUNCTIONS
from attention.weights import Arrays, Weights, draw_weights, load_weights
from workbench.stage.streams import stream


class AttentionNetwork(nn.Module):
    """output = Σ_j inputs_j · attention(context)_j · w_j + b.

    The context alone decides the attention; the glimpse inputs ⊙ attention goes through one linear output.

    Args:
        attention: a name in ATTENTION_FUNCTIONS.
        n_contexts: how many contexts there are.
        seq_len: how many positions an input has.
        seed: what the initial weights and the noise of training are drawn from (see `draw_weights`); the global
            generators are not touched.
        options: of the attention function; left out or None, they have the function's own defaults.

    """

    positions: Tensor

    def __init__(
        self, attention: str, n_contexts: int, seq_len: int, *, seed: int = 0, **options: float | None
    ) -> None:
        super().__init__()
        weights = draw_weights(attention, n_contexts, seq_len, seed, options=options)
        self.function = ATTENTION_FUNCTIONS[attention].attend
        self.options = weights.options
        self._noise = stream(seed, "gumbel noise") if ATTENTION_FUNCTIONS[attention].noisy else None
        self.register_buffer("positions", torch.arange(seq_len, dtype=torch.float32), persistent=False)
        self.attention = nn.ParameterDict()  # which would sort what it is made from
        for name, array in weights.arrays.items():
            if name.startswith("attention."):
                self.attention[name.removeprefix("attention.")] = nn.Parameter(torch.empty(array.shape))
        self.linear = nn.Linear(seq_len, 1, device="meta").to_empty(device="cpu")  # draws nothing from torch
        self._take(weights.arrays)

    @classmethod
    def from_weights(cls, weights: Weights, *, seed: int = 0) -> "AttentionNetwork":
        """Build the network that has these numbers, in evaluation mode; the seed is that of the noise of training."""
        network = cls(weights.function, weights.n_contexts, weights.seq_len, seed=seed, **weights.options)
        network._take(weights.arrays)
        network.eval()
        return network

    def forward(self, inputs: Tensor, contexts: Tensor) -> Tensor:
        """Return the predictions (n,) for inputs (n, seq_len) float32 and contexts (n,) int64."""
        glimpse = inputs * self.get_attention(contexts)  # (n, seq_len)
        return self.linear(glimpse).squeeze(-1)  # type: ignore[no-any-return]  # (n, 1) -> (n,)

    def get_attention(self, contexts: Tensor) -> Tensor:
        """Return the attention (n, seq_len) that each of the contexts (n,) int64 pays to the positions.

        In training mode it is what training sees: a function that is stochastic there draws anew.
        """
        noise = None
        if self.training and self._noise:
            drawn = self._noise.gumbel(size=(*contexts.shape, len(self.positions)))
            noise = torch.from_numpy(drawn).to(self.positions)
        parameters = dict(self.attention.items())
        return self.function(parameters, contexts, positions=self.positions, noise=noise, **self.options)

    def arrays(self) -> Arrays:
        """Return a copy of the numbers, as a `Weights` holds them."""
        return {name: tensor.numpy().copy() for name, tensor in self.state_dict().items()}

    def _take(self, arrays: Arrays) -> None:
        self.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in arrays.items()})


def load_model(path: str | Path) -> AttentionNetwork:
    """Rebuild the network of a model file (see `load_weights` for what is refused)."""
    return AttentionNetwork.from_weights(load_weights(path))
