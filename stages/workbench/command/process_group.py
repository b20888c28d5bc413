"""Processes that a command starts: each leads a group of its own, and the whole group ends with the command."""

import os
import signal
import subprocess
import time
from contextlib import suppress
from typing import Any

PATIENCE = 5.0  # seconds for those that are told to end


def end_group(running: "subprocess.Popen[Any]") -> None:
    """End a process and all that it started: asked first, then by force."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(running.pid, number)
        until = time.monotonic() + PATIENCE
        while _is_alive(running) and time.monotonic() < until:
            time.sleep(0.05)
    running.stdout.close() if running.stdout else None
    running.stderr.close() if running.stderr else None


def _is_alive(running: "subprocess.Popen[Any]") -> bool:
    """Whether any process of the group is left; one that has ended and waits to be counted is not."""
    import psutil

    running.poll()
    for process in psutil.process_iter(["status"]):
        with suppress(ProcessLookupError, PermissionError):
            if os.getpgid(process.pid) == running.pid and process.info["status"] != psutil.STATUS_ZOMBIE:
                return True
    return False
