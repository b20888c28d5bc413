"""Time the compiled engine beside that of an earlier commit: python benchmarks/before.py [COMMIT] [--rounds N].

Two processes, one in a clone of each commit, train in turn. The default is the last commit whose kernels were written
by hand; it needs Numba, which requirements-dev.lock has.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pipeline import run
from report import write_report
from timing import quartiles, ratios

ROOT = Path(__file__).parents[1]
KERNELS = "7d12676"
FUNCTIONS = {  # and what is wanted of the speed at 8 and at 64 positions: two search their support otherwise
    **dict.fromkeys(("embedding", "sigmoid", "softmax", "gaussian"), (0.8, 1.0)),
    **dict.fromkeys(("sparsemax", "entmax15"), (0.4, 0.4)),
    **dict.fromkeys(("dot", "scaled_dot", "bilinear", "additive"), (0.8, 1.0)),
}
POSITIONS = (8, 64)
TURNS = 5
WORKER = """
import sys, json, time
sys.path.insert(0, "stages")
from attention.params.schema import TrainParams
from attention.tasks.problem import draw_examples, lookup
from attention.training.engines import start_engine
from attention.weights import draw_weights
params = TrainParams(epochs=4, batch_size=1, learning_rate=0.001, shuffle=False, engine="compiled")
for line in sys.stdin:
    function, positions = json.loads(line)
    (examples,) = draw_examples(lookup([2, 7, 3, 5, 1], positions), 0, "train", 10_000)
    engine = start_engine(draw_weights(function, 5, positions, 0), params, 0)
    wall, busy = time.perf_counter(), time.process_time()
    errors = [error for error, _ in engine.epochs(examples, 4)]
    print(min(time.perf_counter() - wall, time.process_time() - busy), errors[-1] / 10_000, flush=True)
"""


def main() -> None:
    """Measure, and write benchmarks/results/before.{csv,md}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commit", nargs="?", default=KERNELS)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as parent:
        workers = []
        for commit in (asked.commit, "HEAD"):
            clone = Path(parent) / commit
            run("git", "clone", "--quiet", "--no-checkout", str(ROOT), str(clone))
            run("git", "checkout", "--quiet", commit, cwd=clone)
            workers.append(start(clone))
        rows = [
            compare(workers, function, positions, target, asked.rounds)
            for function, targets in FUNCTIONS.items()
            for positions, target in zip(POSITIONS, targets, strict=True)
        ]
        for worker in workers:
            worker.communicate()  # no more lines: it ends
    write_report("before", rows, f"The engine beside that of {asked.commit}, rounds: {asked.rounds}")


def start(clone: Path) -> "subprocess.Popen[str]":
    """Start a process that trains in a clone when it is told to."""
    command = (sys.executable, "-c", WORKER)
    return subprocess.Popen(command, cwd=clone, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


def compare(
    workers: "Sequence[subprocess.Popen[str]]", function: str, positions: int, target: float, rounds: int
) -> dict[str, str]:
    """Return the line of a function."""
    seconds: list[list[float]] = [[], []]
    errors = ["", ""]
    for turn in range(1 + rounds * TURNS):
        for number, worker in enumerate(workers):
            assert worker.stdin  # noqa: S101
            assert worker.stdout  # noqa: S101
            print(json.dumps([function, positions]), file=worker.stdin, flush=True)
            took, errors[number] = worker.stdout.readline().split()
            if turn:  # the first loads the program
                seconds[number].append(float(took))
    before, now = seconds
    row = {
        "function": function,
        "positions": str(positions),
        "before, steps/s": quartiles([40_000 / time for time in before], ",.0f"),
        "now": quartiles([40_000 / time for time in now], ",.0f"),
        "of the speed before": quartiles(ratios(before, now), ".2f"),
        "target": f"at least {target:g}",
        "last MSE before": f"{float(errors[0]):.2e}",
        "last MSE now": f"{float(errors[1]):.2e}",
    }
    print(" | ".join(row.values()), flush=True)
    return row


if __name__ == "__main__":
    main()
