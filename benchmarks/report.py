"""Tables of measurements, with the machine that they were taken on."""

import csv
import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

RESULTS = Path(__file__).with_name("results")


def write_report(name: str, rows: Sequence[Mapping[str, str]], title: str) -> None:
    """Write results/NAME.csv and results/NAME.md, and print the latter."""
    RESULTS.mkdir(exist_ok=True)
    columns = list(rows[0])
    with (RESULTS / f"{name}.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, columns, lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
    write_markdown(name, rows, title)


def write_markdown(name: str, rows: Sequence[Mapping[str, str]], title: str) -> None:
    """Write results/NAME.md, and print it."""
    columns = list(rows[0])
    lines = [f"{title}.", "", "| " + " | ".join(columns) + " |", "|" + " --- |" * len(columns)]
    lines += ["| " + " | ".join(row[column] for column in columns) + " |" for row in rows]
    lines += ["", machine()]
    text = "\n".join(lines) + "\n"
    (RESULTS / f"{name}.md").write_text(text)
    print(f"\n{text}")


def machine() -> str:
    """Describe the machine and the versions in a sentence."""
    versions = []
    for package in ("torch", "llvmlite", "jax", "numpy", "dvc", "mlflow"):
        try:
            versions.append(f"{package} {importlib.metadata.version(package)}")
        except importlib.metadata.PackageNotFoundError:
            versions.append(f"no {package}")
    processor = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        models = [
            line.partition(":")[2].strip()
            for line in info.read_text(encoding="utf-8").splitlines()
            if "model name" in line
        ]
        processor = models[0] if models else processor
    return (
        f"Measured on {processor}, {os.cpu_count()} cores, Python {platform.python_version()}, {', '.join(versions)}."
    )
