"""What the pages say of the code, made from it: every parameter, every file, and the graph of the stages."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML

from attention.functions import ATTENTION_FUNCTIONS
from attention.functions.entry import AttentionFunction, with_defaults
from attention.functions.normalizers import NORMALIZERS
from attention.measures.columns import ATTENTION_COLUMNS, EVALUATION_COLUMNS, HISTORY_COLUMNS
from attention.params.schema import Params
from attention.tasks import TASKS
from measured import COMPARED
from workbench.stage.params import known_keys

ROOT = Path(__file__).parents[1]
DEFAULTS: Any = YAML(typ="safe").load(ROOT / "params.yaml")
STAGES: Any = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]

# What each parameter does; what it may be says the schema.
PARAMETERS = {
    "seed": "Data, initial weights and shuffling each get random numbers of their own from it.",
    "data.task": "What is to be learned.",
    "data.n_train": "How many examples are trained on. Data larger than memory are streamed.",
    "data.n_test": "How many new examples the error is measured on.",
    "data.seq_len": "How many positions a sequence has.",
    "data.n_contexts": "How many contexts there are.",
    "data.true_attention": "The position that each context reads.",
    "data.n_tokens": "How many different tokens there are.",
    "data.side": "How many rows and columns a picture has.",
    "data.n_colours": "How many colours there are.",
    "data.keys": "What is known of each position; null: what the task's own keys hold.",
    "model.attention": "The attention function.",
    "model.temperature": "Divides the scores: below 1 attention is sharper, above 1 flatter.",
    "model.width": "How many numbers a query and a key have.",
    "model.window": "How far from its centre attention reaches.",
    "model.normalizer": "What makes shares of the scores.",
    "model.beta": "How sharp attention is when training starts.",
    "model.heads": "How many attentions are averaged; they share the width.",
    "train.epochs": "How often training goes through the examples.",
    "train.batch_size": "How many examples a step sees. The article has 1.",
    "train.learning_rate": "How large a step of Adam is.",
    "train.shuffle": "Whether each epoch has a new order: within blocks of about 65,536 examples.",
    "train.engine": "What computes the steps: compiled machine code, or torch; auto takes compiled where it can.",
    "study.seeds": "How many trainings each configuration gets.",
    "study.grid": "Which keys are varied. Every combination of their values is a configuration.",
    "study.compare": "Which pairs of configurations are compared: those that differ in one key, all, or none.",
    "study.best": "Keys whose best value is chosen on half of the seeds, and reported on the other half.",
    "tracking.experiment": "What the experiment is called in MLflow. No result depends on it.",
    "tracking.required": "Whether training is refused where MLflow cannot be reached; else there is a warning.",
    "compute.backend": "Where a study is computed. No result depends on it.",
    "compute.workers": "How many trainings run at once.",
    "compute.address": "The cluster, for Dask and Ray.",
}

CASES = "in other tasks `case` instead of `context`"

# What each output holds; that these are all of them, and whose, says dvc.yaml.
OUTPUTS = {
    "data/generate/train.parquet": "The examples to train on, a row each.",
    "data/generate/test.parquet": "The new examples.",
    "data/generate/truth.csv": "The position that each context reads; of other tasks than `lookup` 64 cases.",
    "data/train/model.safetensors": "The learned weights. The metadata rebuild the network.",
    "data/train/history.csv": f"A row an epoch: {', '.join(HISTORY_COLUMNS)}; with classes loss instead of mse.",
    "data/train/attention.csv": f"The attention after every epoch: {', '.join(ATTENTION_COLUMNS)}; {CASES}.",
    "data/evaluate/metrics.json": "Error on new data, recovery of the truth, and the errors without attention.",
    "data/evaluate/attention.csv": f"Truth and attention after training: {', '.join(EVALUATION_COLUMNS)}; {CASES}.",
    "data/evaluate/recovery.csv": "Recovery of each context, or kind of case.",
    "data/evaluate/faithfulness.csv": "How far attention agrees with two other explanations, in the same order.",
    "data/evaluate/errors.csv": "The error of the network, and those without attention, as a table.",
    "data/plot/report.html": "All of a training on one page, which opens without a network.",
    "data/plot/attention.png": "True and learned attention of each context.",
    "data/plot/map.png": "The same as maps.",
    "data/plot/mse.png": "The error by epoch.",
    "data/plot/growth.png": "How attention grew, by epoch.",
    "data/plot/learned.png": "The scores that the function has learned: each feature of a query with each of a key.",
    "data/plot/epochs": "The attention after each epoch, a picture each.",
    "data/plot/epochs.gif": "The same, moving.",
    "data/study/report.html": "All of a study on one page, which opens without a network.",
    "data/study/results.csv": "A row a training: error on new data (`mse`; with classes cross-entropy), recovery.",
    "data/study/histories.csv": "A row an epoch of each training.",
    "data/study/summary.csv": "A row a configuration: how many found the truth, medians, quartiles, intervals.",
    "data/study/comparison.csv": "A row a pair of configurations, compared seed by seed.",
    "data/study/best.csv": "With study.best: the value chosen, and what it gives.",
    "data/study/errors.png": "Errors with their intervals.",
    "data/study/recovery.png": "Recovery with its intervals.",
    "data/study/curves.png": "The error by epoch, with bands.",
}


def parameters() -> str:
    """Return a table of every key of params.yaml: what it does, its default, what it may be."""
    rows = [
        (f"`{key}`", PARAMETERS.get(key) or _of_some(key), _default(key), _allowed(key)) for key in known_keys(Params)
    ]
    return _table([("key", "what it does", "default", "allowed"), *rows])


def options() -> str:
    """Return a table of every attention function: its options with their own defaults, and its engine."""
    rows = [("function", "options and their defaults", "attention is")]
    for name, entry in ATTENTION_FUNCTIONS.items():
        own = ", ".join(f"`{option}` {_short(value)}" for option, value in _options(entry).items())
        rows.append((f"`{name}`", own or "none", entry.values))
    return _table(rows)


def functions() -> str:
    """Return a table of every attention function: what it computes, what it learns of queries and keys, its source."""
    rows = [("function", "attention to position j", "learned", "order counts", "values", "source")]
    for name, entry in ATTENTION_FUNCTIONS.items():
        order = "yes" if entry.ordered else "no"
        rows.append((f"`{name}`", entry.equation, _learned(entry), order, entry.values, entry.source))
    return _table(rows)


def normalizers() -> str:
    """Return a table of what makes attention of scores s."""
    rows = [("normalizer", "attention to position j", "values", "source")]
    rows += [(f"`{name}`", one.equation, one.values, one.source) for name, one in NORMALIZERS.items()]
    return _table(rows)


def files() -> str:
    """Return for each stage what it does and a table of what it writes."""
    parts = []
    for stage, declared in STAGES.items():
        rows = [("file", "what is in it")]
        rows += [(f"`{name}`", OUTPUTS[name]) for name in written(declared)]
        parts.append(f"## {stage}\n\n{declared['desc']}.\n\n{_table(rows)}")
    return "\n\n".join(parts)


def written(declared: Mapping[str, Any]) -> Iterator[str]:
    """Yield the outputs of a stage of dvc.yaml."""
    for kind in ("outs", "metrics", "plots"):
        for one in declared.get(kind, []):
            yield one if isinstance(one, str) else next(iter(one))


def graph() -> str:
    """Return the graph of the stages, as DVC draws it for Mermaid."""
    command = [sys.executable, "-P", "-m", "dvc", "dag", "--mermaid"]
    drawn = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return f"```mermaid\n{drawn.strip()}\n```"


def _of_some(key: str) -> str:
    """Return of which tasks a parameter is a size, or of which functions an option."""
    section, _, name = key.partition(".")
    if section == "data":
        return f"A size of {', '.join(task for task, entry in TASKS.items() if name in entry.sizes)}."
    return f"An option of {', '.join(one for one, entry in ATTENTION_FUNCTIONS.items() if name in entry.options)}."


def learn() -> str:
    """Return a table of what the exercises of learn.md gave."""
    with (ROOT / "docs/learn/results.csv").open(newline="") as file:
        found = [
            (f"`{row[0]}`", f"{float(row[1]):.1e}", *(f"{float(share):.3f}" for share in row[2:]))
            for row in list(csv.reader(file))[1:]
        ]
    return _table([("experiment", "error", r"share of \|a\|", r"share of \|a·w\|"), *found])


def _default(key: str) -> str:
    """Return what params.yaml has; where that is null for a size, also what it stands for in each task."""
    value: Any = DEFAULTS
    for name in key.split("."):
        value = value[name]
    own = [f"{task} {entry.sizes[name].default}" for task, entry in TASKS.items() if name in entry.sizes]
    return f"`null`: {', '.join(own)}" if value is None and own else f"`{_short(value)}`"


def _short(value: Any) -> str:
    names = {None: "null", True: "true", False: "false"}
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_short(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(map(_short, value))}]"
    return names[value] if value is None or isinstance(value, bool) else str(value)


def _allowed(key: str) -> str:
    model: type[BaseModel] = Params
    *sections, name = key.split(".")
    for section in sections:
        inner: Any = model.model_fields[section].annotation
        model = inner
    return (model.model_fields[name].description or "").replace("|", r"\|")


def _learned(entry: AttentionFunction) -> str:
    """Return each parameter with its sizes: Q features of queries, K of keys, d the width."""
    options = with_defaults(entry, {})
    letters = {101: "Q", 103: "K", options.get("width"): "d"}
    shapes = entry.shapes(101, 103, **options).items()
    return ", ".join(f"{name} {'×'.join(letters.get(size, str(size)) for size in shape)}" for name, shape in shapes)


def _options(entry: Any) -> dict[str, Any]:
    return {name: getattr(option, "default", option) for name, option in entry.options.items()}


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    head, *rest = (f"| {' | '.join(row)} |" for row in rows)
    return "\n".join([head, f"|{' --- |' * len(rows[0])}", *rest])


def findings() -> str:
    """Return what the default study and the committed run say, as they say it."""
    with (ROOT / "docs/comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    found = {row[f"model.attention.{one}"]: row[f"found.{one}"] for row in rows for one in ("first", "second")}
    counts = ", ".join(f"{name} in {number}" for name, number in found.items())
    metrics = json.loads((ROOT / "data/evaluate/metrics.json").read_text())
    without = ", ".join(f"{name} {error:.2g}" for name, error in metrics["baseline"].items())
    lines = (
        *(row["says"] for row in rows),
        f"the truth is found by {counts} of {rows[0]['seeds']} seeds",
        f"the committed run has the error {metrics['mse']:.2g}; without attention: {without}",
    )
    return "\n".join(f"- {line}" for line in lines)


REFERENCE: Mapping[str, Callable[[], str]] = {
    "parameters": parameters,
    "options": options,
    "functions": functions,
    "normalizers": normalizers,
    "files": files,
    "graph": graph,
    "findings": findings,
    "learn": learn,
    **COMPARED,
}
