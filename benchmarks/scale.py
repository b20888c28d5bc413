"""Show that neither time an example nor memory grows with the data: python benchmarks/scale.py [--largest N]."""

import argparse
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from attention.params import load_params
from attention.tasks.examples import ExampleTable, write_examples
from attention.tasks.problem import Examples, draw_columns
from attention.training.loop import train
from attention.weights import draw_weights
from report import write_report
from timing import quartiles

ROOT = Path(__file__).parents[1]
# Linux's own count of this program; what wait4 tells would include the parent's memory, from before the exec.
WATCHED = """
import atexit, re, runpy, sys
sys.path[0] = "stages"
atexit.register(lambda: print(re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]))
runpy.run_path(sys.argv[1], run_name="__main__")
"""
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
ON_DISK, TURNS, EPOCHS = 4_000_000, 5, 3
FIRST = "disk, the first epoch"  # which checks every value


class Held(ExampleTable):
    """A table whose blocks stay in memory."""

    def blocks(self, rows: int | None = None) -> Iterator[Examples]:
        """Yield the blocks as they were read at first."""
        if "_held" not in self.__dict__:
            self.__dict__["_held"] = list(super().blocks(rows))
        yield from self.__dict__["_held"]


def main() -> None:
    """Measure for growing n_train, and write benchmarks/results/scale.{csv,md}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=SIZES[-1])
    largest = parser.parse_args().largest
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "params.yaml", folder)
        shutil.copytree(ROOT / "stages", folder / "stages")
        for n in filter(largest.__ge__, SIZES):
            print(f"n_train {n:,}", flush=True)
            times = time_an_example(folder, n)
            for stage, megabytes in peak_memory(folder, n).items():
                rows.append(
                    {
                        "n_train": f"{n:,}",
                        "stage": stage,
                        "ns an example": f"{times[stage]:,.0f}",
                        "peak memory of the process, MB": f"{megabytes:.0f}",
                    }
                )
        from_disk = compare_with_memory(folder, min(largest, ON_DISK))
    write_report("scale", rows, "Drawing and writing (generate), and four epochs of reading and training (train)")
    write_report("disk", from_disk, f"Epochs of {min(largest, ON_DISK):,} examples, in turn")


def time_an_example(folder: Path, n: int) -> dict[str, float]:
    """Return the nanoseconds that generate and train spend on an example, start-up excluded."""
    params = load_params(ROOT / "params.yaml")
    problem, path = params.data.problem(0), folder / "timed.parquet"

    def generate() -> None:
        write_examples(path, draw_columns(problem, 0, "train", n), problem)

    def learn() -> None:
        weights = draw_weights("embedding", problem.n_queries, problem.seq_len, 0)
        for _ in train(weights, ExampleTable(path, problem), params.train, 0):
            pass

    repeats = max(2, min(20, 2_000_000 // n))
    return {"generate": median_ns(generate, repeats) / n, "train": median_ns(learn, repeats) / n}


def compare_with_memory(folder: Path, n: int) -> list[dict[str, str]]:
    """Return the lines of the first epoch, which checks every value, and of the later ones, from disk and in memory.

    Processor time; where reading has a thread of its own, the busier thread decides, for each has a core.
    """
    params = load_params(ROOT / "params.yaml")
    problem, path = params.data.problem(0), folder / "timed.parquet"
    write_examples(path, draw_columns(problem, 0, "train", n), problem)
    weights = draw_weights("embedding", problem.n_queries, problem.seq_len, 0)
    several = params.train.model_copy(update={"epochs": EPOCHS})
    held = Held(path, problem)
    for _ in held.blocks():
        pass
    seconds: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in (FIRST, "disk", "memory")}
    for _ in range(TURNS):
        for name, table in {"disk": ExampleTable(path, problem), "memory": held}.items():
            epochs = train(weights, table, several, 0)
            for number in range(EPOCHS):
                of_thread, of_process = time.thread_time(), time.process_time()
                next(epochs)
                training = time.thread_time() - of_thread
                reading = time.process_time() - of_process - training
                kept = seconds[FIRST if (name, number) == ("disk", 0) else name]
                kept[0].append(1e9 * training / n)
                kept[1].append(1e9 * reading / n)
    busier = {name: max(map(statistics.median, of_both)) for name, of_both in seconds.items()}
    return [
        {
            "an epoch from": name,
            "training, ns an example": quartiles(training, ",.0f"),
            "other threads, ns an example": quartiles(reading, ",.0f"),
            "of the speed in memory": f"{busier['memory'] / busier[name]:.2f}",
            "target": "at least 0.8" if name == "disk" else "",
        }
        for name, (training, reading) in seconds.items()
    ]


def median_ns(work: Callable[[], None], repeats: int) -> float:
    """Return the median time of some runs after a first one."""
    times = []
    for _ in range(repeats + 1):
        started = time.perf_counter_ns()
        work()
        times.append(time.perf_counter_ns() - started)
    return statistics.median(times[1:])


def peak_memory(folder: Path, n_train: int) -> dict[str, float]:
    """Return the peak resident megabytes of the real stages."""
    params = folder / "params.yaml"
    lines = params.read_text().splitlines()
    params.write_text("\n".join(f"  n_train: {n_train}" if "n_train:" in line else line for line in lines) + "\n")
    found = {}
    for stage in ("generate", "train"):
        command = (sys.executable, "-c", WATCHED, f"stages/{stage}.py")
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        found[stage] = int(done.stdout.splitlines()[-1]) / 1e3
    return found


if __name__ == "__main__":
    main()
