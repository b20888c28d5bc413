"""What every stage script shares: how it ends, and how it tells a person what it did.

Imported before the slow libraries, so that an interrupt while they are imported ends in one line too.
"""

import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType, TracebackType

from workbench.stage.errors import AttentionError
from workbench.stage.garbage import collect_rarely

INTERRUPTED = 130  # the shell's status for Ctrl-C
_SAID = "interrupted; the same command starts the stage again"


def run_stage(main: Callable[[], str]) -> None:
    """Run a stage and print its one-line summary; a user's mistake is told without a traceback, with status 1.

    SIGTERM counts as an interrupt, so that what the stage holds open is closed and its run marked.
    """
    started = time.monotonic()
    try:
        summary = main()
    except AttentionError as error:
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


def _tell_what_dvc_removed() -> None:
    """DVC removes the outputs of a stage before it runs it; a stage that refuses says how they come back."""
    stage, root, lock = os.environ.get("DVC_STAGE"), os.environ.get("DVC_ROOT"), Path("dvc.lock")
    here = root and Path(root).resolve() == Path.cwd()  # not in the copy of an experiment, which had none
    if stage and here and lock.exists() and f"\n  {stage}:\n" in lock.read_text():
        print(
            f"data/{stage}: DVC removed the earlier outputs before this run; with the earlier parameters and code "
            "`dvc repro` takes them from its cache again",
            file=sys.stderr,
        )


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _tell(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(_SAID, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


collect_rarely()
signal.signal(signal.SIGTERM, _interrupt)
sys.excepthook = _tell
