"""The same pipeline as other machines would run it: what each library would do on another CPU, told by environment."""

import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conftest import ROOT, SMALL, clean_environment

from attention.functions import ATTENTION_FUNCTIONS

Configurations = Mapping[str, Mapping[str, Any]]

STAGES = ("generate", "train", "evaluate", "plot")
MANY = {
    "seed": 5,
    "data.n_train": 401,
    "data.seq_len": 37,
    "data.n_contexts": 11,
    "data.true_attention": "random",
    "train.batch_size": 5,
    "train.shuffle": True,
}
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


@dataclass(frozen=True)
class Setting:
    """One way to run: its environment, and the line of `run_pipelines.witness` that shows that it took effect."""

    environment: Mapping[str, str]
    shown_by: str | None = None


def settings() -> dict[str, Setting]:
    """Return every setting by its name; those that the libraries of this machine know."""
    blas = {
        f"OPENBLAS_CORETYPE={core}": Setting({"OPENBLAS_CORETYPE": core}, "a product by BLAS")
        for core in ("Prescott", "Nehalem", "Sandybridge", "Haswell", "SkylakeX", "Zen")
    }
    return {
        "as it is": Setting({}),
        **{
            f"ATEN_CPU_CAPABILITY={level}": Setting({"ATEN_CPU_CAPABILITY": level}, "instructions of torch")
            for level in ("default", "avx2", "avx512")
        },
        **{
            f"{count} thread{'s' * (count > 1)}": Setting(dict.fromkeys(THREADS, str(count)), "threads of torch")
            for count in (1, 2, 3)
        },
        "NumPy without dispatch": Setting({"NPY_DISABLE_CPU_FEATURES": dispatched()}, "instructions of NumPy"),
        "compiled for any x86-64": Setting({"COMPILER_CPU": "generic"}, "compiled for"),
        "C library without AVX and FMA": Setting({"GLIBC_TUNABLES": c_library_without()}, "sines by the C library"),
        **blas,
        "all of it: an old CPU": Setting(
            {
                "ATEN_CPU_CAPABILITY": "default",
                **dict.fromkeys(THREADS, "1"),
                "NPY_DISABLE_CPU_FEATURES": dispatched(),
                "COMPILER_CPU": "generic",
                "GLIBC_TUNABLES": c_library_without(),
                "OPENBLAS_CORETYPE": "Prescott",
            },
            "instructions of NumPy",
        ),
    }


def dispatched() -> str:
    """Return the instructions that this NumPy chooses when it starts, if the CPU has them."""
    from numpy._core._multiarray_umath import __cpu_dispatch__  # type: ignore[import-not-found]

    return " ".join(__cpu_dispatch__)


def c_library_without() -> str:
    """Return what takes the vector and fused instructions from glibc (names since 2.33; others ignore it)."""
    return "glibc.cpu.hwcaps=-AVX,-AVX2,-FMA,-FMA4,-AVX512F,-AVX512VL,-AVX512BW,-AVX512DQ,-AVX512CD,-ERMS"


def small_configurations() -> dict[str, Any]:
    """Return each function, on small data; pictures do not know functions: they are drawn of one."""
    return {
        f"{function}, {name}": configuration(function, values, *STAGES[: None if function == first else -1])
        for first in list(ATTENTION_FUNCTIONS)[:1]
        for function in ATTENTION_FUNCTIONS
        for name, values in {"few contexts": SMALL, "many contexts": {**SMALL, **MANY}}.items()
        if function == first or values is not SMALL
    }


def full_configurations() -> dict[str, Any]:
    """Return each function: small, the article's sizes, several blocks; every kind of picture."""
    sizes = {
        "few contexts": SMALL,
        "many contexts": {**SMALL, **MANY},
        "the article's": {},
        "70,001 rows": {"data.n_train": 70_001, "train.epochs": 2, "train.shuffle": True},
    }
    return small_configurations() | {
        f"{function}, {name}": configuration(
            function, values, *STAGES[: None if function == first or name == "the article's" else -1]
        )
        for first in list(ATTENTION_FUNCTIONS)[:1]
        for function in ATTENTION_FUNCTIONS
        for name, values in sizes.items()
    }


def configuration(function: str, values: Mapping[str, Any], *stages: str, engine: str = "compiled") -> dict[str, Any]:
    """Return what run_pipelines.py is to run."""
    return {"params": {**values, "model.attention": function, "train.engine": engine}, "stages": stages}


def run_pipelines(
    folder: Path,
    configurations: Configurations,
    environment: Mapping[str, str],
    python: Sequence[str] = (sys.executable,),
) -> tuple[dict[str, dict[str, str]], dict[str, str]]:
    """Run the stages of each configuration in a process with that environment, by this Python or another one.

    Returns:
        the digest of every output by configuration and file name; and what `run_pipelines.witness` says.

    """
    project = folder / "project"
    shutil.copytree(ROOT / "stages", project / "stages", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "params.yaml", project)
    done = subprocess.run(
        [*python, str(Path(__file__).with_name("run_pipelines.py")), json.dumps(configurations)],
        cwd=project,
        env=clean_environment(PYTHONWARNINGS="ignore", **environment),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    return told["results"], told["witness"]


def differences(one: Mapping[str, Mapping[str, str]], other: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Name every output that is not the same in both."""
    return [
        f"{configuration}: {file}"
        for configuration in one
        for file in sorted({*one[configuration], *other[configuration]})
        if one[configuration].get(file) != other[configuration].get(file)
    ]
