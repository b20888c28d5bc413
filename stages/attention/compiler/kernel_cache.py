"""Where compiled kernels are kept, so that a process need not compile what an earlier one did.

Numba finds its cache by a module's path, so every copy of the project (each queued experiment runs in one) would
compile again; and it looks at that module alone, not at those whose functions are compiled into it. Here the content of
all of them decides: the same code is the same cache entry, wherever it lies.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
from filelock import FileLock
from numba.core.caching import UserProvidedCacheLocator

from workbench.cache import cache_folder

T = TypeVar("T")

COMPILED = ("compiled_loop.py", "kernels.py", "kernel_arithmetic.py", "lanes.py")


class ContentLocator(UserProvidedCacheLocator):  # type: ignore[misc]
    """Tells Numba to cache a function under the digest of all compiled code."""

    def __init__(self, function: Any, file: str) -> None:
        super().__init__(function, file)
        code = b"".join(Path(file).with_name(name).read_bytes() for name in COMPILED)
        self._cache_path = str(Path(numba.config.CACHE_DIR) / hashlib.sha256(code).hexdigest()[:16])


def use_content_cache() -> None:
    """Make functions that are compiled after this call share one cache (to be called before they are decorated)."""
    numba.config.CACHE_DIR = os.environ.get("NUMBA_CACHE_DIR") or str(cache_folder())
    numba.config.CACHE_LOCATOR_CLASSES = f"{__name__}.{ContentLocator.__name__}"


def call_first(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function that may not be compiled yet, while nobody else compiles; it may be called more than once.

    Numba numbers its files by what it saw in the index; two processes that write at once could take the same number.
    A cache that cannot be written costs the time that it would have saved: what was compiled is in memory by then.
    """
    with suppress(OSError), FileLock(Path(numba.config.CACHE_DIR) / "compiling.lock"):
        return function(*arguments)
    with suppress(OSError):  # the lock itself could not be written
        return function(*arguments)
    return function(*arguments)
