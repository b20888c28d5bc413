"""Seeds trained side by side, against the engine that trains one."""

import numpy as np
import pytest

from attention.functions import ATTENTION_FUNCTIONS
from attention.params.schema import TrainParams
from attention.tasks.problem import draw_examples, lookup
from attention.training.torch_engine import TorchEngine
from attention.weights import draw_weights
from together import TorchTogether

TRUTH = np.array([2, 7, 3, 5, 1])
SEEDS = (3, 8)


@pytest.mark.parametrize(("batch_size", "rows"), [(1, 75), (3, 50)])
@pytest.mark.parametrize("function", [name for name, entry in ATTENTION_FUNCTIONS.items() if not entry.has_kernel])
def test_a_member_trains_as_it_would_alone(function: str, batch_size: int, rows: int) -> None:
    params = TrainParams(epochs=1, batch_size=batch_size, learning_rate=0.001, shuffle=False, engine="torch")
    weights = [draw_weights(function, len(TRUTH), 8, seed) for seed in SEEDS]
    examples = [next(draw_examples(lookup(TRUTH, 8), seed, "train", 2 * rows)) for seed in SEEDS]
    members = TorchTogether(weights, params, SEEDS)
    for half in (slice(rows), slice(rows, None)):
        members.train([own.take(half) for own in examples])
    for seed, initial, own, together in zip(SEEDS, weights, examples, members.weights(), strict=True):
        alone = TorchEngine(initial, params, seed)
        for half in (slice(rows), slice(rows, None)):
            alone.train(own.take(half))
        for name, array in alone.weights().arrays.items():
            assert np.abs(array - initial.arrays[name]).max() > 0.01  # it did learn
            np.testing.assert_allclose(together.arrays[name], array, rtol=0, atol=2e-6, err_msg=name)
