"""Time a study of a thousand seeds of the article's experiment: python benchmarks/studies.py [--rounds N].

Beside it, in turn: the article's program for one seed; one thread against two; what MLflow adds; what the default study
adds to the pipeline.
"""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML

from pipeline import repro, run
from report import write_report

ROOT = Path(__file__).parents[1]
SEEDS = 1000
TRAIN = """
import sys, time
sys.path.insert(0, "stages")
from workbench.compute.schedule import compute
from workbench.compute.checkpoint import Checkpoint
from attention.studies.trainings import TRAININGS, run_training, trainings_of
from attention.params import load_study
params, configurations = load_study()
trainings, checkpoint = trainings_of(configurations, 0, params.study.seeds), Checkpoint(TRAININGS, "study")
run_training(trainings[0])  # its program is loaded
where = params.compute.model_copy(update={"workers": int(sys.argv[1])})
started = time.perf_counter()
print(sum(1 for _ in compute(TRAININGS, trainings, (), where, checkpoint)), time.perf_counter() - started)
checkpoint.remove()
"""
SHOW = """
import sys, time
sys.path.insert(0, "stages")
import study
from attention.studies.groups import group
from attention.studies.trainings import run_training, trainings_of
configurations = study.load_study()[1]
params, seeds = study.load_study()[0], study.load_study()[0].study.seeds
trainings = trainings_of(configurations, 0, seeds)
groups = group(configurations, 0, seeds, [run_training(training) for training in trainings])
[each.spread for each in groups]  # the tables have needed it before
started = time.perf_counter()
with study.record_study(params) as run:
    run.show(groups, [])
assert not run.lost
print(len(trainings), time.perf_counter() - started)
"""


def main() -> None:
    """Measure in turn, round by round, and write benchmarks/results/studies.{csv,md}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as parent:
        default, large, wide, least = (Path(parent) / name for name in ("default", "large", "wide", "least"))
        run("git", "clone", "--quiet", str(ROOT), str(default))
        repro(default)  # warms the caches of compiled code and of the traced graph
        functions: list[object] = ["embedding", "sigmoid", "softmax", "gaussian", "sparsemax"]
        rates: list[object] = [0.001, 0.002, 0.005, 0.01]
        grids = {large: {}, wide: {"model.attention": functions, "train.learning_rate": rates}}
        for clone, grid in grids.items():
            shutil.copytree(default, clone, ignore=shutil.ignore_patterns("mlflow.db*", "mlruns"))
            set_study(clone, SEEDS // (20 if grid else 1), grid)
            run("python", "stages/study.py", cwd=clone)  # makes the store
        shutil.copytree(default, least)
        set_study(least, 1, {})
        measured: dict[str, Callable[[], float]] = {
            "article": lambda: run(sys.executable, str(ROOT / "benchmarks/article.py"), f"{parent}/a.png"),
            "study": lambda: run("python", "stages/study.py", cwd=large),
            "one": lambda: script(large, TRAIN, "1"),
            "two": lambda: script(large, TRAIN, "2"),
            "mlflow": lambda: script(large, SHOW),
            "mlflow wide": lambda: script(wide, SHOW),
            "four": lambda: repro(default, stage="plot"),
            "five": lambda: repro(default),
            "least": lambda: repro(least),
        }
        pairs = ["one", "two"] * 4  # these vary most, and take least
        seconds: dict[str, list[float]] = {name: [] for name in measured}
        for number in range(rounds):
            for name in [*measured, *pairs]:
                print(f"round {number + 1} of {rounds}: {name}", flush=True)
                seconds[name].append(measured[name]())
    took = {name: statistics.median(times) for name, times in seconds.items()}
    rows = [
        row("1,000 seeds of the article's experiment on 2 cores, `dvc repro` apart", f"{took['study']:.1f} s", ""),
        row("the article's program, one seed", f"{took['article']:.1f} s", ""),
        row("the former to the latter", f"{took['study'] / took['article']:.2f}", "at most 0.3"),
        row("a training, its data and its evaluation, of 1,000 by one thread", f"{took['one']:.2f} ms", ""),
        row("the same 1,000 by two threads, times as fast", f"{took['one'] / took['two']:.2f}", "at least 1.7"),
        row("MLflow, of 1,000 trainings of one configuration", f"{took['mlflow']:.2f} s", "at most 2 s"),
        row("MLflow, of 1,000 trainings of 20 configurations", f"{took['mlflow wide']:.2f} s", "at most 2 s"),
        row("`dvc repro` with the default study, to without", f"{took['five'] / took['four']:.2f}", "at most 1.25"),
        row("the same with a study of one training", f"{took['least'] / took['four']:.2f}", ""),
    ]
    write_report("studies", rows, f"Studies, rounds: {rounds}")


def row(what: str, measured: str, target: str) -> dict[str, str]:
    """Return a row of the table."""
    return {"what": what, "measured": measured, "target": target}


def set_study(clone: Path, seeds: int, grid: dict[str, list[object]]) -> None:
    """Change the study of params.yaml."""
    yaml = YAML()
    tree = yaml.load(clone / "params.yaml")
    tree["study"] |= {"seeds": seeds, "grid": grid}
    yaml.dump(tree, clone / "params.yaml")


def script(clone: Path, code: str, *arguments: str) -> float:
    """Return the time that a script says it took, for 1,000 trainings."""
    command = (sys.executable, "-c", code, *arguments)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))}
    done = subprocess.run(command, cwd=clone, env=kept, capture_output=True, text=True, check=True)
    count, took = done.stdout.split()[-2:]
    assert int(count) == SEEDS  # noqa: S101
    return float(took)


if __name__ == "__main__":
    main()
