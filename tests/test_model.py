"""The attention functions, each by its properties, and the network around them."""

from pathlib import Path

import numpy as np
import pytest
import torch

from attention.errors import ModelError
from attention.functions import ATTENTION_FUNCTIONS
from attention.model import AttentionNetwork, load_model
from attention.weights import Weights, draw_weights, save_weights

CONTEXTS, POSITIONS = 5, 7
every_function = pytest.mark.parametrize("name", ATTENTION_FUNCTIONS)


def parameters(name: str, seed: int = 31) -> dict[str, torch.Tensor]:
    random = np.random.default_rng(seed)
    shapes = ATTENTION_FUNCTIONS[name].shapes(CONTEXTS, POSITIONS)
    return {key: torch.from_numpy(random.standard_normal(shape)) for key, shape in shapes.items()}


@every_function
def test_an_entry_of_the_registry_describes_itself(name: str) -> None:
    function = ATTENTION_FUNCTIONS[name]
    assert name.replace("_", "").isalnum()
    assert name == name.lower()
    assert function.equation
    assert function.source
    assert function.shapes(3, 11) != function.shapes(3, 13)
    assert all(size > 0 for shape in function.shapes(1, 1).values() for size in shape)


@every_function
@pytest.mark.parametrize("n", [0, 1, 11])
def test_attention_has_a_row_an_example_in_the_precision_of_its_parameters(name: str, n: int) -> None:
    contexts = torch.arange(n) % CONTEXTS
    for dtype in (torch.float32, torch.float64):
        given = {key: tensor.to(dtype) for key, tensor in parameters(name).items()}
        attention = ATTENTION_FUNCTIONS[name].attend(given, contexts)
        assert attention.shape == (n, POSITIONS)
        assert attention.dtype == dtype
        assert attention.isfinite().all()


@every_function
def test_the_context_alone_decides_the_attention(name: str) -> None:
    attend = ATTENTION_FUNCTIONS[name].attend
    contexts = torch.tensor([3, 0, 3, 4, 1, 2, 0])
    together = attend(parameters(name), contexts)
    for row, context in zip(together, contexts, strict=True):
        alone = attend(parameters(name), context[None])[0]
        torch.testing.assert_close(row, alone, rtol=1e-12, atol=1e-15)
    assert len({tuple(row) for row in together.tolist()}) == CONTEXTS


@every_function
def test_the_gradient_is_that_of_finite_differences(name: str) -> None:
    given = {key: tensor.requires_grad_() for key, tensor in parameters(name).items()}
    contexts = torch.tensor([1, 4, 1, 0])

    def attend(*tensors: torch.Tensor) -> torch.Tensor:
        return ATTENTION_FUNCTIONS[name].attend(dict(zip(given, tensors, strict=True)), contexts)

    assert torch.autograd.gradcheck(attend, tuple(given.values()), eps=1e-7, atol=1e-6)


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
    contexts = torch.tensor([4, 0, 4])
    attention = network.get_attention(contexts)
    assert attention.shape == (3, POSITIONS)
    assert attention.dtype == torch.float32
    assert torch.equal(attention, ATTENTION_FUNCTIONS[name].attend(dict(network.attention.items()), contexts))
    assert torch.equal(attention[0], attention[2])


def test_the_article_s_function_is_the_row_of_its_table() -> None:
    scores = torch.tensor([[2.0, -3.0], [5.0, 7.0], [-11.0, 0.0]])
    attention = ATTENTION_FUNCTIONS["embedding"].attend({"scores": scores}, torch.tensor([2, 0, 2]))
    assert attention.tolist() == [[-11, 0], [2, -3], [-11, 0]]


@every_function
def test_a_network_begins_with_the_numbers_that_are_drawn_for_its_seed(name: str) -> None:
    drawn = draw_weights(name, CONTEXTS, POSITIONS, 11)
    arrays = AttentionNetwork(name, CONTEXTS, POSITIONS, seed=11).arrays()
    assert list(arrays) == list(drawn.arrays)
    assert all(arrays[key].tobytes() == array.tobytes() for key, array in drawn.arrays.items())
    other = AttentionNetwork(name, CONTEXTS, POSITIONS).arrays()
    assert all(arrays[key].tobytes() != other[key].tobytes() for key in arrays)


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
