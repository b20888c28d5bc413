"""Time the article's training in every hand, and every function against torch and JAX: python benchmarks/speed.py.

Side by side in one process: in each turn every contender once, so that a slow moment of the machine meets them all.
Rounds that others disturbed are run again.
"""

import argparse
import importlib.util
import re
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from attention.functions import ATTENTION_FUNCTIONS
from attention.params import load_params
from attention.tasks.problem import Examples, draw_examples
from attention.weights import Arrays, draw_weights
from contenders import (
    SEED,
    Program,
    Training,
    article_loop,
    c_program,
    c_vectors,
    compiled,
    jax_scan,
    product,
    torch_fused,
    torch_loop,
)
from report import write_report
from timing import quartiles, ratios, side_by_side

ROOT = Path(__file__).parents[1]
PIECE = 300  # steps of torch's loops that are timed: a training of theirs takes a quarter of a minute
CHECKED = 200  # steps after which weights are compared: later rounding is magnified, whoever computes

HANDS: dict[str, Callable[[Training], Program | None]] = {
    "the article's loop": article_loop,
    "torch, fused Adam": torch_fused,
    "engine torch": torch_loop,
    "JAX lax.scan, jit": jax_scan,
    "C, plain loop": c_program,
    "C, strict vectors": c_vectors,
    "engine compiled": compiled,
}
SLOW = ("the article's loop", "torch, fused Adam", "engine torch")


def main() -> None:
    """Measure, and write benchmarks/results/speed.{csv,md} and compiled.{csv,md}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--functions", nargs="*", help="only these, and nothing is written")
    asked = parser.parse_args()
    own = add_own_function()
    params = load_params()
    (examples,) = draw_examples(params.data.problem(SEED), SEED, "train", params.data.n_train)
    if asked.functions is None:
        compare_hands(training_of("embedding", examples), asked.rounds)
    rows, disturbed = [], 0
    for name in asked.functions or ATTENTION_FUNCTIONS:
        row, again = compare_function(training_of(name, examples), asked.rounds)
        print(" | ".join(row.values()), flush=True)
        rows.append(row | {"function": f"{name}, as the README adds it" if name == own else name})
        disturbed += again
    title = f"Every function, the article's training, rounds: {asked.rounds} each, {disturbed} disturbed and run again"
    if asked.functions is None:
        write_report("compiled", rows, title)


def training_of(function: str, examples: Examples) -> Training:
    """Return the article's training of a function with its default options."""
    contexts, (_, seq_len) = int(examples.queries.max()) + 1, examples.values.shape
    return Training(draw_weights(function, contexts, seq_len, SEED), examples)


def add_own_function() -> str:
    """Add the function that the README adds to the registry, as its reader would; return its name."""
    (block,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    path = Path(tempfile.mkdtemp()) / "own.py"
    path.write_text(block)
    spec = importlib.util.spec_from_file_location("attention.functions.own", path)
    assert spec  # noqa: S101
    assert spec.loader  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    ATTENTION_FUNCTIONS.update(module.FUNCTIONS)
    (name,) = module.FUNCTIONS
    return str(name)


def compare_hands(training: Training, rounds: int) -> None:
    """Time the article's function in every hand, and write benchmarks/results/speed.{csv,md}."""
    whole = {name: program for name, prepare in HANDS.items() if (program := prepare(training))}
    piece = training.first(PIECE)
    timed = whole | {name: program for name in SLOW if (program := HANDS[name](piece))}
    steps = {name: PIECE if name in SLOW else training.steps for name in timed}
    results = {name: program() for name, program in whole.items()}
    seconds, again = side_by_side(timed, rounds)
    each = {name: [time / steps[name] for time in times] for name, times in seconds.items()}  # seconds a step
    article, c = each["the article's loop"], each.get("C, plain loop")
    errors, after = results["the article's loop"]
    rows = [
        {
            "training": name,
            "steps/s": quartiles([1 / time for time in each[name]], ",.0f"),
            "times the article": f"{np.median(ratios(article, each[name])):,.1f}",
            "of the plain C loop": f"{np.median(ratios(c, each[name])):.2f}" if c else "",
            "last MSE": f"{own[-1]:.3e}",
            "Δ MSE": f"{own[-1] - errors[-1]:+.1e}",
            "largest Δ of a·w": f"{np.abs(product(arrays) - product(after)).max():.1e}",
            "bytes": "the engine's" if same(arrays, results["engine compiled"][1]) else "",
        }
        for name, (own, arrays) in results.items()
    ]
    title = f"The article's training ({training.steps:,} steps of Adam on single examples), rounds: {rounds}"
    write_report("speed", rows, f"{title}, {again} disturbed and run again")


def compare_function(training: Training, rounds: int) -> tuple[dict[str, str], int]:
    """Return the line of a function, and how many rounds were disturbed."""
    programs = {"compiled": compiled(training), "torch": torch_loop(training.first(PIECE))}
    few = training.first(CHECKED)
    ended, exact = {"compiled": compiled(few)()[1]}, torch_loop(few)()[1]
    if (jax := jax_scan(training)) and (jax_few := jax_scan(few)):
        programs["JAX"], ended["JAX"] = jax, jax_few()[1]
    errors = {name: programs[name]()[0][-1] for name in ended}
    seconds, again = side_by_side(programs, rounds)
    steps = {name: PIECE if name == "torch" else training.steps for name in programs}
    each = {name: [time / steps[name] for time in times] for name, times in seconds.items()}
    row = {
        "function": training.weights.function,
        "engine, steps/s": quartiles([1 / time for time in each["compiled"]], ",.0f"),
        "torch loop": f"{1 / np.median(each['torch']):,.0f}",
        "JAX": f"{1 / np.median(each['JAX']):,.0f}" if jax else "",
        "times torch (target 300)": f"{np.median(ratios(each['torch'], each['compiled'])):,.0f}",
        "times JAX (target 2)": quartiles(ratios(each["JAX"], each["compiled"]), ".1f") if jax else "",
        "last MSE": f"{errors['compiled']:.2e}",
        "of JAX": f"{errors['JAX']:.2e}" if jax else "",
        f"Δ from torch after {CHECKED} steps": f"{distance(ended['compiled'], exact):.0e}",
        "of JAX's": f"{distance(ended['JAX'], exact):.0e}" if jax else "",
    }
    return row, again


def distance(one: Arrays, other: Arrays) -> float:
    """Return the largest difference between weights."""
    return max(float(np.abs(one[name] - other[name]).max()) for name in other)


def same(one: Arrays, other: Arrays) -> bool:
    """Whether two networks have the same bytes."""
    return all(np.array_equal(one[name], other[name]) for name in other)


if __name__ == "__main__":
    main()
