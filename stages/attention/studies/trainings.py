"""The trainings of a study, each in memory: what generate, train and evaluate would make of its parameters and seed."""

import hashlib
import importlib.metadata
import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attention.inference.attention import attention_of
from attention.measures.cases import recovery_of
from attention.measures.prediction import network_errors
from attention.measures.recovery import effect, found, recovery
from attention.params.grid import Configuration
from attention.params.schema import MOST_SEED, Params
from attention.tasks.examples import DrawnTable
from attention.tasks.problem import Examples, cases_of
from attention.training.loop import TrainingError, determining, train
from attention.weights import Weights, initial_weights
from workbench.compute.work import Work
from workbench.stage.outputs import digest_of_code

Measured = tuple[float, NDArray[np.float32], NDArray[np.float32]]  # of an epoch: mse, attention, output weights

# What an outcome is computed with.
ROOMS = (
    *("compiler", "functions", "measures", "network.py", "params"),
    *("studies", "tasks", "training", "weights.py"),
)


class Training(NamedTuple):
    """One training of a study."""

    params: Params  # with a seed that is not read
    seed: int


class Drawn(NamedTuple):
    """What a training begins with."""

    initial: Weights
    train: DrawnTable
    test: DrawnTable
    cases: Examples


class Outcome(NamedTuple):
    """What a study keeps of a training."""

    history: list[list[float]]  # for each epoch what history.csv holds: mse, normalized, effective, accuracy
    mse: float | None  # on the test examples, as in metrics.json, of classes their loss; None: the training diverged
    found: bool  # whether it found the truth


def trainings_of(configurations: Sequence[Configuration], seed: int, seeds: int) -> list[Training]:
    """Return the trainings of a study in their order: of each configuration, one with each seed."""
    return [Training(params, each) for _, params in configurations for each in study_seeds(seed, seeds)]


def study_seeds(seed: int, seeds: int) -> list[int]:
    """Return so many seeds from `seed` on; after the largest that params.yaml may have comes 0."""
    return [(seed + number) % (MOST_SEED + 1) for number in range(seeds)]


def draw(training: Training) -> Drawn:
    """Draw the initial weights and the data of a training, without a file."""
    params, seed = training
    problem = params.data.problem(seed)
    return Drawn(
        initial_weights(params.model.attention, problem, seed, options=params.model.options),
        DrawnTable(problem, seed, "train", params.data.n_train),
        DrawnTable(problem, seed, "test", params.data.n_test),
        cases_of(problem, seed),
    )


def run_training(training: Training) -> Outcome:
    """Draw the data, train and evaluate, with the numbers of the pipeline's own stages to the last bit."""
    params, seed = training
    initial, examples, test, cases = draw(training)
    epochs: list[Measured] = []
    diverged = False
    try:
        for epoch in train(initial, examples, params.train, seed, cases=cases):  # those before it diverges are kept
            epochs.append((epoch.loss, epoch.attention, epoch.weights.output))
    except TrainingError:
        diverged = True
    history = _history(epochs, cases) if epochs else []
    if diverged:
        return Outcome(history, None, False)
    attend = partial(attention_of, epoch.weights)
    error, *_ = network_errors(attend, epoch.weights, test).values()
    if not math.isfinite(error):
        return Outcome(history, None, False)
    told = [cases] if test.problem.task == "lookup" else test.blocks()
    return Outcome(history, error, found(recovery_of(attend, epoch.weights.output, told)))


def _history(epochs: list[Measured], cases: Examples) -> list[list[float]]:
    """Measure all epochs at once, which costs as much as to measure one."""
    errors, attention, outputs = zip(*epochs, strict=True)
    measures = recovery(np.stack(attention), np.stack(outputs), cases.truth, effect(cases))
    means = np.stack([values.mean(axis=-1) for values in measures], axis=-1).tolist()  # (epochs, measures)
    return [[mse, *of_epoch] for mse, of_epoch in zip(errors, means, strict=True)]


def training_key(training: Training) -> str:
    """Return the experiment key of a training: equal for two trainings exactly when all that determines them is."""
    (params, seed), data = training, training.params.data
    problem = data.problem(seed)
    about = {**determining(params, seed, problem), "data": [data.n_train, data.n_test, asdict(problem)]}
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]


@cache
def code_digest() -> str:
    """Return a digest of the code that computes an outcome, as it was when first asked for in this process."""
    attention = Path(__file__).parents[1]
    versions = [importlib.metadata.version(package).partition("+")[0] for package in ("llvmlite", "numpy", "torch")]
    rooms = digest_of_code(*(attention / room for room in ROOMS))
    return hashlib.sha256(" ".join([rooms, *versions]).encode()).hexdigest()[:16]


def _to_json(outcome: Outcome) -> list[Any]:
    return [*outcome]


def _from_json(values: list[Any]) -> Outcome:
    history, mse, found_it = values
    if not all(math.isfinite(sum(row)) for row in history) or not (mse is None or math.isfinite(mse)):
        raise ValueError("numbers that no training leaves")
    return Outcome(history, mse, bool(found_it))


def _alike(training: Training) -> int:
    return id(training.params)  # one configuration


TRAININGS = Work("training", run_training, training_key, _alike, code_digest, _to_json, _from_json)
