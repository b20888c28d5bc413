"""The tasks: the one registry of what is to be learned, read by stages, network, study, tests and documentation.

To add your own: put a module with a mapping TASKS beside these; entry.py says what an entry of it holds.
"""

import pkgutil
from importlib import import_module

from attention.tasks.entry import Task

BUILT_IN = ("lookup", "recall", "successor", "caption", "neighbour", "biggest")  # the first in tables, in this order
_ROOM = ("entry", "problem", "columns", "cases", "examples")

_own = sorted({module.name for module in pkgutil.iter_modules(__path__)} - {*BUILT_IN, *_ROOM})
TASKS: dict[str, Task] = {
    name: task for module in (*BUILT_IN, *_own) for name, task in import_module(f"{__name__}.{module}").TASKS.items()
}
