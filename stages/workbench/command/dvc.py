"""Run DVC: the installed one, whatever modules lie in the folder; all that it starts ends with the command."""

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workbench.command.process_group import end_group
from workbench.stage.errors import RestoreError, printable


def dvc(
    folder: Path,
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    hear: Callable[[str], None] | None = None,
) -> "subprocess.CompletedProcess[str]":
    """Run DVC in a folder and return what it said; whatever ends this ends all that DVC started, too.

    Args:
        folder: where.
        arguments: of DVC.
        environment: of DVC, in the place of ours.
        hear: told each line that DVC or a stage prints, as it comes.

    """
    # -P and no variable: the stages that DVC starts are to find their own modules. -u: a line is heard as it comes.
    command = [sys.executable, "-u", "-P", "-m", "dvc", *arguments]
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
    with running:  # which closes its pipes
        try:
            out, said = _listen(running, hear) if hear else running.communicate()
        except BaseException:
            end_group(running)
            raise
    return subprocess.CompletedProcess(command, running.returncode, out, said)


def _listen(running: "subprocess.Popen[str]", hear: Callable[[str], None]) -> tuple[str, str]:
    """Return what a process prints and what it says on stderr, when it has ended."""
    said: list[str] = []
    aside = threading.Thread(target=lambda: said.extend(running.stderr or ()), daemon=True)
    aside.start()
    lines = []
    for line in running.stdout or ():
        lines.append(line)
        hear(line.rstrip())
    aside.join()
    return "".join(lines), "".join(said)


def stages_to_run(folder: Path) -> list[str]:
    """Return the stages whose code, parameters or inputs are not those that they ran with; lost outputs do not count.

    Raises:
        RestoreError: DVC cannot say.

    """
    done = dvc(folder, "status", "--json")
    try:
        changed: dict[str, list[Any]] = json.loads(done.stdout)
    except ValueError as error:
        told = [line.strip() for line in done.stderr.splitlines() if line.strip() and not line.startswith("WARNING")]
        why = printable(next(iter(told), "no reason given").removeprefix("ERROR: "))
        raise RestoreError(f"{folder}: `dvc status` failed: {why}; mend what it says") from error
    return [name for name, changes in changed.items() if any(map(_is_new, changes))]


def last_line(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the last thing that DVC said, of what went wrong if it said so; of a stage that failed, what that said."""
    lines = (done.stderr.strip() or done.stdout.strip()).splitlines()
    told = [line for line in lines if not line.startswith("ERROR: failed to reproduce ")]
    return next(reversed(told or lines), "")


def _is_new(change: Any) -> bool:
    """Whether one of a stage's changes is more than results that are not there, as in a fresh clone."""
    if not isinstance(change, dict):
        return True  # its command, say
    files = [entry for kind, files in change.items() if kind != "changed outs" for entry in files.items()]
    return any(how != "deleted" or not path.startswith("data/") for path, how in files)
