"""The article's program, whole: data, network, loop and figure, with the lines that its listing lost."""

import sys

import matplotlib.pyplot as plt
import numpy as np
import torch
from torch import nn, optim
from tqdm import tqdm

INPUT_SIZE, SEQ_LEN, N_CONTEXTS = 10000, 8, 5
true_attention = {0: 2, 1: 7, 2: 3, 3: 5, 4: 1}


class AttentionNetwork(nn.Module):
    """Attention from an embedding of the context."""

    def __init__(self) -> None:
        super().__init__()
        self.context_embed = nn.Embedding(N_CONTEXTS, SEQ_LEN)
        self.linear = nn.Linear(SEQ_LEN, 1)

    def forward(self, x: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
        """Predict."""
        a = self.context_embed(c)
        x = x * a
        return self.linear(x)  # type: ignore[no-any-return]

    def get_attention(self, c: torch.Tensor) -> torch.Tensor:
        """Return what was learned."""
        return self.context_embed(c)  # type: ignore[no-any-return]


inputs = torch.rand((INPUT_SIZE, SEQ_LEN))
context = torch.randint(low=0, high=N_CONTEXTS, size=(INPUT_SIZE, 1))
outputs = torch.tensor([inputs[i, true_attention[int(context[i].item())]] for i in range(INPUT_SIZE)])

model = AttentionNetwork()
criterion = nn.MSELoss()
optimizer = optim.Adam(model.parameters())
for epoch in range(4):
    losses = []
    for i in tqdm(range(INPUT_SIZE), disable=None):
        inp = inputs[i]
        c = context[i]
        pred = model(inp, c).squeeze()
        loss = criterion(pred, outputs[i])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    print(f"epoch {epoch}: MSE = {np.mean(losses):.7f}")

fig, ax = plt.subplots(N_CONTEXTS, figsize=(15, 10))
for k in range(N_CONTEXTS):
    true_att_index = np.zeros(SEQ_LEN)
    true_att_index[true_attention[k]] = 1
    ax[k].bar(range(SEQ_LEN), true_att_index, color="green")
    computed_attention = model.get_attention(torch.tensor(k)).detach().abs()
    computed_attention /= computed_attention.sum()
    ax[k].bar(range(SEQ_LEN), computed_attention, color="orange")
fig.savefig(sys.argv[1])
