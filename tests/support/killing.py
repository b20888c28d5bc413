"""Ending a stage at a random moment, by kill -9 or an interrupt, while somebody reads its outputs all the time."""

import os
import random
import re
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from conftest import Project, clean_environment, open_store, recorded_runs
from faulty_servers import end_group

STAGES = ("generate", "train", "evaluate", "plot", "study")
SOONER_OR_LATER = 300  # seconds, far more than anything here takes
BESIDE = re.compile(r"\..+\.\d+")  # an output on its way: workbench.stage.outputs.writing


@dataclass
class Killing:
    """What was seen when a command was ended.

    Attributes:
        status: of the process; negative for the signal that ended it, 0 where it was done before.
        after: seconds from its start to the signal.
        torn: outputs that were seen with bytes that are neither the earlier nor the new ones.
        left: files beside outputs that it left.
        said: what it printed.

    """

    status: int
    after: float
    torn: set[str] = field(default_factory=set)
    left: list[str] = field(default_factory=list)
    said: str = ""


def outputs_of(project: Project, stage: str) -> dict[str, bytes]:
    """Return the outputs of a stage by name, whatever else lies beside them."""
    return {name: data for name, data in project.outputs().items() if name.startswith(f"data/{stage}/")}


def strays(project: Project) -> list[str]:
    """Return the files that are half outputs."""
    return [path.name for path in (project.root / "data").rglob(".*") if BESIDE.fullmatch(path.name)]


def end_at_random(
    project: Project,
    command: list[str],
    number: signal.Signals,
    when: float | Callable[[], bool],
    allowed: Mapping[str, tuple[bytes | None, ...]],
) -> Killing:
    """Run a command in a process group of its own and end it.

    Args:
        project: where.
        command: what.
        number: the signal.
        when: after so many seconds, or as soon as this holds.
        allowed: the outputs, each with the bytes that it may be seen to have; None where it may be missing.

    """
    with (project.root / "said.txt").open("w") as said:
        process = subprocess.Popen(
            command,
            cwd=project.root,
            env=clean_environment(PYTHONWARNINGS="ignore"),
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    started, torn = time.monotonic(), set[str]()
    try:
        while process.poll() is None:
            if when() if callable(when) else time.monotonic() - started >= when:
                break
            torn |= {name for name, data in allowed.items() if _read(project.root / name) not in data}
            time.sleep(0.0005)
        after = time.monotonic() - started
        if process.poll() is None:
            os.killpg(process.pid, number)
        while process.poll() is None:
            assert time.monotonic() - started < SOONER_OR_LATER
            torn |= {name for name, data in allowed.items() if _read(project.root / name) not in data}
            time.sleep(0.001)
    finally:
        end_group(process.pid)
        process.wait()
    torn |= {name for name, data in allowed.items() if _read(project.root / name) not in data}
    return Killing(process.returncode, after, torn, strays(project), (project.root / "said.txt").read_text())


def moments(chosen: random.Random, project: Project, took: float) -> float | Callable[[], bool]:
    """Draw a moment: any of a stage's time, of its last part, or a little after it begins to write an output."""
    kind = chosen.choice(["any", "late", "write", "write"])
    if kind != "write":
        return took * (chosen.random() if kind == "any" else chosen.uniform(0.7, 1.05))
    wait, seen = chosen.choice([0.0, chosen.uniform(0, 0.01), chosen.uniform(0, took / 5)]), list[float]()

    def now() -> bool:
        if not seen and strays(project):
            seen.append(time.monotonic())
        return bool(seen) and time.monotonic() - seen[0] >= wait

    return now


def statuses(project: Project) -> list[str]:
    """Return the status of every run, the newest first."""
    store = project.root / "mlflow.db"
    if not store.exists():
        return []
    return [str(run.info.status) for run in recorded_runs(open_store(f"sqlite:///{store}"))]


def prepare(finished: Project, folder: Path, n_train: int = 211) -> tuple[Project, dict[str, bytes]]:
    """Make a copy of a finished project and run all of it with another seed; return it with its earlier outputs."""
    project = finished.copy(folder, ".dvc")
    earlier = project.outputs()
    project.set_params({"seed": 5, "data.n_train": n_train})
    code = "import runpy, sys; sys.path[0] = 'stages'; [runpy.run_path(s, run_name='__main__') for s in sys.argv[1:]]"
    project.run("python", "-c", code, *(f"stages/{stage}.py" for stage in STAGES), PYTHONWARNINGS="ignore")
    return project, earlier


def untracked(project: Project) -> list[str]:
    """Return what git does not know and would show."""
    lines = project.run("git", "status", "--porcelain", "--untracked-files=all").stdout.splitlines()
    return [line.removeprefix("?? ") for line in lines if line.startswith("?? ") and not line.endswith("said.txt")]


def ordeal(
    project: Project,
    stage: str,
    earlier: Mapping[str, bytes],
    number: signal.Signals,
    times: int,
    seed: int,
    took: float = 2.0,
) -> tuple[list[Killing], list[str]]:
    """End a stage several times on its way from earlier outputs to those that it has now, then let it finish.

    `took` is a first guess how long the stage takes, and is made better each time.

    Returns:
        what was seen each time, and what is wrong with how the project was left.

    """
    wanted = outputs_of(project, stage)
    old = {name: data for name, data in earlier.items() if name in wanted}
    assert any(wanted[name] != data for name, data in old.items())
    allowed = {name: (old.get(name), data) for name, data in wanted.items()}
    chosen, command = random.Random(f"{seed} {stage} {number}"), ["python", f"stages/{stage}.py"]  # noqa: S311
    killings, wrong = [], []
    for _ in range(times):
        for name, data in old.items():
            (project.root / name).write_bytes(data)
        killings.append(end_at_random(project, command, number, moments(chosen, project, took), allowed))
        took *= 0.8 if killings[-1].status == 0 else 1.1
        wrong += [f"{name} was half-written" for name in killings[-1].torn]
        wrong += [f"git shows {name}" for name in untracked(project)]
        if number != signal.SIGKILL and "RUNNING" in statuses(project):
            wrong.append("a run is left RUNNING by an interrupt")
    project.stage(stage, PYTHONWARNINGS="ignore")
    wrong += [
        f"{name} is not the same" for name, data in wanted.items() if outputs_of(project, stage).get(name) != data
    ]
    wrong += [f"{name} is left" for name in {*outputs_of(project, stage)} - {*wanted}]
    return killings, wrong + ["a run is left RUNNING"] * ("RUNNING" in statuses(project))


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
