"""The laboratory for attention functions, on the workbench; in Python: `from attention import run, study, runs`."""

from importlib import import_module
from typing import Any

__all__ = ["run", "runs", "study"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(import_module("attention.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
