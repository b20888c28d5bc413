"""Time the tracked pipeline against the article's program run alone: python benchmarks/pipeline.py [--rounds N]."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from report import write_report

ROOT = Path(__file__).parents[1]
LOAD = """
import sys, time
sys.path.insert(0, "stages")
from attention.params.schema import TrainParams
from attention.weights import draw_weights
params = TrainParams(epochs=1, batch_size=1, learning_rate=0.1, shuffle=False, engine="compiled")
weights = draw_weights(sys.argv[1], 5, 8, 0)
wall, busy = time.perf_counter(), time.process_time()
from attention.training.engines import attention_of, start_engine
start_engine(weights, params, 0)
attention_of(weights)
seconds = min(time.perf_counter() - wall, time.process_time() - busy)  # as timing.py: others use the machine too
print("torch" in sys.modules, seconds)
"""
FIRST = ("embedding", "multihead")  # the shortest and the longest of the programs
TARGETS = {"cold": "at most 5 s", "warm": "at most 0.8 s, torch not imported"}


def main() -> None:
    """Measure in turn, round by round, and write benchmarks/results/pipeline.{csv,md}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as parent:
        clone = Path(parent) / "clone"
        run("git", "clone", "--quiet", str(ROOT), str(clone))
        repro(clone)  # makes the store, and warms the caches of compiled code and of the traced graph
        store, cache = Path(parent) / "mlflow.db", Path(parent) / "cache"
        shutil.copy(clone / "mlflow.db", store)
        measured: dict[str, Callable[[], float]] = {
            "the article's program": lambda: run(
                sys.executable, str(ROOT / "benchmarks/article.py"), f"{parent}/a.png"
            ),
            "generate, train, evaluate, plot by `dvc repro`": lambda: repro(clone, store, "plot"),
            "the same, no MLflow store": lambda: repro(clone, stage="plot"),
            "`dvc repro` of these and the study": lambda: repro(clone, store),
            "`dvc repro`, nothing to do": lambda: run("dvc", "repro", "--quiet", cwd=clone),
            **{
                f"first use of {function} in a process, {how}": partial(load, clone, cache, function, how == "cold")
                for function in FIRST
                for how in ("cold", "warm")
            },
        }
        seconds: dict[str, list[float]] = {name: [] for name in measured}
        for number in range(rounds):
            for name, measure in measured.items():
                print(f"round {number + 1} of {rounds}: {name}", flush=True)
                seconds[name].append(measure())
    article = statistics.median(seconds["the article's program"])
    rows = [
        {
            "what": name,
            "median, s": f"{statistics.median(times):.2f}",
            "lowest and highest, s": f"{min(times):.2f} to {max(times):.2f}",
            "of the article's program": f"{statistics.median(times) / article:.2f}",
            "target": next((target for end, target in TARGETS.items() if name.endswith(end)), ""),
        }
        for name, times in seconds.items()
    ]
    write_report("pipeline", rows, f"The tracked pipeline and its start-up, rounds: {rounds}")


def run(*command: str, cwd: Path = ROOT) -> float:
    """Return the wall time of a command that must succeed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "DVC_"))}
    environment = kept | {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{kept['PATH']}"}
    started = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=environment, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def repro(clone: Path, store: Path | None = None, stage: str = "") -> float:
    """Return the wall time of the whole pipeline, or of that up to a stage, with no output in any cache."""
    shutil.rmtree(clone / ".dvc/cache", ignore_errors=True)
    for file in clone.glob("mlflow.db*"):
        file.unlink()
    if store:
        shutil.copy(store, clone / "mlflow.db")
    return run("dvc", "repro", "--force", "--no-run-cache", *filter(None, [stage]), cwd=clone)


def load(clone: Path, cache: Path, function: str, cold: bool) -> float:
    """Return the time from importing the engine to being ready to train and to tell the attention; warm after cold."""
    if cold:
        shutil.rmtree(cache, ignore_errors=True)
    command = (sys.executable, "-c", LOAD, function)
    environment = os.environ | {"XDG_CACHE_HOME": str(cache)}
    done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=True)
    imported, seconds = done.stdout.split()
    assert cold == (imported == "True")  # noqa: S101 - what is kept needs no torch
    return float(seconds)


if __name__ == "__main__":
    main()
