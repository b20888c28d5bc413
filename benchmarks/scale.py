"""Show that neither time an example nor memory grows with the data: python benchmarks/scale.py [--largest N]."""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from report import write_report

ROOT = Path(__file__).parents[1]
FILES = ("params.yaml", "stages")


def main() -> None:
    """Run generate and train as a user would, for growing n_train, and write benchmarks/results/scale.{csv,md}."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--largest", type=int, default=10_000_000)
    largest = parser.parse_args().largest
    sizes = [n for n in (10_000, 100_000, 1_000_000, 10_000_000) if n <= largest]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for name in FILES:
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(folder) / name)
        measure(folder, sizes[0])  # compiles, and migrates the MLflow store
        empty = {stage: seconds for stage, (seconds, _) in measure(folder, 1).items()}
        for n in sizes:
            for stage, (seconds, megabytes) in measure(folder, n).items():
                rows.append(
                    {
                        "n_train": f"{n:,}",
                        "stage": stage,
                        "seconds": f"{seconds:.2f}",
                        "ns an example, start-up excluded": f"{(seconds - empty[stage]) / n * 1e9:,.0f}",
                        "peak memory, MB": f"{megabytes:.0f}",
                    }
                )
    write_report("scale", rows, "generate and train (4 epochs, compiled engine) on data of growing size")


def measure(folder: str, n_train: int) -> dict[str, tuple[float, float]]:
    """Return (seconds, peak megabytes) of each stage."""
    params = Path(folder) / "params.yaml"
    lines = params.read_text().splitlines()
    params.write_text("\n".join(f"  n_train: {n_train}" if "n_train:" in line else line for line in lines) + "\n")
    found = {}
    for stage in ("generate", "train"):
        started = time.perf_counter()
        process = subprocess.Popen([sys.executable, f"stages/{stage}.py"], cwd=folder, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        if status:
            sys.exit(f"{stage} failed with n_train {n_train}")
        found[stage] = time.perf_counter() - started, kilobytes(usage) / 1000
    return found


def kilobytes(usage: resource.struct_rusage) -> float:
    """Return the peak memory, which macOS counts in bytes."""
    return usage.ru_maxrss / 1024 if sys.platform == "darwin" else usage.ru_maxrss


if __name__ == "__main__":
    main()
