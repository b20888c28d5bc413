"""Which operations of ATen can be compiled: the table of all, by name.

To add one: its name in the table of its kind, and what it gives from the graph, shape and type of the result, and its
arguments. An argument is a node, a number, None, or a list of these.
"""

from attention.compiler.lowerings.elementwise import ELEMENTWISE
from attention.compiler.lowerings.out import Operation
from attention.compiler.lowerings.reductions import REDUCTIONS
from attention.compiler.lowerings.scans import SCANS
from attention.compiler.lowerings.tables import TABLES
from attention.compiler.lowerings.views import VIEWS

OPERATIONS: dict[str, Operation] = {**ELEMENTWISE, **VIEWS, **REDUCTIONS, **SCANS, **TABLES}
