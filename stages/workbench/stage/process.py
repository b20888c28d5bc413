"""A name for a process that no other process ever has, and whether it still runs.

Its number comes back, and the time of its start moves when the clock is set. So on Linux a process is known by the
boot, the namespace that its number counts in (a container has its own) and the ticks from the boot to its start.
"""

import os
import platform
import re
from pathlib import Path

FAR = 60.0  # seconds: no number comes back so soon, and no clock is often set by more
ON_LINUX = re.compile(r"([0-9a-f-]{36})_(\d{1,20})_(\d{1,20})", re.ASCII)
ELSEWHERE = re.compile(r"\d{1,12}(\.\d{1,12})?", re.ASCII)


def this_process() -> str:
    """Return host, number and birth of this process."""
    return f"{platform.node()} {os.getpid()} {birth()}"


def is_dead(process: str) -> bool:
    """Return whether the process of that name ran on this machine and runs no more; where that is not known, False."""
    host, number, born = ["", "", "", *process.rsplit(" ", 2)][-3:]
    return host == platform.node() and bool(re.fullmatch(r"[0-9]{1,9}", number)) and has_ended(int(number), born)


def birth() -> str:
    """Return what tells this process from all others of its number; it may be part of a file's name."""
    try:
        return "_".join((*_namespace(), str(_ticks(os.getpid()))))
    except OSError:
        import psutil  # takes a while, and only where there is no Linux

        return str(psutil.Process().create_time())


def has_ended(number: int, born: str) -> bool:
    """Return whether the process of that number and birth runs no more on this machine; where not known, False."""
    if known := ON_LINUX.fullmatch(born):
        boot, namespace, ticks = known.groups()
        try:
            here = _namespace()
        except OSError:
            return False
        if (boot, namespace) != here:
            return boot != here[0]  # within one boot: in a container, and not to be seen from here
        try:
            return _ticks(number) != int(ticks)
        except OSError:
            return not _exists(number)
    return bool(ELSEWHERE.fullmatch(born)) and _started(number) - float(born) > FAR


def _namespace() -> tuple[str, str]:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return boot, "".join(filter(str.isdigit, str(Path("/proc/self/ns/pid").readlink())))  # pid:[4026531836]


def _ticks(number: int) -> int:
    """Return the ticks from the boot to the start of a process; 0 of one that ended and was not waited for."""
    about = Path(f"/proc/{number}/stat").read_bytes().rpartition(b") ")[2].split()  # before it, a name of any kind
    return 0 if about[0] in (b"Z", b"X") else int(about[19])


def _exists(number: int) -> bool:
    """Whether there is such a process, even if it is another user's and not to be seen."""
    try:
        os.kill(number, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(number: int) -> float:
    """Return when a process started, by the clock; where there is none, the end of time."""
    import psutil

    try:
        return psutil.Process(number).create_time()
    except psutil.NoSuchProcess:
        return float("inf")
    except psutil.Error:
        return 0.0
