"""Time many seeds at once on two cores, against JAX and torch: python benchmarks/seeds.py [--turns N] [--seeds N].

A study, which draws, trains and evaluates each seed, against JAX's `vmap` of the same experiment, and on tasks in which
the input decides where to look against torch's loop and JAX's scan. In turn, in one process; all are compiled before.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from ruamel.yaml import YAML

from attention.functions import ATTENTION_FUNCTIONS
from attention.params.schema import Params
from attention.studies.trainings import TRAININGS, Training, run_training
from attention.tasks.problem import draw_examples
from attention.weights import initial_weights
from report import write_report
from timing import quartiles, ratios
from workbench.compute.checkpoint import Checkpoint
from workbench.compute.schedule import compute

ROOT = Path(__file__).parents[1]
CORES = 2
ARTICLE = ("embedding", "softmax", "scaled_dot")
BATCHES = {"train.batch_size": 32, "train.learning_rate": 0.02, "train.epochs": 6, "model.attention": "scaled_dot"}
TASKS = {"recall": 30, "neighbour": 10}  # and how many times the seeds of torch's loop are wanted
Errors = list[float]
Program = Callable[[], Errors]  # returns the test error of each seed


def main() -> None:
    """Measure, and write benchmarks/results/seeds.{csv,md}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--turns", type=int, default=15)
    parser.add_argument("--seeds", type=int, default=100)
    asked = parser.parse_args()
    os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={CORES}"  # before JAX is imported
    rows: list[dict[str, str]] = []
    for function in ARTICLE:
        params, seeds = changed({"model.attention": function}), range(asked.seeds)
        programs: dict[str, Program] = {"study": partial(study, params, seeds)}
        programs |= jax_experiments(function, params, asked.seeds)
        rows += compare(f"lookup, {function}", programs, {"JAX vmap": 2, "JAX vmap, 2 cores": None}, asked)
    for task, times in TASKS.items():
        params, seeds = changed({"data.task": task, **BATCHES}), range(asked.seeds)
        slow = changed({"data.task": task, **BATCHES, "train.engine": "torch"})
        programs = {"study": partial(study, params, seeds), "torch's loop": partial(study, slow, range(CORES))}
        programs |= jax_scans(params, seeds)
        rows += compare(f"{task}, scaled_dot, batches", programs, {"torch's loop": times, "JAX scan": 1}, asked)
    write_report("seeds", rows, f"Seeds a second on {CORES} cores, {asked.seeds} seeds at a time, turns: {asked.turns}")


def changed(changes: Mapping[str, Any]) -> Params:
    """Return params.yaml with some values changed, each by its dotted key."""
    tree = YAML(typ="safe").load(ROOT / "params.yaml")
    for key, value in changes.items():
        section, _, name = key.partition(".")
        tree[section][name] = value
    return Params.model_validate(tree)


def study(params: Params, seeds: Sequence[int]) -> Errors:
    """Draw, train and evaluate as the stage `study` does, without its tables and pictures."""
    checkpoint = Checkpoint(TRAININGS, "seeds")
    where = params.compute.model_copy(update={"workers": CORES})
    trainings = [Training(params, seed) for seed in seeds]
    outcomes = dict(compute(TRAININGS, trainings, (), where, checkpoint))
    checkpoint.remove()
    return [outcomes[number][1] or np.inf for number in range(len(trainings))]


def jax_experiments(function: str, params: Params, seeds: int) -> dict[str, Program]:
    """Return JAX's experiments of lookup, on one core and on all; nothing without JAX."""
    try:
        from peers import jax_seeds
    except ModuleNotFoundError:
        return {}
    data, problem = params.data, params.data.problem(0)
    weights = initial_weights(function, problem, 0)
    shapes = ATTENTION_FUNCTIONS[function].shapes(problem.n_queries, problem.n_keys, **weights.options)
    truth = problem.sizes["true_attention"]
    sizes = truth, problem.seq_len, data.n_train, data.n_test
    experiment = jax_seeds.make_experiment(function, weights.options, shapes, *sizes)
    everywhere, numbers = jax_seeds.on_all_cores(experiment), np.arange(seeds)
    return {
        "JAX vmap": lambda: np.asarray(experiment(numbers)).tolist(),
        "JAX vmap, 2 cores": lambda: np.asarray(everywhere(numbers.reshape(CORES, -1))).ravel().tolist(),
    }


def jax_scans(params: Params, seeds: Sequence[int]) -> dict[str, Program]:
    """Return JAX's scans of the same trainings, as many at once as there are cores; nothing without JAX."""
    try:
        import jax
    except ModuleNotFoundError:
        return {}
    from peers.jax_training import Data, Steps, make_training, predictor

    train, function = params.train, params.model.attention
    options = initial_weights(function, params.data.problem(0), 0).options
    scan = make_training(function, options, Steps(train.epochs, train.batch_size, train.learning_rate))
    predict = jax.vmap(predictor(function, options), (None, Data(0, 0, 0, 0)))

    @jax.jit
    def learn(initial: Any, data: Data, test: Data) -> Any:
        _, after = scan(initial, data)
        return ((predict(after, test) - test.targets) ** 2).mean()

    def draw(seed: int, split: str, n: int) -> Data:
        (drawn,) = draw_examples(params.data.problem(seed), seed, split, n)
        return Data(drawn.values, drawn.queries.astype(np.int32), drawn.keys.astype(np.int32), drawn.targets)

    def experiment(seed: int) -> float:
        initial = initial_weights(function, params.data.problem(seed), seed).arrays
        return float(
            learn(dict(initial), draw(seed, "train", params.data.n_train), draw(seed, "test", params.data.n_test))
        )

    def run() -> Errors:
        with ThreadPoolExecutor(CORES) as pool:  # XLA holds no lock of Python's
            return list(pool.map(experiment, seeds))

    return {"JAX scan": run}


def compare(
    what: str, programs: Mapping[str, Program], targets: Mapping[str, int | None], asked: argparse.Namespace
) -> list[dict[str, str]]:
    """Time programs in turn, and return a line of each."""
    run_training(Training(changed({}), 0))  # the threads' imports
    errors = {name: program() for name, program in programs.items()}  # compiled, if they were not
    rates: dict[str, list[float]] = {name: [] for name in programs}
    busy: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(asked.turns):
        for name, program in programs.items():
            wall, before = time.perf_counter(), time.process_time()
            n = len(program())
            rates[name].append(n / (time.perf_counter() - wall))
            busy[name].append(1e3 * (time.process_time() - before) / n)
    rows = []
    for name, found in errors.items():
        times = quartiles(ratios(rates["study"], rates[name]), ".1f") if name != "study" else ""
        target = targets.get(name)
        rows.append(
            {
                "seeds": what,
                "by": name,
                "seeds/s": quartiles(rates[name], ",.0f" if min(rates[name]) > 10 else ".2f"),
                "processor, ms a seed": quartiles(busy[name], ".2f"),
                "the study to it": times,
                "target": f"at least {target}" if target else "",
                "median test MSE": f"{statistics.median(found):.1e}",
            }
        )
        print(" | ".join(rows[-1].values()), flush=True)
    return rows


if __name__ == "__main__":
    main()
