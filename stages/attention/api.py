"""The laboratory in Python, one call each: a training, a study, and the runs that there are.

The numbers are those of the pipeline with the same parameters, to the last bit. Nothing is written, MLflow is not asked
but for `runs`. Parameters are called by the last part of their key in params.yaml (`epochs` is train.epochs); what is
not given is the article's: 10,000 examples of `lookup`, the function `embedding`, 4 epochs of Adam at the rate 0.001.
"""

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attention.inference.attention import attention_of
from attention.measures import columns, effect, evaluation, recovery
from attention.params import check_params
from attention.params.grid import all_configurations
from attention.params.schema import Params
from attention.studies.best import compare as compare_groups
from attention.studies.groups import group
from attention.studies.tables import best_columns, comparison_columns, history_columns, result_columns, summary_columns
from attention.studies.trainings import Training, draw, run_training, trainings_of
from attention.tracking.naming import DEFAULTS
from attention.training import train
from attention.weights import Weights
from workbench.stage.errors import ParamsError, show_value
from workbench.stage.params import refusal

if TYPE_CHECKING:  # torch takes seconds, pandas half of one
    import pandas as pd

    from attention.network import AttentionNetwork

Floats = NDArray[np.float64]
KNOWN = {key.rpartition(".")[2]: key for key in ("model.attention", *DEFAULTS)}


@dataclass(frozen=True)
class Run:
    """A training and its evaluation.

    Attributes:
        params: all parameters by dotted key, as in params.yaml.
        history: mse (of classes loss), normalized, effective and accuracy after each epoch, (epochs,) float64 each.
        attention: the attention that is paid to the positions in each context, or case of another task, after each
            epoch, (epochs, cases, positions) float32.
        truth: the true position of each, (cases,) int64.
        measures: what metrics.json holds, by dotted names: `mse` on new data, `recovery.…` of the trained network, and
            `baseline.…`, the errors of what has no attention.
        weights: the learned numbers, by name in `weights.arrays`.

    """

    params: Mapping[str, Any]
    history: Mapping[str, Floats]
    attention: NDArray[np.float32]
    truth: NDArray[np.int64]
    measures: Mapping[str, float]
    weights: Weights

    def network(self) -> "AttentionNetwork":
        """Return the trained network, a torch.nn.Module in evaluation mode."""
        from attention.network import AttentionNetwork

        return AttentionNetwork.from_weights(self.weights)


class Study(NamedTuple):
    """What a study found: the tables of data/study, with their columns and numbers."""

    results: "pd.DataFrame"  # a row a training
    histories: "pd.DataFrame"  # a row an epoch of each training
    summary: "pd.DataFrame"  # a row a configuration
    best: "pd.DataFrame"  # a row for each configuration of the keys that nothing was chosen over, where that is asked
    comparison: "pd.DataFrame"  # a row a pair of configurations; `says` is a sentence


def run(*, seed: int = 0, **parameters: Any) -> Run:
    """Train and evaluate one network: `run(attention="scaled_dot", epochs=6)`.

    Raises:
        ParamsError: a parameter that there is not, or a value that is not allowed, a line each.
        TrainingError: the training diverged.

    """
    params = _params("run", seed, parameters)
    member = draw(Training(params, seed))
    cases = member.cases
    epochs = list(train(member.initial, member.train, params.train, seed, cases=cases))
    attention, last = np.stack([one.attention for one in epochs]), epochs[-1]
    output = np.stack([one.weights.output for one in epochs])
    measures = recovery(attention, output, cases.truth, effect(cases))
    means = {name: values.mean(axis=-1) for name, values in measures._asdict().items()}
    errors = np.array([one.loss for one in epochs])
    measured = evaluation(partial(attention_of, last.weights), last.weights, member.train, member.test, cases)
    return Run(
        params={key: _value(params, key) for key in ("seed", "model.attention", *DEFAULTS)},
        history=dict(zip(columns.history_columns(last.weights.classes)[1:], (errors, *means.values()), strict=True)),
        attention=attention,
        truth=cases.truth,
        measures=measured.flat,
        weights=last.weights,
    )


def study(
    *,
    seeds: int = 20,
    grid: Mapping[str, Sequence[Any]] | None = None,
    compare: str = "neighbours",
    best: Mapping[str, Any] | None = None,
    seed: int = 0,
    workers: int | None = None,
    **parameters: Any,
) -> Study:
    """Train every combination of the grid's values with every seed: `study(seeds=100, grid={"attention": [...]})`.

    Args:
        seeds: how many trainings each configuration gets: with `seed`, `seed` + 1 and so on.
        grid: lists of values by key, `learning_rate` or `train.learning_rate`.
        compare: which configurations are compared: neighbours, which differ in one key, all, or none.
        best: {"over": [a key of the grid, …], "by": "mse"}; see the stage's `study.best`.
        seed: the first one.
        workers: threads; None: as many as there are cores.
        parameters: of all trainings, as for `run`.

    Raises:
        ParamsError: a parameter that there is not, or a value that is not allowed, a line each.

    """
    import joblib
    import pandas as pd

    keys = {KNOWN.get(key, key): list(values) for key, values in (grid or {}).items()}
    asked = {**best, "over": [KNOWN.get(key, key) for key in best.get("over", ())]} if best is not None else None
    varied = {"seeds": seeds, "grid": keys, "compare": compare, "best": asked}
    params = _params("study", seed, parameters, varied)
    configurations, problems = all_configurations(params)
    if problems:
        raise refusal("study", problems)
    trainings = trainings_of(configurations, seed, seeds)
    threads = joblib.Parallel(n_jobs=workers or joblib.cpu_count(), backend="threading")
    groups = group(configurations, seed, seeds, threads(joblib.delayed(run_training)(one) for one in trainings))
    chosen, comparisons = compare_groups(groups, params.study)
    return Study(
        pd.DataFrame(result_columns(groups)),
        pd.DataFrame(history_columns(groups)),
        pd.DataFrame(summary_columns(groups)),
        pd.DataFrame(best_columns(chosen, params.study)),
        pd.DataFrame(comparison_columns(comparisons, params.study)),
    )


def runs(folder: str | Path = ".") -> "pd.DataFrame":
    """Return every run that DVC or MLflow knows in a project's folder: the columns of `attention runs --csv`."""
    import pandas as pd

    from attention.project import project
    from workbench.command.listing import list_runs
    from workbench.command.recorded import recorded_runs
    from workbench.command.runs import fields_of

    laboratory, root = project(), Path(folder).resolve()
    listed = [one.fields(laboratory) for one in list_runs(laboratory, root, recorded_runs(laboratory, root))]
    return pd.DataFrame(listed, columns=fields_of(laboratory).every)


def _params(call: str, seed: int, parameters: Mapping[str, Any], varied: Mapping[str, Any] | None = None) -> Params:
    """Return the parameters as the stages have them; those of the article where nothing else is asked."""
    for name in parameters:
        if name not in KNOWN:
            near = difflib.get_close_matches(name, KNOWN, n=1)
            hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(KNOWN)}"
            raise ParamsError(f"{call}: got the parameter {show_value(name)}; {hint}")
    tree: dict[str, Any] = {
        "seed": seed,
        "data": {},
        "model": {},
        "train": {},
        "study": varied or {"seeds": 1, "grid": {}, "compare": "none", "best": None},
        "tracking": {"experiment": "none", "required": False},
        "compute": {"backend": "threading", "workers": None, "address": None},
    }
    asked = {KNOWN[name]: value for name, value in parameters.items()}
    for key, value in {"model.attention": "embedding", **DEFAULTS, **asked}.items():
        section, _, name = key.partition(".")
        tree[section][name] = value
    return check_params(tree, call)


def _value(params: Params, key: str) -> Any:
    section, _, name = key.partition(".")
    value = getattr(params, section)
    return getattr(value, name) if name else value
