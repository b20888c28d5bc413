"""Progress of long work: a bar on a terminal, a line every ten seconds elsewhere, and a signal for an editor.

A thread says it, so that work is told of that does not come back for long: torch is imported, an epoch takes minutes.
"""

import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tqdm import tqdm

MOST_LINES = 40  # about a training
EVERY = 10.0  # seconds between two lines, where there is no terminal

# In which DVC's extension for VS Code looks for how far an experiment is.
SIGNAL = ".dvc/tmp/exps/run/DVCLIVE_STEP_COMPLETED"
IN_EXPERIMENT = ("DVC_ROOT", "DVC_EXP_BASELINE_REV")  # DVC sets both for the stages of an experiment


class Progress:
    """Counts steps and tells of epochs."""

    def __init__(self, epochs: int, steps_per_epoch: int) -> None:
        self._epochs, self._steps_per_epoch = epochs, steps_per_epoch
        self._done, self._told = 0, time.monotonic()
        self._live = sys.stderr.isatty()
        self._bar = tqdm(
            total=epochs * steps_per_epoch, desc="starting", unit=" steps", disable=not self._live, leave=False
        )

    def steps(self, count: int) -> None:
        """Count `count` more steps."""
        if self._live and not self._done:
            self._bar.set_description(f"epoch 1/{self._epochs}")
        self._done += count
        self._bar.update(count)

    def tick(self) -> None:
        """Tell how far it is, where nothing was told for long."""
        self._bar.refresh()
        if not self._live and time.monotonic() - self._told >= EVERY:
            self._told = time.monotonic()
            epoch, step = divmod(self._done, self._steps_per_epoch)
            far = f"epoch {epoch}, {step:,} of {self._steps_per_epoch:,} steps" if self._done else "starting"
            print(f"train: {far}", flush=True)

    def epoch(self, epoch: int, name: str, error: float) -> None:
        """Tell the error of a finished epoch, counted from 0, by what it is called."""
        if self._live:
            self._bar.set_description(f"epoch {min(epoch + 2, self._epochs)}/{self._epochs}, {name} {error:.3g}")
        every = -(-self._epochs // MOST_LINES)
        if epoch % every and epoch != self._epochs - 1:
            return
        self._told, line = time.monotonic(), f"epoch {epoch}: {name} = {error:.7g}"
        if self._live:
            self._bar.write(line)
        else:
            print(line, flush=True)


@contextmanager
def progress(epochs: int, steps_per_epoch: int) -> Iterator[Progress]:
    """Show the progress of a training while it lasts."""
    shown = Progress(epochs, steps_per_epoch)
    try:
        with ticking(shown.tick):
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

    def tick(self) -> None:
        """Tell how many are done, where nothing was told for long."""
        self._bar.refresh()
        if not self._live and time.monotonic() - self._told >= EVERY:
            self._told = time.monotonic()
            print(f"study: {self._done:,} of {self._total:,} trainings", flush=True)


@contextmanager
def count_trainings(total: int, reused: int) -> Iterator[Count]:
    """Show the progress of a study while it lasts, with rate and time left; tell how many trainings it need not do."""
    shown = Count(total, reused)
    try:
        with ticking(shown.tick):
            yield shown
    finally:
        shown._bar.close()


@contextmanager
def doing(command: str) -> Iterator[Callable[[str], None]]:
    """Give a function that a command says with what it does now: shown on a terminal, elsewhere if it takes long."""
    live, now, told = sys.stderr.isatty(), "starting", time.monotonic()
    bar = tqdm(desc=f"{command}: {now}", bar_format="{desc} ({elapsed})", disable=not live, leave=False)

    def say(what: str) -> None:
        nonlocal now
        now = what
        if live:
            bar.set_description_str(f"{command}: {now}")

    def tick() -> None:
        nonlocal told
        bar.refresh()
        if not live and time.monotonic() - told >= EVERY:
            told = time.monotonic()
            print(f"{command}: {now}", file=sys.stderr, flush=True)

    try:
        with ticking(tick):
            yield say
    finally:
        bar.close()


@contextmanager
def ticking(tick: Callable[[], None]) -> Iterator[None]:
    """Call a function about once a second while the block lasts, whatever else is at work."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(min(1.0, EVERY)):
            tick()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


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
