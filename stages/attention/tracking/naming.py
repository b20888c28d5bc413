"""What people call a run: its function, what differs from the defaults, its seed."""

import json
from collections.abc import Mapping
from typing import Any

from attention.functions import ATTENTION_FUNCTIONS, OPTIONS
from attention.tasks import TASKS

# Those of params.yaml as it comes, which are the article's: a name must not depend on what is committed here and now.
DEFAULTS: Mapping[str, Any] = {
    "data.task": "lookup",
    "data.n_train": 10_000,
    "data.n_test": 2_000,
    "data.seq_len": 8,
    "data.n_contexts": 5,
    "data.true_attention": [2, 7, 3, 5, 1],
    "data.n_tokens": None,
    "data.side": None,
    "data.n_colours": None,
    "data.keys": None,
    **{f"model.{name}": None for name in OPTIONS},
    "train.epochs": 4,
    "train.batch_size": 1,
    "train.learning_rate": 0.001,
    "train.shuffle": False,
    "train.engine": "auto",
}
SIZES = ("data.seq_len", "data.n_contexts")
MOST_LISTED = 10  # of a list, as many values as a name can hold


def run_name(params: Mapping[str, Any], experiment: str | None = None) -> str:
    """Return "softmax, recall, learning_rate 0.01, seed 3", and in brackets what DVC calls the experiment, if any."""
    name = ", ".join([str(params["model.attention"]), *differences(params).values(), f"seed {params['seed']}"])
    return f"{name} ({experiment})" if experiment else name


def differences(params: Mapping[str, Any]) -> dict[str, str]:
    """Return what differs from the defaults in words, by dotted key, in the order of params.yaml.

    The function and the seed are apart: every name has them. What stands for a default is one, be it `null` or `auto`
    or what these mean for the function.
    """
    found = {}
    for key, default in _defaults(params).items():
        value = params.get(key)
        if value not in (None, DEFAULTS[key], default):
            found[key] = str(value) if key == "data.task" else f"{key.rpartition('.')[2]} {_show(value)}"
    if any(size in found for size in SIZES) and params.get("data.true_attention") == "random":
        found.pop("data.true_attention", None)  # of other sizes it is what there is without a list
    return found


def _defaults(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the defaults of a task and of a function in the place of `null`, and what `auto` stands for."""
    defaults = {**DEFAULTS, "train.engine": "compiled"}
    task = TASKS.get(params.get("data.task", "lookup"))
    if task is not None:  # none: it was another copy's own
        defaults |= {f"data.{name}": size.default for name, size in task.sizes.items()}
        defaults["data.keys"] = task.default_keys
    function = ATTENTION_FUNCTIONS.get(params["model.attention"])
    if function is not None:
        defaults |= {f"model.{name}": option.default for name, option in function.options.items()}
    return defaults


def _show(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value if len(value) <= MOST_LISTED else [*value[:MOST_LISTED], "…"]))
    return f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)
