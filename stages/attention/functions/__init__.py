"""The attention functions, in torch: the one registry that model, engines, tests and documentation read.

To add your own: put a module with a mapping FUNCTIONS beside these; entry.py says what an entry of it holds.

In the equations: E, q, k and other letters are learned, E[q,k] a score for a query and a key, q and k_j the rows of a
query and of the key at position j; τ temperature, d width, D window.
"""

import pkgutil
from importlib import import_module

from attention.functions.check import checked_entries
from attention.functions.entry import AttentionFunction, Option

FAMILIES = ("table", "location", "content", "linear", "memory")  # the first in tables and pictures, in this order
PARTS = ("check", "entry", "features", "normalizers")  # what the families are made with

_own = sorted({module.name for module in pkgutil.iter_modules(__path__)} - {*FAMILIES, *PARTS})
ATTENTION_FUNCTIONS: dict[str, AttentionFunction] = {
    name: entry for family in FAMILIES for name, entry in import_module(f"{__name__}.{family}").FUNCTIONS.items()
}
for _module in _own:
    ATTENTION_FUNCTIONS |= checked_entries(f"{__name__}.{_module}", ATTENTION_FUNCTIONS)
OPTIONS: dict[str, tuple[Option, ...]] = {  # by name: as each function that has it declares it
    name: tuple(function.options[name] for function in ATTENTION_FUNCTIONS.values() if name in function.options)
    for name in dict.fromkeys(name for function in ATTENTION_FUNCTIONS.values() for name in function.options)
}
