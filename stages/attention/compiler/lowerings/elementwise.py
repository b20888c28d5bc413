"""Operations element by element."""

from typing import Any

import numpy as np

from attention.compiler.graph import Node
from attention.compiler.lowerings.out import Operation, Out


def _map(op: str) -> Operation:
    return lambda out, *operands, **_: out.map(op, *operands)


def _function(name: str) -> Operation:
    return lambda out, x, **_: out.function(name, x)


def _compare(op: str) -> Operation:
    return lambda out, *operands, **_: out.map(op, *operands, kind=_common(*operands))


def _common(*operands: Any) -> str:
    kinds = [np.bool_ if x.kind == "bool8" else np.dtype(x.kind) for x in operands if isinstance(x, Node)]
    found = str(np.result_type(*kinds))
    fraction = any(isinstance(x, float) for x in operands)
    return "float32" if fraction and not found.startswith("float") else "bool8" if found == "bool" else found


def _scaled(op: str) -> Operation:
    def apply(out: Out, x: Any, y: Any, alpha: float = 1, **_: Any) -> Node:
        return out.map(op, x, y if alpha == 1 else out.map("mul", y, alpha))

    return apply


def _power(out: Out, x: Any, y: Any) -> Node:
    power = y if not isinstance(y, Node) else y.uniform
    if power is None or power != int(power) or abs(power) > 16:
        if power == 0.5:
            return out.map("sqrt", x)
        return out.function("exp", out.map("mul", y, out.function("log", x)))
    result = out.number(1)
    for _ in range(abs(int(power))):
        result = out.map("mul", result, x)
    return result if power >= 0 else out.map("div", 1, result)


def _clamp(out: Out, x: Node, low: Any = None, high: Any = None) -> Node:
    for bound, beyond in ((low, "lt"), (high, "gt")):
        if bound is not None:
            x = out.graph.map("where", out.map(beyond, x, bound), out.number(bound), out.number(x))
    return x


def _expm1(out: Out, x: Node) -> Node:
    t = out.function("tanh", out.map("div", x, 2))  # near 0 without loss of digits: 2 t / (1 - t)
    near = out.map("div", out.map("mul", t, 2), out.map("sub", 1, t))
    far = out.map("sub", out.function("exp", x), 1)
    return out.graph.map("where", out.map("gt", out.map("abs", x), 0.5), far, near)


def _log1p(out: Out, x: Node) -> Node:
    u = out.map("add", x, 1)
    d = out.map("sub", u, 1)  # what rounding left of x
    near = out.map("mul", out.function("log", u), out.map("div", x, d))
    return out.graph.map("where", out.map("eq", d, 0), out.number(x), near)


def _where(out: Out, condition: Node, x: Any, y: Any) -> Node:
    return out.graph.map("where", condition, out.number(x), out.number(y))


def _sign(out: Out, x: Node) -> Node:
    return out.map("sub", out.graph.to(out.map("gt", x, 0), out.kind), out.graph.to(out.map("lt", x, 0), out.kind))


ELEMENTWISE: dict[str, Operation] = {
    **{name: _function(name) for name in ("exp", "log", "tanh")},
    **{name: _map(name) for name in ("mul", "div", "neg", "sqrt", "abs")},
    **{name: _compare(name) for name in ("lt", "le", "gt", "ge", "eq", "ne")},
    "add": _scaled("add"),
    "sub": _scaled("sub"),
    "reciprocal": lambda out, x: out.map("div", 1, x),
    "sigmoid": lambda out, x: out.map("div", 1, out.map("add", 1, out.function("exp", out.map("neg", x)))),
    "rsqrt": lambda out, x: out.map("div", 1, out.map("sqrt", x)),
    "relu": lambda out, x: _clamp(out, x, 0),
    "clamp": _clamp,
    "maximum": _map("larger"),
    "minimum": _map("smaller"),
    "pow": _power,
    "sign": _sign,
    "expm1": _expm1,
    "log1p": _log1p,
    "where": _where,
    "logical_not": lambda out, x: out.graph.map("not", out.number(x)),
    "bitwise_not": _map("not"),
    **{f"{kind}_{name}": _map(name) for kind in ("logical", "bitwise") for name in ("and", "or")},
}
