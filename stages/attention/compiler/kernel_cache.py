"""Compiled kernels are kept, so that a process need not compile what an earlier one did.

Numba's own cache goes by a module's path, so every copy of the project (each queued experiment runs in one) would
compile again; it looks at that module alone, not at those whose functions are compiled into it; a file cut short ends
in a traceback; and it numbers its files, so that two processes must not write at once. Here a file's name is the digest
of all that determines what is in it, so whoever writes one writes the same, and nobody waits for anybody.
"""

import functools
import hashlib
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from workbench.cache import cache_folder, keep, kept, own_folder

COMPILED = ("compiled_loop.py", "kernels.py", "kernel_arithmetic.py", "lanes.py")


@functools.cache
def _code() -> bytes:
    return b"".join(Path(__file__).with_name(name).read_bytes() for name in COMPILED)


def keep_compiled(function: Any, code: Callable[[], bytes] = _code) -> Any:
    """Keep what Numba compiles of a function under the digest of `code`: all the source that is compiled into it."""
    function._cache = _Kept(function.py_func, code)
    return function


class _Kept(_Cache):  # type: ignore[misc]
    """What Numba asks of a cache."""

    def __init__(self, function: Callable[..., Any], code: Callable[[], bytes]) -> None:
        self._name, self._code = function.__qualname__, code

    @property
    def cache_path(self) -> Path | None:
        """The folder."""
        elsewhere = os.environ.get("NUMBA_CACHE_DIR")
        return own_folder(Path(elsewhere)) if elsewhere else cache_folder()

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the function for arguments of these types, if it is kept."""
        target_context.refresh()
        data = kept(self._file(sig, target_context.codegen()), self.cache_path)
        # read_ours has seen that nobody else can have written it
        return CompileResult._rebuild(target_context, *pickle.loads(data)) if data else None  # noqa: S301

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep the function for arguments of these types."""
        keep(self._file(sig, data.codegen), self.cache_path, dumps(data._reduce()))

    def _file(self, signature: Any, codegen: Any) -> str:
        versions = numba.__version__, sys.version, self._name, signature, codegen.magic_tuple()
        return f"{hashlib.sha256(self._code() + repr(versions).encode()).hexdigest()[:32]}.kernel"

    def enable(self) -> None:
        """Nothing to do: it always is."""

    def disable(self) -> None:
        """Nothing to do: a file that is not whole is made anew."""

    def flush(self) -> None:
        """Nothing to do: other code has other files."""
