"""Progress of a stage: a bar on a terminal, a line now and then elsewhere, and a signal for an editor."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

MOST_LINES = 40  # about a training
EVERY = 10.0  # seconds between two lines about a study

# In which DVC's extension for VS Code looks for how far an experiment is.
SIGNAL = ".dvc/tmp/exps/run/DVCLIVE_STEP_COMPLETED"
IN_EXPERIMENT = ("DVC_ROOT", "DVC_EXP_BASELINE_REV")  # DVC sets both for the stages of an experiment


class Progress:
    """Counts steps and tells of epochs."""

    def __init__(self, epochs: int, steps_per_epoch: int) -> None:
        self._epochs = epochs
        self._live = sys.stderr.isatty()
        self._bar = tqdm(
            total=epochs * steps_per_epoch, desc=f"epoch 1/{epochs}", unit=" steps", disable=not self._live, leave=False
        )

    def steps(self, count: int) -> None:
        """Count `count` more steps."""
        self._bar.update(count)

    def epoch(self, epoch: int, mse: float) -> None:
        """Tell the error of a finished epoch, counted from 0."""
        if self._live:
            self._bar.set_description(f"epoch {min(epoch + 2, self._epochs)}/{self._epochs}, MSE {mse:.3g}")
        every = -(-self._epochs // MOST_LINES)
        if epoch % every and epoch != self._epochs - 1:
            return
        line = f"epoch {epoch}: MSE = {mse:.7g}"
        if self._live:
            self._bar.write(line)
        else:
            print(line, flush=True)


@contextmanager
def progress(epochs: int, steps_per_epoch: int) -> Iterator[Progress]:
    """Show the progress of a training while it lasts."""
    shown = Progress(epochs, steps_per_epoch)
    try:
        yield shown
    finally:
        shown._bar.close()


class Count:
    """Counts the trainings of a study."""

    def __init__(self, total: int, reused: int) -> None:
        self._done, self._total, self._told = reused, total, time.monotonic()
        self._live = sys.stderr.isatty()
        self._bar = tqdm(
            total=total, initial=reused, desc="study", unit=" trainings", disable=not self._live, leave=False
        )
        if reused:
            tqdm.write(f"study: {reused:,} of {total:,} trainings reused from a study that did not end")

    def training(self) -> None:
        """Count one more."""
        self._done += 1
        self._bar.update()
        if not self._live and time.monotonic() - self._told > EVERY:
            self._told = time.monotonic()
            print(f"study: {self._done:,} of {self._total:,} trainings", flush=True)


@contextmanager
def count_trainings(total: int, reused: int) -> Iterator[Count]:
    """Show the progress of a study while it lasts, with rate and time left; tell how many trainings it need not do."""
    shown = Count(total, reused)
    try:
        yield shown
    finally:
        shown._bar.close()


@contextmanager
def live_signal() -> Iterator[Callable[[int], None]]:
    """Give a function to call after each epoch; outside of an experiment it does nothing.

    The file is in the real project, also when a queued experiment trains in a copy. It goes when the block ends; of two
    experiments that train at once the later words stand.
    """
    path = Path(os.environ.get("DVC_ROOT", ""), SIGNAL)
    inside = all(map(os.environ.get, IN_EXPERIMENT))

    def tell(epoch: int) -> None:
        if inside:
            with suppress(OSError):  # an editor that is not told loses nothing
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps({"pid": os.getpid(), "step": epoch}), encoding="utf-8", newline="\n")

    try:
        yield tell
    finally:
        with suppress(OSError, ValueError):
            if inside and json.loads(path.read_text(encoding="utf-8"))["pid"] == os.getpid():
                path.unlink()
