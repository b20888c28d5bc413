"""What every stage script shares: how it starts and ends, and how it tells a person what it did.

Imported before all else, so that an interrupt while the slow libraries are imported ends in one line too.
"""

import atexit
import gc
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from io import TextIOWrapper
from pathlib import Path
from types import FrameType, TracebackType

from workbench.stage.errors import StartError, UserError

INTERRUPTED = 130  # the shell's status for Ctrl-C
_SAID = "interrupted; the same command starts the stage again"


def run_stage(main: Callable[[], str]) -> None:
    """Run a stage and print its one-line summary; a user's mistake is told without a traceback, with status 1.

    SIGTERM counts as an interrupt, so that what the stage holds open is closed and its run marked.
    """
    started = time.monotonic()
    try:
        _refuse_other_code(Path(getattr(main, "__globals__", {}).get("__file__", __file__)))
        summary = main()
    except UserError as error:
        print(error, file=sys.stderr)
        _tell_what_dvc_removed()
        sys.exit(1)
    except OSError as error:  # what nobody foresaw a file to do: the disk full, a folder that may not be read
        print(
            f"{error.filename or 'a file'}: {error.strerror or error}; mend that, and start the stage again",
            file=sys.stderr,
        )
        _tell_what_dvc_removed()
        sys.exit(1)
    except KeyboardInterrupt:
        print(_SAID, file=sys.stderr)
        sys.exit(INTERRUPTED)
    print(f"{summary} ({time.monotonic() - started:.1f} s)")


def _refuse_other_code(script: Path) -> None:
    """Refuse to run with another copy's package: Python leaves the script's folder off its path if told to be safe."""
    used, own = Path(__file__).resolve().parents[1], script.resolve().with_name("workbench")
    if own.is_dir() and own != used:
        raise StartError(
            f"{sys.argv[0]}: would run with the code of {used}; allowed: its own, {own}; "
            "start it without PYTHONSAFEPATH, -P and -I"
        )


def _tell_what_dvc_removed() -> None:
    """DVC removes the outputs of a stage before it runs it; a stage that refuses says how they come back."""
    stage, root, lock = os.environ.get("DVC_STAGE"), os.environ.get("DVC_ROOT"), Path("dvc.lock")
    here = root and Path(root).resolve() == Path.cwd()  # not in the copy of an experiment, which had none
    if stage and here and lock.exists() and f"\n  {stage}:\n" in lock.read_text(encoding="utf-8"):
        print(
            f"data/{stage}: DVC removed the earlier outputs before this run; `dvc repro` with the earlier parameters "
            "and code brings them back from its cache",
            file=sys.stderr,
        )


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(_SAID, file=sys.stderr)
    elif isinstance(error, UserError):  # found as modules were imported
        print(error, file=sys.stderr)
        _tell_what_dvc_removed()
    elif isinstance(error, ModuleNotFoundError) and not _is_own(str(error.name)):
        print(
            f"{sys.executable}: {error}; activate the environment that `make repro` makes, source .venv/bin/activate, "
            "and start the stage again",
            file=sys.stderr,
        )
        _tell_what_dvc_removed()
    else:
        sys.__excepthook__(kind, error, trace)


def _is_own(module: str) -> bool:
    """Whether a module would be one of the project's own packages."""
    return Path(__file__).parents[2].joinpath(module.partition(".")[0]).is_dir()


def collect_rarely() -> None:
    """Collect garbage rarely, and never at exit: the objects that imports make live as long as the process.

    After 50,000 new objects instead of 700; Python would look through all of it while importing, and twice at the end.
    """
    gc.set_threshold(50_000, 50, 100)
    atexit.register(gc.freeze)


def _ignore_settings_for_others() -> None:
    """Forget what a shell, a notebook or another project set up for itself, and could end a stage of this one."""
    for name in list(os.environ):
        if name == "MPLBACKEND":
            del os.environ[name]
    warnings.filters[:] = [each for each in warnings.filters if each[0] != "error"]  # type: ignore[index]
    for number in (0, 1, 2):  # of one that is closed the next file to be opened would take the place
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdout, sys.stderr = (each or open(os.devnull, "w", encoding="utf-8") for each in (sys.stdout, sys.stderr))  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # where the terminal has no σ


collect_rarely()
signal.signal(signal.SIGTERM, _interrupt)
sys.excepthook = _tell
_ignore_settings_for_others()
