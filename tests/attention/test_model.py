"""The network around the attention functions."""

from pathlib import Path

import numpy as np
import pytest
import torch

from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.entry import OptionError, with_defaults
from attention.network import AttentionNetwork, load_model
from attention.weights import ModelError, Weights, draw_weights, save_weights

CONTEXTS, POSITIONS = 5, 7
CONSTANT = {
    f"attention.{name}" for name in ("sharpness", "log_beta", "log_gamma", "shift", "every_shift")
}  # start alike whatever the seed
every_function = pytest.mark.parametrize("name", ATTENTION_FUNCTIONS)


@every_function
def test_every_parameter_can_learn(name: str) -> None:
    network = AttentionNetwork(name, CONTEXTS, POSITIONS)
    random = np.random.default_rng(37)
    inputs = torch.from_numpy(random.random((29, POSITIONS), dtype=np.float32))
    network(inputs, torch.arange(29) % CONTEXTS).square().mean().backward()
    for key, parameter in network.named_parameters():
        assert parameter.grad is not None, key
        assert parameter.grad.abs().sum() > 0, key


@every_function
def test_the_output_is_the_sum_of_input_times_attention_times_weight(name: str) -> None:
    weights = draw_weights(name, CONTEXTS, POSITIONS, 41)
    network = AttentionNetwork.from_weights(weights)
    inputs = np.random.default_rng(43).random((11, POSITIONS), dtype=np.float32)
    contexts = torch.tensor([0, 4, 1, 3, 2, 2, 0, 1, 4, 3, 0])
    output = network(torch.from_numpy(inputs), contexts)
    assert output.shape == (11,)
    assert output.dtype == torch.float32
    scale, bias = weights.arrays["linear.weight"][0], float(weights.arrays["linear.bias"][0])
    for i, attention in enumerate(network.get_attention(contexts).tolist()):
        explicit = sum(float(inputs[i, j]) * attention[j] * float(scale[j]) for j in range(POSITIONS)) + bias
        assert output[i].item() == pytest.approx(explicit, rel=1e-5, abs=1e-6)


@every_function
def test_get_attention_is_the_registered_function_of_the_network_s_parameters(name: str) -> None:
    network = AttentionNetwork(attention=name, n_contexts=CONTEXTS, seq_len=POSITIONS)
    network.eval()
    contexts = torch.tensor([4, 0, 4])
    attention = network.get_attention(contexts)
    assert attention.shape == (3, POSITIONS)
    assert attention.dtype == torch.float32
    expected = ATTENTION_FUNCTIONS[name].attend(
        dict(network.attention.items()),
        contexts,
        torch.arange(POSITIONS),
        positions=torch.arange(7.0),
        noise=None,
        **with_defaults(ATTENTION_FUNCTIONS[name], {}),
    )
    assert torch.equal(attention, expected)
    assert torch.equal(attention[0], attention[2])


@every_function
def test_keys_are_the_positions_unless_an_example_brings_its_own(name: str) -> None:
    network = AttentionNetwork.from_weights(draw_weights(name, CONTEXTS, POSITIONS, 11, n_keys=13))
    values = torch.from_numpy(np.random.default_rng(5).random((2, POSITIONS), dtype=np.float32))
    queries, keys = torch.tensor([4, 1]), torch.tensor([[12, 7, 0, 11, 3, 5, 9], [1, 2, 3, 4, 5, 6, 0]])
    outputs = network(values, queries, keys)
    assert outputs.shape == (2,)
    if name != "gaussian":
        assert not torch.allclose(outputs[0], network(values, queries)[0])
    else:
        assert torch.equal(outputs, network(values, queries))  # it reads no keys
    torch.testing.assert_close(network(values, queries, torch.arange(POSITIONS)), network(values, queries))


@every_function
def test_a_network_begins_with_the_numbers_that_are_drawn_for_its_seed(name: str) -> None:
    drawn = draw_weights(name, CONTEXTS, POSITIONS, 11)
    arrays = AttentionNetwork(name, CONTEXTS, POSITIONS, seed=11).arrays()
    assert list(arrays) == list(drawn.arrays)
    assert all(arrays[key].tobytes() == array.tobytes() for key, array in drawn.arrays.items())
    other = AttentionNetwork(name, CONTEXTS, POSITIONS).arrays()
    assert all((arrays[key].tobytes() == other[key].tobytes()) == (key in CONSTANT) for key in arrays)


@every_function
def test_building_a_network_leaves_the_global_generators_alone(name: str) -> None:
    torch_before, numpy_before = torch.random.get_rng_state(), np.random.get_state()  # noqa: NPY002
    AttentionNetwork(name, CONTEXTS, POSITIONS)
    assert torch.equal(torch.random.get_rng_state(), torch_before)
    assert str(np.random.get_state()) == str(numpy_before)  # noqa: NPY002


@every_function
def test_a_model_file_rebuilds_the_network(tmp_path: Path, name: str) -> None:
    weights = draw_weights(name, CONTEXTS, POSITIONS, 11)
    save_weights(tmp_path / "model.safetensors", weights)
    back = load_model(tmp_path / "model.safetensors")
    assert back.function is ATTENTION_FUNCTIONS[name].attend
    assert {key: array.tobytes() for key, array in back.arrays().items()} == {
        key: array.tobytes() for key, array in weights.arrays.items()
    }


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    torch.save({"linear.bias": torch.zeros(1)}, tmp_path / "model.pt")
    with pytest.raises(ModelError, match=r"model\.pt: not a safetensors file"):
        load_model(tmp_path / "model.pt")


def test_a_network_and_the_arrays_it_came_from_share_no_memory() -> None:
    weights: Weights = draw_weights("embedding", CONTEXTS, POSITIONS, 11)
    network = AttentionNetwork.from_weights(weights)
    copied = network.arrays()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    for arrays in (weights.arrays, copied):
        assert all(np.count_nonzero(array) == array.size for array in arrays.values())


def test_options_reach_the_function_and_its_parameters() -> None:
    network = AttentionNetwork("multihead", CONTEXTS, POSITIONS, width=6, heads=3)
    assert network.attention["query"].shape == (CONTEXTS, 6)
    assert network.options == {"width": 6, "normalizer": "softmax", "temperature": 1.0, "heads": 3}
    cold = AttentionNetwork("softmax", CONTEXTS, POSITIONS, temperature=0.5)
    expected = (cold.attention["scores"] * 2).softmax(-1)
    torch.testing.assert_close(cold.get_attention(torch.arange(CONTEXTS)), expected)
    sharp = AttentionNetwork("cosine", CONTEXTS, POSITIONS, beta=4.0)
    torch.testing.assert_close(sharp.attention["log_beta"].exp(), torch.full((CONTEXTS,), 4.0))
    with pytest.raises(OptionError, match=r"heads: got 3; allowed: null, as the function has no such option"):
        AttentionNetwork("softmax", CONTEXTS, POSITIONS, heads=3)


def test_only_training_is_stochastic_and_its_noise_is_of_its_seed() -> None:
    contexts = torch.arange(CONTEXTS).repeat(11)
    weights = draw_weights("hard", CONTEXTS, POSITIONS, 11)
    one, same, other = (AttentionNetwork.from_weights(weights, seed=seed) for seed in (3, 3, 5))
    torch.manual_seed(0)
    evaluated = one.get_attention(contexts)
    for network in (one, same, other):
        assert torch.equal(network.get_attention(contexts), evaluated)
        network.train()
    torch.manual_seed(1)  # whose numbers nothing may depend on
    first = one.get_attention(contexts)
    assert torch.equal(first, same.get_attention(contexts))
    assert not torch.equal(first, other.get_attention(contexts))
    assert not torch.equal(first, one.get_attention(contexts))


@every_function
def test_a_network_can_be_exported_for_any_number_of_examples(name: str) -> None:
    """As MLflow keeps it: what is exported is the attention of evaluation."""
    network = AttentionNetwork.from_weights(draw_weights(name, CONTEXTS, POSITIONS, 11))
    given = torch.rand(2, POSITIONS, generator=torch.Generator().manual_seed(0)), torch.tensor([4, 1])
    rows = torch.export.Dim("rows", min=1)
    exported = torch.export.export(network, given, dynamic_shapes=({0: rows}, {0: rows})).module()
    more = torch.ones(11, POSITIONS), torch.arange(11) % CONTEXTS
    torch.testing.assert_close(exported(*more), network(*more))
