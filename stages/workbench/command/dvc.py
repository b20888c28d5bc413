"""The one door to DVC: ours, whatever modules lie in the folder, and no process of it outlives the question."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from workbench.stage.errors import RestoreError, printable

PATIENCE = 5.0  # seconds for those that are told to end


def dvc(
    folder: Path, *arguments: str, environment: Mapping[str, str] | None = None
) -> "subprocess.CompletedProcess[str]":
    """Run DVC in a folder and return what it said; whatever ends this ends all that DVC started, too."""
    # -P and no variable: the stages that DVC starts are to find their own modules.
    command = [sys.executable, "-P", "-m", "dvc", *arguments]
    running = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        out, said = running.communicate()
    except BaseException:
        _end(running)
        raise
    return subprocess.CompletedProcess(command, running.returncode, out, said)


def stages_to_run(folder: Path) -> list[str]:
    """Return the stages whose code, parameters or inputs are not those that they ran with; lost outputs do not count.

    Raises:
        RestoreError: DVC cannot say.

    """
    done = dvc(folder, "status", "--json")
    try:
        told: dict[str, list[Any]] = json.loads(done.stdout)
    except ValueError as error:
        raise RestoreError(f"{folder}: `dvc status` failed: {printable(last_line(done))}; mend what it says") from error
    return [name for name, changes in told.items() if any(map(_is_new, changes))]


def last_line(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the last thing that DVC said, of what went wrong if it said so."""
    return (done.stderr.strip() or done.stdout.strip()).rpartition("\n")[2]


def _is_new(change: Any) -> bool:
    """Whether one of a stage's changes is more than results that are not there, as in a fresh clone."""
    if not isinstance(change, dict):
        return True  # its command, say
    files = [entry for kind, files in change.items() if kind != "changed outs" for entry in files.items()]
    return any(how != "deleted" or not path.startswith("data/") for path, how in files)


def _end(running: "subprocess.Popen[str]") -> None:
    """End a process and all that it started: asked first, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(running.pid, number)
        until = time.monotonic() + PATIENCE
        while _is_alive(running) and time.monotonic() < until:
            time.sleep(0.05)
    running.stdout.close() if running.stdout else None
    running.stderr.close() if running.stderr else None


def _is_alive(running: "subprocess.Popen[str]") -> bool:
    """Whether any process of the group is left; one that has ended and waits to be counted is not."""
    import psutil

    running.poll()
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == running.pid and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
    return False
