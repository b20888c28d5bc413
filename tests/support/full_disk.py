"""What the stages do where the disk is full or the checkout is read-only.

    unshare --mount python <path of>/full_disk.py PROJECT FOLDER [KILOBYTES ...]

mounts small file systems below FOLDER, which nobody else sees and which go with this process; runs every stage of the
finished PROJECT in copies of it there, in this one process; and prints for each attempt what was said and what is wrong
with how it ended. With numbers of kilobytes to leave on the disk it tries these, and a cache elsewhere too.
"""

import contextlib
import io
import json
import os
import runpy
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

STAGES = ("generate", "train", "evaluate", "plot")
WARNING = "warning: MLflow cannot be reached"


def namespace() -> list[str] | None:
    """Return the command that runs another with mounts of its own, or None where that is not permitted."""
    for command in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        with tempfile.TemporaryDirectory() as folder, contextlib.suppress(OSError):
            mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", folder]
            if subprocess.run([*command, *mount], capture_output=True, check=False).returncode == 0:
                return command
    return None


def run(stage: str) -> tuple[object, list[str], int]:
    """Run a stage in the working folder; return its status, its lines on stderr but for warnings, and their number."""
    said = io.StringIO()
    status: object = 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(said):
        try:
            runpy.run_path(f"{sys.path[0]}/{stage}.py", run_name="__main__")
        except SystemExit as end:
            status = end.code
        except BaseException as error:  # a traceback, in a process of its own
            status, _ = repr(error), said.write(f"Traceback: {error!r}\n")
    lines = said.getvalue().splitlines()
    warnings = [line for line in lines if line.startswith(WARNING)]
    return status, [line for line in lines if line not in warnings], len(warnings)


def contents(folder: Path) -> dict[str, bytes]:
    """Return every file below data/."""
    files = (path for path in (folder / "data").rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def full_disk(project: Path, folder: Path, rooms: Sequence[int]) -> Iterator[tuple[str, str]]:
    """Run each stage with little room left, then with enough."""
    mount("-t", "tmpfs", "-o", "size=24m", "none", folder)
    copy(project, folder)
    wanted = contents(folder)
    os.chdir(folder)
    for stage in STAGES:
        for room in rooms:
            for file in (folder / "data" / stage).rglob("*.*"):
                if file.name != ".gitignore":
                    file.write_bytes(b"earlier")
            earlier = contents(folder)
            fill(folder, room)
            status, lines, _ = run(stage)
            (folder / "filler").unlink()
            now = contents(folder)
            wrong = [f"{name} is neither" for name in now if now[name] not in (earlier.get(name), wanted.get(name))]
            wrong += [f"{name} is left" for name in now.keys() - wanted.keys()]
            if status == 0:
                wrong += [f"{name} is not whole" for name in wanted if now.get(name) != wanted[name]]
            elif not (status == 1 and len(lines) == 1 and "No space left on device" in lines[0]):
                wrong.append(f"status {status}, {lines}")
            ended = f"status {status}: {''.join(lines)}"
            status, lines, warnings = run(stage)
            if (status, lines, warnings) != (0, [], 0) or contents(folder) != wanted:
                wrong.append(f"with room again, status {status}, {lines}, {warnings} warnings")
            with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as store:
                wrong += [row for (row,) in store.execute("PRAGMA integrity_check") if row != "ok"]
            yield f"{stage}, {room} kB left: {ended}", "; ".join(wrong)


def store_elsewhere(project: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Train where the MLflow store is on a disk that is full or read-only: an existing one, and one to be made."""
    small = small_disk(project, folder)
    wanted = contents(Path())
    for name in ("there.db", "new.db"):
        for how, disk in harms(small):
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{disk}/{name}"
            status, lines, warnings = run("train")
            wrong = [] if contents(Path()) == wanted else ["other bytes"]
            if (status, lines, warnings) != (0, [], 1):
                wrong.append(f"status {status}, {lines}, {warnings} warnings")
            yield f"train, store {name} {how}: status {status}", "; ".join(wrong)
    del os.environ["MLFLOW_TRACKING_URI"]


def cache_elsewhere(project: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Train where the folder for compiled code is on a disk that is full or read-only."""
    small = small_disk(project, folder)
    wanted = contents(Path())
    for how, disk in harms(small):
        environment = os.environ | {"XDG_CACHE_HOME": str(disk), "PYTHONWARNINGS": "ignore"}
        command = [sys.executable, "stages/train.py"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        wrong = [] if contents(Path()) == wanted else ["other bytes"]
        said = [line for line in done.stderr.splitlines() if not line.startswith(WARNING)]
        if done.returncode or said:
            wrong.append(f"status {done.returncode}, {said}")
        yield f"train, cache {how}: status {done.returncode}", "; ".join(wrong)


def small_disk(project: Path, folder: Path) -> Path:
    """Go to a copy of the project, and return a small disk beside it with an MLflow store on it."""
    small = folder / "small"
    copy(project, folder / "project")
    small.mkdir()
    mount("-t", "tmpfs", "-o", "size=4m", "none", small)
    shutil.copy(project / "mlflow.db", small / "there.db")
    os.chdir(folder / "project")
    return small


def harms(small: Path) -> Iterator[tuple[str, Path]]:
    """Give the disk, full, and the same once more, with room but read-only."""
    fill(small, 0)
    yield "full", small
    (small / "filler").unlink()
    view = small.with_name(f"view {len(list(small.parent.iterdir()))}")
    view.mkdir()
    mount("--bind", small, view)  # to mount the disk itself read-only, nobody might have a file of it open
    mount("-o", "remount,bind,ro", view)
    yield "read-only", view


def read_only(project: Path, folder: Path) -> Iterator[tuple[str, str]]:
    """Run each stage in a checkout that cannot be written."""
    copy(project, folder)
    mount("--bind", folder, folder)
    mount("-o", "remount,bind,ro", folder)
    os.chdir(folder)
    wanted = contents(folder)
    for stage in STAGES:
        status, lines, _ = run(stage)
        wrong = [] if contents(folder) == wanted else ["an output changed"]
        if not (status == 1 and len(lines) == 1 and "Read-only file system" in lines[0]):
            wrong.append(f"status {status}, {lines}")
        yield f"{stage}, read-only: status {status}: {''.join(lines)}", "; ".join(wrong)


def copy(project: Path, folder: Path) -> None:
    """Copy what a stage needs."""
    for name in ("data", "stages"):
        shutil.copytree(project / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "mlflow.db"):
        shutil.copy(project / name, folder)
    with contextlib.closing(sqlite3.connect(folder / "mlflow.db")) as store:  # as if it had been made here
        places = (f"{project.as_uri()}/", f"{folder.as_uri()}/")
        store.execute("UPDATE experiments SET artifact_location = replace(artifact_location, ?, ?)", places)
        store.execute("UPDATE runs SET artifact_uri = replace(artifact_uri, ?, ?)", places)
        store.commit()


def fill(folder: Path, room: int) -> None:
    """Leave so many kilobytes."""
    free = os.statvfs(folder)
    with (folder / "filler").open("wb") as file:
        file.write(bytes(max(0, free.f_bavail * free.f_frsize - room * 1024)))


def mount(*arguments: str | Path) -> None:
    """Mount something, in this process's own name space."""
    subprocess.run(["mount", *map(str, arguments)], check=True)


if __name__ == "__main__":
    project, folder = (Path(argument).resolve() for argument in sys.argv[1:3])
    sys.path[0] = str(project / "stages")  # of one place, wherever they run: a stage refuses another copy's code
    sys.dont_write_bytecode = True
    rooms = [int(argument) for argument in sys.argv[3:]]
    ordeals: list[Callable[[Path, Path], Iterator[tuple[str, str]]]] = [
        partial(full_disk, rooms=rooms or [0]),
        read_only,
        store_elsewhere,
        *[cache_elsewhere] * bool(rooms),
    ]
    attempts: dict[str, str] = {}
    for number, ordeal in enumerate(ordeals):
        place = folder / str(number)
        place.mkdir()
        attempts.update(ordeal(project, place))
    print(json.dumps(attempts))
