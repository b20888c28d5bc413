"""Python's search for garbage, mostly in vain: what the libraries make as they are imported lives until the end."""

import atexit
import gc


def collect_rarely() -> None:
    """Look for garbage after 50,000 new objects instead of 700, rarely among older ones, and at the end not at all."""
    gc.set_threshold(50_000, 50, 100)
    atexit.register(gc.freeze)
