"""The attention functions: the laboratory's own each against an oracle that shares no code with it, all by what holds.

A function of one's own is taken in by PROPERTIES, which need to know nothing of it but its entry.
"""

import itertools
import math
import re
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from typing import Any

import entmax
import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 - its usual name
from conftest import ROOT
from torch import Tensor

from attention.functions import ATTENTION_FUNCTIONS, FAMILIES, OPTIONS
from attention.functions.check import draw_parameters
from attention.functions.entry import OptionError, resolve_options, with_defaults
from attention.functions.features import table_scores
from workbench.stage.streams import stream

CONTEXTS, POSITIONS = 5, 7
every_function = pytest.mark.parametrize("name", ATTENTION_FUNCTIONS)
SCORES = ("softmax", "sparsemax", "entmax15", "hard")  # shares of a table of scores
PRODUCTS = ("dot", "scaled_dot", "bilinear")  # shares of products with keys
OWN = {name for family in FAMILIES for name in import_module(f"attention.functions.{family}").FUNCTIONS}
SHARES = tuple(name for name, function in ATTENTION_FUNCTIONS.items() if function.values == "shares" and name in OWN)

Parameters = dict[str, Tensor]


def parameters(
    name: str, n_contexts: int = CONTEXTS, seq_len: int = POSITIONS, seed: int = 31, **given: Any
) -> Parameters:
    """Return standard normal parameters; those of somebody's own function as its entry draws them."""
    random = np.random.default_rng(seed)
    function = ATTENTION_FUNCTIONS[name]
    options = resolve_options(function, given, seq_len)
    shapes = function.shapes(n_contexts, seq_len, **options)
    if name not in OWN:
        drawn = draw_parameters(name, shapes, random, seq_len, options, function)
        return {key: torch.from_numpy(array).double() for key, array in drawn.items()}
    return {key: torch.from_numpy(random.standard_normal(shape)) for key, shape in shapes.items()}


def attend(
    name: str,
    tensors: Parameters,
    contexts: Tensor,
    seq_len: int = POSITIONS,
    noise: Tensor | None = None,
    **given: Any,
) -> Tensor:
    function = ATTENTION_FUNCTIONS[name]
    positions = torch.arange(seq_len).to(next(iter(tensors.values())))
    options = resolve_options(function, given, seq_len)
    keys = torch.arange(seq_len)
    return function.attend(tensors, contexts, keys, positions=positions, noise=noise, **options)


def of_scores(name: str, scores: list[list[float]], **given: Any) -> list[list[float]]:
    """Return the attention of a function of a table of scores, in the precision that networks have."""
    table = {"scores": torch.tensor(scores)}
    return attend(name, table, torch.arange(len(scores)), len(scores[0]), **given).tolist()


# Oracles: from the parameters to the attention (n_contexts, seq_len) of the default options.


def projected(scores: Tensor) -> Tensor:
    """Project onto the simplex by trying every support: the nearest feasible point."""
    rows = []
    for s in scores.numpy():
        best, nearest = None, math.inf
        for size in range(1, len(s) + 1):
            for support in map(list, itertools.combinations(range(len(s)), size)):
                a = np.zeros(len(s))
                a[support] = s[support] - (s[support].sum() - 1) / size
                if (a >= 0).all() and ((a - s) ** 2).sum() < nearest:
                    best, nearest = a, ((a - s) ** 2).sum()
        rows.append(best)
    return torch.tensor(np.array(rows))


def exponential_shares(scores: list[list[float]]) -> Tensor:
    powers = [[math.exp(s) for s in row] for row in scores]
    return torch.tensor([[power / sum(row) for power in row] for row in powers], dtype=torch.float64)


def bell(p: Parameters) -> Tensor:
    normal: Any = torch.distributions.Normal(p["centre"][:, None], 1 / p["sharpness"].abs()[:, None])
    density: Tensor = (normal.log_prob(torch.arange(POSITIONS)) - normal.log_prob(normal.mean)).exp()
    return density


def summed(p: Parameters) -> Tensor:
    """Write additive attention out, number by number."""
    q, k, W, U, v = (p[name].tolist() for name in ("query", "key", "W", "U", "v"))  # noqa: N806 - as in the equation
    d = range(len(v))
    scores = [
        [
            sum(v[i] * math.tanh(sum(W[i][m] * qc[m] for m in d) + sum(U[i][m] * kj[m] for m in d)) for i in d)
            for kj in k
        ]
        for qc in q
    ]
    return exponential_shares(scores)


def windowed(p: Parameters) -> Tensor:
    """Write local-p attention out as its source does: positions 1 … S, softmax inside of the window, σ = D/2."""
    window, rows = 2, []
    for q in p["query"]:
        centre = POSITIONS / (1 + math.exp(-float(p["v_p"] @ torch.tanh(p["W_p"] @ q))))
        inside = [s for s in range(1, POSITIONS + 1) if centre - window <= s <= centre + window]
        aligned = exponential_shares([[float(q @ p["key"][s - 1]) for s in inside]])[0]
        row = torch.zeros(POSITIONS, dtype=torch.float64)
        for s, share in zip(inside, aligned, strict=True):
            row[s - 1] = share * math.exp(-((s - centre) ** 2) / (2 * (window / 2) ** 2))
        rows.append(row)
    return torch.stack(rows)


def of_torch_s_heads(p: Parameters) -> Tensor:
    width, no, zeros = p["query"].shape[1], torch.zeros(0), torch.zeros(3 * p["query"].shape[1], dtype=torch.float64)
    _, weights = F.multi_head_attention_forward(
        *(p["query"][:, None], p["key"][:, None], p["key"][:, None], width, 2, no, zeros, None, None, False, 0.0),
        *(torch.eye(width, dtype=torch.float64), None),
        use_separate_proj_weight=True,
        q_proj_weight=p["W_q"],
        k_proj_weight=p["W_k"],
        v_proj_weight=torch.eye(width, dtype=torch.float64),
    )
    return weights[0]  # type: ignore[index]


def of_torch_s_attention(p: Parameters, scale: float | None) -> Tensor:
    """Attend to the unit vectors: what comes out is the attention."""
    values = torch.eye(POSITIONS, dtype=torch.float64)[None]
    return F.scaled_dot_product_attention(p["query"][None], p["key"][None], values, scale=scale)[0]


def by_positive_features(p: Parameters) -> Tensor:
    sizes = (F.elu(p["query"]) + 1) @ (F.elu(p["key"]) + 1).T
    return F.normalize(sizes, p=1, dim=-1)


def by_outer_products(p: Parameters) -> Tensor:
    """Write the series as the product of features that its source has: 1, x and x xᵀ / √2."""

    def mapped(vectors: Tensor) -> Tensor:
        x = vectors / vectors.shape[-1] ** 0.25
        ones, outer = torch.ones(len(x), 1), torch.einsum("ni,nj->nij", x, x).flatten(1)
        return torch.cat([ones, x, outer / math.sqrt(2)], dim=1)

    return F.normalize(mapped(p["query"]) @ mapped(p["key"]).T, p=1, dim=-1)


def by_a_moving_head(p: Parameters) -> Tensor:
    """Write equations 5, 8 and 9 of the source out, number by number."""
    rows = []
    for c, q in enumerate(p["query"]):
        cosines = [float(F.cosine_similarity(q, k, dim=0)) for k in p["key"]]
        (found,) = exponential_shares([[math.exp(float(p["log_beta"][c])) * each for each in cosines]]).tolist()
        (s,) = exponential_shares([(p["shift"][c] + p["every_shift"]).tolist()]).tolist()
        moved = [
            sum(found[j] * s[1 + d] for j in range(POSITIONS) for d in (-1, 0, 1) if (j + d - i) % POSITIONS == 0)
            for i in range(POSITIONS)
        ]
        powers = [each ** (1 + math.exp(float(p["log_gamma"][c]))) for each in moved]
        rows.append([power / sum(powers) for power in powers])
    return torch.tensor(rows, dtype=torch.float64)


ORACLES: dict[str, Callable[[Parameters], Tensor]] = {
    "embedding": lambda p: F.embedding(torch.arange(CONTEXTS), p["scores"]),
    "sigmoid": lambda p: (1 + (p["scores"] / 2).tanh()) / 2,
    "softmax": lambda p: exponential_shares(p["scores"].tolist()),
    "sparsemax": lambda p: projected(p["scores"]),
    "entmax15": lambda p: entmax.entmax_bisect(p["scores"], alpha=1.5, n_iter=60),
    "gaussian": bell,
    "hard": lambda p: F.one_hot(
        torch.tensor([row.index(max(row)) for row in p["scores"].tolist()]), POSITIONS
    ).double(),
    "dot": lambda p: of_torch_s_attention(p, 1.0),
    "scaled_dot": lambda p: of_torch_s_attention(p, None),
    "bilinear": lambda p: torch.stack(
        [F.bilinear(q.expand(POSITIONS, -1).contiguous(), p["key"], p["W"][None])[:, 0].softmax(0) for q in p["query"]]
    ),
    "additive": summed,
    "cosine": lambda p: (
        p["log_beta"].exp()[:, None] * F.cosine_similarity(p["query"][:, None], p["key"][None], dim=-1)
    ).softmax(-1),
    "local": windowed,
    "linear": by_positive_features,
    "taylor": by_outer_products,
    "ntm": by_a_moving_head,
    "multihead": of_torch_s_heads,
}


def test_every_function_of_the_laboratory_has_an_oracle() -> None:
    assert ORACLES.keys() == OWN


@pytest.mark.parametrize("name", ORACLES)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_attention_is_what_the_oracle_says(name: str, seed: int) -> None:
    given = parameters(name, seed=seed)
    torch.testing.assert_close(attend(name, given, torch.arange(CONTEXTS)), ORACLES[name](given), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(("name", "exact"), [("sparsemax", entmax.sparsemax), ("entmax15", entmax.entmax15)])
@pytest.mark.parametrize("spread", [0.1, 1.0, 30.0])
def test_sparse_functions_and_their_gradients_are_those_of_the_entmax_package(
    name: str, exact: Callable[..., Tensor], spread: float
) -> None:
    scores = (spread * parameters("softmax", 11, 13)["scores"]).requires_grad_()
    slope = parameters("softmax", 11, 13, seed=7)["scores"]
    found = attend(name, {"scores": scores}, torch.arange(11), 13)
    torch.testing.assert_close(found, exact(scores, dim=-1), rtol=1e-9, atol=1e-12)
    (ours,) = torch.autograd.grad((found * slope).sum(), scores)
    (theirs,) = torch.autograd.grad((exact(scores, dim=-1) * slope).sum(), scores)
    torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_numbers_computed_by_hand() -> None:
    ln = math.log
    assert of_scores("softmax", [[0, ln(2), ln(5)]])[0] == pytest.approx([1 / 8, 2 / 8, 5 / 8])
    assert of_scores("sigmoid", [[0, ln(3), -ln(3)]])[0] == pytest.approx([1 / 2, 3 / 4, 1 / 4])
    assert of_scores("sparsemax", [[1, 0.5, -1]])[0] == pytest.approx([3 / 4, 1 / 4, 0])  # t = 1/4
    assert of_scores("entmax15", [[0.4, 0, -9]])[0] == pytest.approx([0.64, 0.36, 0])  # √a is 0.8 and 0.6
    assert of_scores("hard", [[3, 7, 5]])[0] == [0, 1, 0]
    bell = {"centre": torch.tensor([1.0]), "sharpness": torch.tensor([2.0])}
    assert attend("gaussian", bell, torch.tensor([0]), 3)[0].tolist() == pytest.approx([math.exp(-2), 1, math.exp(-2)])

    keys = torch.tensor([[3.0, 0], [0, 5], [-2, 0]])
    unit = {"query": torch.tensor([[ln(2), 0.0]]), "key": torch.tensor([[1.0, 9], [0, 9], [-1, 9]])}
    assert attend("dot", unit, torch.tensor([0]), 3, width=2)[0].tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    given = {"query": torch.tensor([[7.0, 0]]), "key": keys, "log_beta": torch.tensor([ln(ln(2))])}
    assert attend("cosine", given, torch.tensor([0]), 3, width=2)[0].tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])
    # no score and no preference: the centre is half of S = 4, the window holds positions 1, 2 and 3, σ is 1/2
    flat = {"query": torch.zeros(1, 2), "key": torch.ones(4, 2), "W_p": torch.ones(2, 2), "v_p": torch.ones(2)}
    aside = math.exp(-2) / 3
    found = attend("local", flat, torch.tensor([0]), 4, width=2, window=1)[0].tolist()
    assert found == pytest.approx([aside, 1 / 3, aside, 0])


# Properties, over the whole registry.


@every_function
def test_an_entry_of_the_registry_describes_itself(name: str) -> None:
    function = ATTENTION_FUNCTIONS[name]
    assert re.fullmatch("[a-z][a-z0-9_]*", name)
    assert function.equation
    assert function.source
    assert function.attend.__doc__
    assert function.options.keys() <= OPTIONS.keys()
    assert all(option.takes(option.default) for option in function.options.values())
    assert function.initial.keys() <= parameters(name).keys()


SMALLEST: dict[str, dict[str, Any]] = {"local": {"window": 1}}


@every_function
@pytest.mark.parametrize("n", [0, 1, 11])
def test_attention_has_a_row_an_example_in_the_precision_of_its_parameters(name: str, n: int) -> None:
    contexts = torch.arange(n) % CONTEXTS
    for dtype in (torch.float32, torch.float64):
        given = {key: tensor.to(dtype) for key, tensor in parameters(name).items()}
        attention = attend(name, given, contexts)
        assert attention.shape == (n, POSITIONS)
        assert attention.dtype == dtype
        assert attention.isfinite().all()


@every_function
def test_the_context_alone_decides_the_attention(name: str) -> None:
    contexts, given = torch.tensor([3, 0, 3, 4, 1, 2, 0]), parameters(name)
    together = attend(name, given, contexts)
    for row, context in zip(together, contexts, strict=True):
        torch.testing.assert_close(row, attend(name, given, context[None])[0], rtol=1e-12, atol=1e-15)
        torch.testing.assert_close(row, attend(name, given, context), rtol=1e-12, atol=1e-15)  # as in the article
    assert len({tuple(row) for row in together.tolist()}) > 2


@every_function
@pytest.mark.parametrize("seed", [31, 37])
def test_the_gradient_is_that_of_finite_differences(name: str, seed: int) -> None:
    if ATTENTION_FUNCTIONS[name].noisy:
        pytest.skip("its gradient is that of another function")
    given = {key: tensor.requires_grad_() for key, tensor in parameters(name, 3, seed=seed).items()}

    def compute(*tensors: Tensor) -> Tensor:
        return attend(name, dict(zip(given, tensors, strict=True)), torch.tensor([1, 2, 1, 0]))

    assert torch.autograd.gradcheck(compute, tuple(given.values()), eps=1e-7, atol=1e-6)


@every_function
@pytest.mark.parametrize("scale", [0.0, 0.01, 1.0, 1e3])
def test_values_are_what_the_registry_says_of_them(name: str, scale: float) -> None:
    values = ATTENTION_FUNCTIONS[name].values
    for dtype, precision in ((torch.float32, 1e-6), (torch.float64, 1e-14)):
        given = {key: (scale * tensor).clamp(max=80).to(dtype) for key, tensor in parameters(name, 11, 13).items()}
        attention = attend(name, given, torch.arange(11), 13)
        assert attention.isfinite().all()
        if values != "any":
            assert attention.min() >= 0
            assert attention.max() <= 1 + precision
        if values == "shares":
            torch.testing.assert_close(attention.sum(-1), torch.ones(11, dtype=dtype), rtol=0, atol=precision)


def test_nothing_is_said_of_values_of_which_nothing_holds() -> None:
    loose = {name for name in OWN if ATTENTION_FUNCTIONS[name].values == "any"}
    assert loose == {"embedding"}
    assert attend("embedding", parameters("embedding"), torch.arange(CONTEXTS)).min() < 0


def test_local_attention_sums_to_less_than_1() -> None:
    sums = attend("local", parameters("local"), torch.arange(CONTEXTS)).sum(-1)
    assert ((sums > 0) & (sums < 1)).all()


@pytest.mark.parametrize("name", SCORES)
def test_a_constant_more_on_every_score_changes_nothing(name: str) -> None:
    given = parameters(name)
    shifted = {"scores": given["scores"] + torch.tensor([[17.0], [-5], [0], [300], [-300]])}
    contexts = torch.arange(CONTEXTS)
    torch.testing.assert_close(attend(name, shifted, contexts), attend(name, given, contexts), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", PRODUCTS)
def test_a_constant_vector_more_on_every_key_changes_nothing(name: str) -> None:
    given = parameters(name)
    shifted = {**given, "key": given["key"] + parameters(name, seed=3)["key"][:1]}
    contexts = torch.arange(CONTEXTS)
    torch.testing.assert_close(attend(name, shifted, contexts), attend(name, given, contexts), rtol=1e-9, atol=1e-9)


def test_a_shift_does_change_functions_of_which_it_is_not_said() -> None:
    for name in ("embedding", "sigmoid"):
        given = parameters(name)
        shifted = {"scores": given["scores"] + 1}
        assert (
            attend(name, shifted, torch.arange(CONTEXTS)) - attend(name, given, torch.arange(CONTEXTS))
        ).abs().max() > 0.1


@every_function
def test_attention_follows_its_keys_unless_their_order_has_a_meaning(name: str) -> None:
    given, order, function = parameters(name), torch.tensor([3, 0, 6, 2, 5, 1, 4]), ATTENTION_FUNCTIONS[name]
    more = {"positions": torch.arange(POSITIONS).double(), "noise": None, **with_defaults(function, {})}
    queries = torch.arange(CONTEXTS)
    before, after = (function.attend(given, queries, keys, **more) for keys in (torch.arange(POSITIONS), order))
    assert torch.allclose(before[:, order], after, rtol=1e-12, atol=1e-15) == (not function.ordered)


def test_sparse_functions_give_exact_zeros_and_others_do_not() -> None:
    contexts = torch.arange(CONTEXTS)
    zeros = {name: int((attend(name, parameters(name), contexts) == 0).sum()) for name in SHARES}
    assert zeros["sparsemax"] > zeros["entmax15"] > 0
    assert zeros["hard"] == CONTEXTS * (POSITIONS - 1)
    assert {name for name, count in zeros.items() if not count} == set(SHARES) - {"sparsemax", "entmax15", "hard"}


# What is decided for degenerate cases.


@every_function
def test_one_position_gets_all_there_is_to_share(name: str) -> None:
    options = SMALLEST.get(name, {})
    if ATTENTION_FUNCTIONS[name].limits(with_defaults(ATTENTION_FUNCTIONS[name], options), 1):
        pytest.skip("its options do not allow it")
    attention = attend(name, parameters(name, 3, 1, **options), torch.arange(3), 1, **options)
    assert attention.shape == (3, 1)
    if ATTENTION_FUNCTIONS[name].values == "shares":
        torch.testing.assert_close(attention, torch.ones(3, 1, dtype=torch.float64))


@pytest.mark.parametrize("name", SHARES)
def test_equal_scores_share_equally_except_that_hard_attention_takes_the_first(name: str) -> None:
    zeros = {key: torch.zeros_like(tensor) for key, tensor in parameters(name).items()}
    attention = attend(name, zeros, torch.tensor([2]))[0]
    expected = torch.full((POSITIONS,), 1 / POSITIONS) if name != "hard" else F.one_hot(torch.tensor(0), POSITIONS)
    torch.testing.assert_close(attention, expected.double())


@pytest.mark.parametrize("name", SCORES)
def test_two_largest_scores_that_are_equal(name: str) -> None:
    both = [1.0, 0.0, 0.0] if name == "hard" else [0.5, 0.0, 0.5]
    assert of_scores(name, [[50, -50, 50]])[0] == pytest.approx(both, abs=1e-7)


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("size", [1e4, 1e30, 3e38])
def test_large_scores_of_either_sign_leave_one_position(name: str, size: float) -> None:
    assert of_scores(name, [[0, size, -size], [-size, -size / 2, -size]]) == [[0, 1, 0], [0, 1, 0]]


def test_large_scores_of_functions_that_do_not_share() -> None:
    assert of_scores("sigmoid", [[-3e38, 0, 3e38]]) == [[0, 0.5, 1]]
    assert of_scores("embedding", [[-3e38, 0]])[0] == pytest.approx([-3e38, 0])
    for sharpness, expected in ((0.0, [1, 1, 1]), (1e30, [0, 1, 0]), (-1e30, [0, 1, 0])):
        narrow = {"centre": torch.tensor([1.0]), "sharpness": torch.tensor([sharpness])}
        assert attend("gaussian", narrow, torch.tensor([0]), 3)[0].tolist() == expected


def test_a_zero_vector_points_nowhere() -> None:
    given = parameters("cosine")
    given["key"][2] = 0
    given["query"][0] = 0
    attention = attend("cosine", given, torch.arange(CONTEXTS))
    torch.testing.assert_close(attention[0], torch.full((POSITIONS,), 1 / POSITIONS, dtype=torch.float64))
    assert attention.isfinite().all()


@pytest.mark.parametrize("end", [-1e4, 1e4])
def test_the_window_holds_a_position_wherever_its_centre_is(end: float) -> None:
    given = {key: torch.ones_like(tensor) for key, tensor in parameters("local", 1).items()}
    given["v_p"] *= end
    attention = attend("local", given, torch.tensor([0]), window=1)[0]
    assert attention.isfinite().all()
    assert attention.argmax() == (0 if end < 0 else POSITIONS - 1)


# Options.


@pytest.mark.parametrize("name", ["softmax", "sparsemax", "entmax15"])
def test_the_temperature_divides_the_scores(name: str) -> None:
    given = parameters(name)
    contexts = torch.arange(CONTEXTS)
    hot = attend(name, given, contexts, temperature=3.0)
    torch.testing.assert_close(hot, attend(name, {"scores": given["scores"] / 3}, contexts))


def test_one_head_without_projection_is_scaled_dot() -> None:
    given = parameters("scaled_dot")
    same = {**given, "W_q": torch.eye(8, dtype=torch.float64), "W_k": torch.eye(8, dtype=torch.float64)}
    contexts = torch.arange(CONTEXTS)
    torch.testing.assert_close(attend("multihead", same, contexts, heads=1), attend("scaled_dot", given, contexts))
    assert not torch.allclose(attend("multihead", same, contexts, heads=4), attend("scaled_dot", given, contexts))


def test_nothing_outside_of_the_window_is_attended_to() -> None:
    given = parameters("local")
    inside = [(attend("local", given, torch.arange(CONTEXTS), window=window) > 0).sum(-1) for window in (1, 2, 3, 7)]
    for narrow, wide in itertools.pairwise(inside):
        assert (narrow < wide).all()
    assert (inside[0] <= 3).all()
    assert (inside[-1] == POSITIONS).all()


def test_the_width_is_that_of_queries_and_keys() -> None:
    for name, function in ATTENTION_FUNCTIONS.items():
        if "width" in function.options and name in OWN:
            given = parameters(name, width=4)
            assert (given["query"].shape, given["key"].shape) == ((CONTEXTS, 4), (POSITIONS, 4))
            assert attend(name, given, torch.arange(CONTEXTS), width=4).shape == (CONTEXTS, POSITIONS)


@pytest.mark.parametrize(
    ("name", "given", "message"),
    [
        (
            "softmax",
            {"heads": 4},
            "heads: got 4; allowed: null, as the function has no such option (it has: temperature)",
        ),
        ("embedding", {"width": 8}, "width: got 8; allowed: null, as the function has no such option (it has: none)"),
        (
            "softmax",
            {"colour": 1},
            "colour: got 1; allowed: null, as the function has no such option (it has: temperature)",
        ),
        ("softmax", {"temperature": 0}, "temperature: got 0; allowed: null, or a number from 0.001 to 1000"),
        ("softmax", {"temperature": math.nan}, "temperature: got nan; allowed: null, or a number from 0.001 to 1000"),
        (
            "dot",
            {"normalizer": "argmax"},
            "normalizer: got 'argmax'; allowed: null, or one of: softmax, sparsemax, entmax15, sigmoid, hard",
        ),
        (
            "sigmoid",
            {"normalizer": "hard"},
            "normalizer: got 'hard'; allowed: null, as the function has no such option (it has: none)",
        ),
        ("dot", {"width": 8.0}, "width: got 8.0; allowed: null, or a whole number from 1 to 1024"),
        ("dot", {"width": True}, "width: got True; allowed: null, or a whole number from 1 to 1024"),
        ("multihead", {"heads": 3}, "heads: got 3; allowed: a divisor of the width, 8; change heads or width"),
        ("multihead", {"width": 7}, "heads: got None; allowed: a divisor of the width, 7; change heads or width"),
        ("local", {"window": 8}, "window: got 8; allowed: at most the number of positions, 7; choose a smaller window"),
    ],
)
def test_options_that_a_function_cannot_have_are_refused(name: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError) as caught:
        resolve_options(ATTENTION_FUNCTIONS[name], given, POSITIONS)
    assert str(caught.value).removesuffix("; set it to null") == message


def test_options_left_out_or_null_have_the_function_s_own_default() -> None:
    multihead = ATTENTION_FUNCTIONS["multihead"]
    assert resolve_options(multihead, {}, 3) == resolve_options(multihead, {"width": None, "heads": 2}, 3)
    assert resolve_options(multihead, {"width": 6, "window": None}, 3) == {
        "width": 6,
        "normalizer": "softmax",
        "temperature": 1.0,
        "heads": 2,
    }
    assert isinstance(resolve_options(ATTENTION_FUNCTIONS["hard"], {"temperature": 2}, 3)["temperature"], float)


# Hard attention while it is trained.


def uniform(n: int, seq_len: int) -> Tensor:
    return torch.from_numpy(stream(41, "gumbel noise").random((n, seq_len), dtype=np.float32)).double()


def test_with_noise_a_position_is_drawn_as_often_as_softmax_says() -> None:
    given = parameters("hard", 3, 5)
    contexts = torch.arange(3).repeat_interleave(20_011)
    drawn = attend("hard", given, contexts, 5, uniform(len(contexts), 5))
    assert set(drawn.flatten().tolist()) == {0.0, 1.0}
    assert (drawn.sum(-1) == 1).all()
    often = drawn.reshape(3, -1, 5).mean(1)
    assert (often - given["scores"].softmax(-1)).abs().max() < 5 * 0.5 / math.sqrt(20_011)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_the_gradient_goes_straight_through_to_the_softmax_of_the_noisy_scores(temperature: float) -> None:
    scores, noise = parameters("hard")["scores"].requires_grad_(), uniform(CONTEXTS, POSITIONS)
    slope = parameters("hard", seed=3)["scores"]
    drawn = attend("hard", {"scores": scores}, torch.arange(CONTEXTS), noise=noise, temperature=temperature)
    (ours,) = torch.autograd.grad((drawn * slope).sum(), scores)
    noisy = scores + torch.from_numpy(-np.log(-np.log(noise.numpy())))
    (meant,) = torch.autograd.grad(((noisy / temperature).softmax(-1) * slope).sum(), scores)
    torch.testing.assert_close(ours, meant)


def test_noise_of_all_bits_zero_is_the_least_not_minus_infinity() -> None:
    noise = torch.tensor([[0.0, 2**-24, 1 - 2**-24]])
    scores = {"scores": torch.tensor([[0.0, 0, -20]])}
    assert attend("hard", scores, torch.tensor([0]), 3, noise).tolist() == [[0, 1, 0]]
    assert attend("hard", {"scores": torch.tensor([[0.2, 0, -20]])}, torch.tensor([0]), 3, noise).tolist() == [
        [1, 0, 0]
    ]


def test_a_high_temperature_hides_no_difference_from_hard_attention() -> None:
    close = {"scores": torch.tensor([[1.0, 1.0 + 2**-23, 1.0]])}
    assert attend("hard", close, torch.tensor([0]), 3, temperature=1000.0).tolist() == [[0, 1, 0]]
    assert (close["scores"] / 1000).softmax(-1).argmax() == 0  # which is why


# Queries and keys: as many features as a task has.


def features(kind: str, things: tuple[int, ...], number: int, of: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return features of a kind, and the same as weights (…, of) of all features."""
    random = np.random.default_rng(seed)
    if kind == "real":
        weights = torch.from_numpy(random.standard_normal((*things, of)))
        return weights, weights
    shape = things if kind == "one" else (*things, number)
    named = torch.from_numpy(random.integers(0 if kind == "one" else -1, of, shape))
    each = F.one_hot(named.clamp(min=0), of) * (named >= 0).unsqueeze(-1)
    return named, (each if kind == "one" else each.sum(-2)).double()


@every_function
@pytest.mark.parametrize("query_kind", ["one", "several", "real"])
@pytest.mark.parametrize("key_kind", ["one", "several", "real"])
def test_whole_numbers_are_the_weights_that_count_them(name: str, query_kind: str, key_kind: str) -> None:
    """Every way to say what is known of queries and keys is one: weights of the features."""
    n, (queries_have, keys_have) = 11, (5, 13)
    given, function = parameters(name, queries_have, keys_have), ATTENTION_FUNCTIONS[name]
    queries, query_weights = features(query_kind, (n,), 3, queries_have, 1)
    keys, key_weights = features(key_kind, (n, POSITIONS), 2, keys_have, 2)
    more = {"positions": torch.arange(POSITIONS).double(), "noise": None, **resolve_options(function, {}, POSITIONS)}
    attention = function.attend(given, queries, keys, **more)
    assert attention.shape == (n, POSITIONS)
    torch.testing.assert_close(attention, function.attend(given, query_weights, key_weights, **more))


@every_function
def test_shared_keys_are_the_same_keys_for_every_query(name: str) -> None:
    given, function = parameters(name, 5, 13), ATTENTION_FUNCTIONS[name]
    queries, keys = torch.tensor([3, 0, 4, 1]), torch.tensor([7, 2, 2, 12, 0, 5, 1])
    more = {"positions": torch.arange(POSITIONS).double(), "noise": None, **resolve_options(function, {}, POSITIONS)}
    torch.testing.assert_close(
        function.attend(given, queries, keys, **more),
        function.attend(given, queries, keys.expand(4, POSITIONS), **more),
    )


@pytest.mark.parametrize("name", ["softmax", "sparsemax", "entmax15", "hard"])
def test_scores_that_are_no_numbers_give_attention_that_is_none(name: str) -> None:
    found = torch.tensor(of_scores(name, [[1, math.nan, 0], [1, 0, 2]]))
    assert found[0].isnan().all()
    assert found[1].isfinite().all()


# A function of one's own.

PROPERTIES = [
    (test, values)
    for test, values in (
        (test_an_entry_of_the_registry_describes_itself, [()]),
        (test_attention_has_a_row_an_example_in_the_precision_of_its_parameters, [(0,), (1,), (11,)]),
        (test_the_context_alone_decides_the_attention, [()]),
        (test_the_gradient_is_that_of_finite_differences, [(31,)]),
        (test_values_are_what_the_registry_says_of_them, [(0.0,), (1.0,), (1e3,)]),
        (test_attention_follows_its_keys_unless_their_order_has_a_meaning, [()]),
        (test_one_position_gets_all_there_is_to_share, [()]),
        (test_whole_numbers_are_the_weights_that_count_them, [("several", "real")]),
        (test_shared_keys_are_the_same_keys_for_every_query, [()]),
    )
]


def holds(name: str) -> dict[str, bool]:
    """Return of each property whether it holds for a function."""
    found = {}
    for test, every in PROPERTIES:
        try:
            for values in every:
                test(name, *values)
        except (AssertionError, RuntimeError):
            found[test.__name__] = False
        else:
            found[test.__name__] = True
    return found


def readme_function() -> Any:
    """Return the entry of the function that the README adds."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    module: dict[str, Any] = {}
    exec(block, module)  # noqa: S102
    return module["FUNCTIONS"]["power"]


def test_what_holds_for_all_holds_for_the_function_of_the_readme(monkeypatch: pytest.MonkeyPatch) -> None:
    power = readme_function()
    monkeypatch.setitem(ATTENTION_FUNCTIONS, "power", power)
    monkeypatch.setitem(OPTIONS, "exponent", (power.options["exponent"],))
    assert all(holds("power").values()), holds("power")
    scores = torch.tensor([[1.0, -2.0, 3.0]], dtype=torch.float64)
    found = attend("power", {"scores": scores}, torch.tensor([0]), 3)
    torch.testing.assert_close(found, torch.tensor([[1, 4, 9]]).double() / 14, rtol=1e-5, atol=0)


def over_queries(p: Parameters, queries: Tensor, keys: Tensor, **_: Any) -> Tensor:
    """Share among the queries instead of the positions."""
    return table_scores(p["scores"], queries, keys).softmax(0)


def detached(p: Parameters, queries: Tensor, keys: Tensor, **_: Any) -> Tensor:
    """Have a value without its gradient."""
    scores = table_scores(p["scores"], queries, keys)
    return (scores.detach() + scores / 2).softmax(-1)


def by_place(p: Parameters, queries: Tensor, keys: Tensor, positions: Tensor, **_: Any) -> Tensor:
    """Prefer later positions."""
    return (table_scores(p["scores"], queries, keys) + positions.to(p["scores"])).softmax(-1)


def unnormalized(p: Parameters, queries: Tensor, keys: Tensor, **_: Any) -> Tensor:
    """Say that they are shares."""
    return table_scores(p["scores"], queries, keys).sigmoid()


@pytest.mark.parametrize(
    ("attend_wrongly", "fails"),
    [
        (over_queries, test_the_context_alone_decides_the_attention),
        (detached, test_the_gradient_is_that_of_finite_differences),
        (by_place, test_attention_follows_its_keys_unless_their_order_has_a_meaning),
        (unnormalized, test_values_are_what_the_registry_says_of_them),
    ],
)
def test_what_holds_for_all_does_not_hold_for_a_wrong_function(
    monkeypatch: pytest.MonkeyPatch, attend_wrongly: Callable[..., Tensor], fails: Callable[..., None]
) -> None:
    wrong = replace(ATTENTION_FUNCTIONS["softmax"], attend=attend_wrongly, options={}, equation="wrong")
    monkeypatch.setitem(ATTENTION_FUNCTIONS, "wrong", wrong)
    assert not holds("wrong")[fails.__name__]
