"""The trainings of a study, each in memory: what generate, train and evaluate would make of its parameters and seed."""

import hashlib
import json
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from attention.tasks.examples import DrawnTable, Truth, draw_truth
from workbench.stage.errors import TrainingError
from attention.params.grid import Configuration
from attention.measures.prediction import network_mse
from attention.measures.recovery import recovery
from attention.params.schema import MOST_SEED, Params
from attention.training.loop import Epoch, determining, train
from attention.weights import draw_weights


class Member(NamedTuple):
    """One training of a study."""

    params: Params  # with a seed that is not read
    seed: int


class Outcome(NamedTuple):
    """What a study keeps of a training."""

    history: list[list[float]]  # for each epoch what history.csv holds: mse, normalized, effective, accuracy
    mse: float | None  # on the test examples, as in metrics.json; None: the training diverged


def members_of(configurations: Sequence[Configuration], seed: int, seeds: int) -> list[Member]:
    """Return the trainings of a study in their order: of each configuration, one with each seed."""
    return [Member(params, each) for _, params in configurations for each in study_seeds(seed, seeds)]


def study_seeds(seed: int, seeds: int) -> list[int]:
    """Return so many seeds from `seed` on; after the largest that params.yaml may have comes 0."""
    return [(seed + number) % (MOST_SEED + 1) for number in range(seeds)]


def train_member(member: Member) -> Outcome:
    """Draw the data, train and evaluate, with the numbers of the pipeline's own stages to the last bit."""
    params, seed = member
    data, seq_len = params.data, params.data.seq_len
    truth = draw_truth(seed, data)
    examples = DrawnTable(seed, "train", data.n_train, truth, seq_len)
    initial = draw_weights(params.model.attention, len(truth), seq_len, seed, options=params.model.options)
    epochs, diverged = [], False
    try:
        for epoch in train(initial, examples, params.train, seed):
            epochs.append(epoch)  # noqa: PERF402 - those before it diverges are kept
    except TrainingError:
        diverged = True
    history = _history(epochs, truth) if epochs else []
    if diverged:
        return Outcome(history, None)
    mse = network_mse(epoch.attention, epoch.weights, DrawnTable(seed, "test", data.n_test, truth, seq_len))
    return Outcome(history, mse if math.isfinite(mse) else None)


def _history(epochs: list[Epoch], truth: Truth) -> list[list[float]]:
    """Measure all epochs at once, which costs as much as to measure one."""
    attention = np.stack([epoch.attention for epoch in epochs])
    measures = recovery(attention, np.stack([epoch.weights.output for epoch in epochs]), truth)
    means = np.stack([values.mean(axis=-1) for values in measures], axis=-1).tolist()  # (epochs, measures)
    return [[epoch.mse, *of_epoch] for epoch, of_epoch in zip(epochs, means, strict=True)]


def member_key(member: Member) -> str:
    """Return the experiment key of a member: equal for two members exactly when all that determines them is."""
    (params, seed), data = member, member.params.data
    about = {
        **determining(params, seed, data.seq_len),
        "data": [data.n_train, data.n_test, data.seq_len, data.n_contexts, data.true_attention],
    }
    return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()[:32]
