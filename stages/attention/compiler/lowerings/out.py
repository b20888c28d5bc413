"""What an operation gives, and how it is made of nodes."""

from collections.abc import Callable
from typing import Any, NamedTuple

from attention.compiler.graph import Graph, Node, Shape


class Out(NamedTuple):
    """What the operation gives."""

    graph: Graph
    shape: Shape
    kind: str

    def number(self, x: Any, kind: str = "") -> Node:
        """Return a node or a number in a type: that of the result."""
        kind = kind or self.kind
        return self.graph.to(x, kind) if isinstance(x, Node) else self.graph.constant(x, (), kind)

    def map(self, op: str, *operands: Any, kind: str = "") -> Node:
        """Apply an operation to operands in one type, and give the result's."""
        nodes = [self.number(x, kind) for x in operands]
        return self.graph.map(op, *nodes)

    def function(self, name: str, x: Any) -> Node:
        """Apply a function of mathematics, of which there is one for each precision."""
        return self.map(name + "64" * (self.kind == "float64"), x)


Operation = Callable[..., Any]
