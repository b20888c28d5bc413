"""Which values get a place of their own, and which are written where they are used."""

from collections.abc import Sequence

from attention.compiler.graph import Node


def materialization(roots: Sequence[Node]) -> tuple[list[Node], set[Node]]:
    """Return the nodes that need a place before the roots can be written, operands first; and which are sparse.

    A sparse node is added to a table here and there, as is a sum with such a part: the gradient of a `take`. A part
    that is used once is added straight to the table of the whole.
    """
    order, uses = _reachable(roots)
    sparse: set[Node] = set()
    parts: set[Node] = set()
    for node in order:
        own = [x for x in node.operands if x in sparse and uses[x] == 1] if _is_sum(node) else []
        parts.update(own)
        if own or node.op == "put":
            sparse.add(node)
    written = parts | {node for node in sparse.intersection(roots) if uses[node] == 1}
    return [node for node in order if node not in written and (node in sparse or _is_kept(node, uses[node]))], sparse


def _is_kept(node: Node, uses: int) -> bool:
    return node.op in ("reduce", "reshape") or (node.op == "map" and (uses > 1 or node.size == 1))


def _is_sum(node: Node) -> bool:
    return node.op == "map" and node.detail == "add"


def _reachable(roots: Sequence[Node]) -> tuple[list[Node], dict[Node, int]]:
    """Return all nodes that the roots need, operands first; and how often each is read, views left out."""
    uses: dict[Node, int] = {}
    order: list[Node] = []

    def read(node: Node, times: int = 1) -> None:
        while node.op == "take":
            for index in node.operands[1:]:
                read(index, 2)  # each element may be read for many
            times = times + 1 if node.size > node.operands[0].size else times
            node = node.operands[0]
        known = node in uses
        uses[node] = uses.get(node, 0) + times
        if not known:
            for operand in node.operands:
                read(operand)
            order.append(node)

    for root in roots:
        read(root)
    return order, uses
