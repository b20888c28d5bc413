"""Time the article's training in every hand, side by side: python benchmarks/speed.py [--rounds N]."""

import argparse
import time
from collections.abc import Callable

import numpy as np

from attention.functions import ATTENTION_FUNCTIONS
from attention.params import load_params
from attention.tasks.problem import draw_examples
from attention.weights import draw_weights
from contenders import (
    EPOCHS,
    Contender,
    Result,
    article_loop,
    c_program,
    compiled_engine,
    jax_scan,
    torch_engine,
    torch_fused,
)
from report import write_report

SHARE = 1 / 20  # of the examples, for the torch engine's loop over each function

# name -> (contender, attention function, how often in a round)
CONTENDERS: dict[str, tuple[Contender, str, int]] = {
    "the article's loop": (article_loop, "embedding", 1),
    "torch, fused Adam": (torch_fused, "embedding", 1),
    "engine torch": (torch_engine, "embedding", 1),
    "JAX lax.scan, jit": (jax_scan, "embedding", 5),
    "C, -O3 -march=native": (c_program, "embedding", 30),
    **{f"engine compiled, {name}": (compiled_engine, name, 30) for name in ATTENTION_FUNCTIONS},
}


def main() -> None:
    """Run all contenders in turn, round by round, and write benchmarks/results/speed.{csv,md}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    params = load_params()
    (examples,) = draw_examples(params.data.problem(0), 0, "train", params.data.n_train)

    runs: dict[str, tuple[Callable[[], Result], int]] = {}
    for name, (prepare, function, repeats) in CONTENDERS.items():
        weights = draw_weights(function, params.data.n_contexts, params.data.seq_len, 0)
        if run := prepare(examples, weights):
            runs[name] = run, repeats
        if prepare is compiled_engine:
            few = examples.take(slice(0, round(SHARE * len(examples.targets))))
            runs[loop_of(function)] = torch_engine(few, weights), 1
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    results: dict[str, Result] = {}
    for number in range(rounds):
        print(f"round {number + 1} of {rounds}", flush=True)
        for turn in range(max(repeats for _, repeats in runs.values())):
            for name, (run, repeats) in runs.items():
                if turn < repeats:  # the fast ones in turn, so that a slow moment of the machine meets them all
                    started = time.perf_counter()
                    results[name] = run()
                    seconds[name].append(time.perf_counter() - started)

    steps = EPOCHS * len(examples.targets)
    article_mse, article_product = results["the article's loop"]
    article = float(np.median(seconds["the article's loop"]))
    c = float(np.median(seconds["C, -O3 -march=native"])) if "C, -O3 -march=native" in seconds else None
    rows = []
    for name in [name for name in CONTENDERS if name in seconds]:
        times = seconds[name]
        low, middle, high = np.quantile(times, [0.25, 0.5, 0.75])
        mse, product = results[name]
        contender, function, _ = CONTENDERS[name]
        alike = function == "embedding"  # other functions have other weights
        loop = float(np.median(seconds[loop_of(function)])) / SHARE
        rows.append(
            {
                "training": name,
                "steps/s": f"{steps / middle:,.0f}",
                "quartiles": f"{steps / high:,.0f} to {steps / low:,.0f}",
                "times the article": f"{article / middle:,.1f}",
                "times its torch loop": f"{loop / middle:,.0f}" if contender is compiled_engine else "",
                "of the C program": f"{c / middle:.2f}" if c else "",
                "last MSE": f"{mse:.3e}",
                "Δ MSE": f"{mse - article_mse:+.1e}" if alike else "",
                "largest Δ of a·w": f"{np.abs(product - article_product).max():.1e}" if alike else "",
            }
        )
    write_report("speed", rows, f"The article's training ({steps:,} steps of Adam on single examples), {rounds} rounds")


def loop_of(function: str) -> str:
    """Return the name of the torch engine's loop over a function."""
    return f"loop of {function}"


if __name__ == "__main__":
    main()
