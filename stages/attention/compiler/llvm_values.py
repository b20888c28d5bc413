"""The numbers and arrays of a program that is being compiled: what is done to them writes instructions of LLVM."""

from typing import Any

from llvmlite import ir

from attention.compiler.llvm_types import (
    BOOL,
    INT,
    INT32,
    TYPES,
    constant,
    element,
    is_float,
    of_width,
    shuffle,
    stored,
    suffix,
)

OPERATORS = {  # of Python: what it is of floats, and of integers
    "add": ("fadd", "add"),
    "sub": ("fsub", "sub"),
    "mul": ("fmul", "mul"),
    "truediv": ("fdiv", ""),
    "floordiv": ("", "sdiv"),  # of numbers that are not negative
    "lshift": ("", "shl"),
    "rshift": ("", "ashr"),
    "and": ("", "and_"),
    "or": ("", "or_"),
    "xor": ("", "xor"),
}
COMPARISONS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "eq": "==", "ne": "!="}


class Value:
    """A number of the program, or a vector of numbers: its operators write what it takes part in."""

    def __init__(self, builder: ir.IRBuilder, value: Any, plus: int = 0) -> None:
        self.builder, self.ir = builder, value
        self.plus = plus  # the number of Python that was added to another value, if it was made so

    @property
    def kind(self) -> Any:
        """The type of an element."""
        return element(self.ir.type)

    def apply(self, names: tuple[str, str], left: Any, right: Any) -> "Value":
        """Write the instruction of an operator: of floats the first of the names, of integers the second."""
        x, y = alike(self.builder, left, right)
        found = getattr(self.builder, names[0] if is_float(x.type) else names[1])(x, y)
        return Value(self.builder, found, right if isinstance(right, int) else 0)

    def compare(self, sign: str, other: Any) -> "Value":
        """Write a comparison; with NaN only != is true."""
        x, y = alike(self.builder, self, other)
        of_floats = self.builder.fcmp_unordered if sign == "!=" else self.builder.fcmp_ordered
        return Value(self.builder, (of_floats if is_float(x.type) else self.builder.icmp_signed)(sign, x, y))

    def __neg__(self) -> "Value":
        return Value(self.builder, (self.builder.fneg if is_float(self.ir.type) else self.builder.neg)(self.ir))

    def __invert__(self) -> "Value":
        return Value(self.builder, self.builder.not_(self.ir))

    def __abs__(self) -> "Value":
        if is_float(self.ir.type):
            return unary(self.builder, "fabs", self)
        return where(self.builder, self.compare("<", 0), -self, self)

    def __len__(self) -> int:
        return int(self.ir.type.count)

    def __getitem__(self, at: int | slice) -> "Value":
        if isinstance(at, int):
            return Value(self.builder, self.builder.extract_element(self.ir, ir.Constant(INT, at)))
        return Value(self.builder, self.builder.shuffle_vector(self.ir, self.ir, shuffle(range(len(self))[at])))


for _name, _names in OPERATORS.items():
    setattr(Value, f"__{_name}__", lambda x, y, names=_names: x.apply(names, x, y))
    setattr(Value, f"__r{_name}__", lambda x, y, names=_names: x.apply(names, y, x))
for _name, _sign in COMPARISONS.items():
    setattr(Value, f"__{_name}__", lambda x, y, sign=_sign: x.compare(sign, y))


class Buffer:
    """An array, of which elements, and slices of literal length, are loaded and stored."""

    def __init__(self, builder: ir.IRBuilder, pointer: Any, kind: Any) -> None:
        self.builder, self.pointer, self.kind, self.stored = builder, pointer, kind, stored(kind)

    def __getitem__(self, at: Any) -> Value:
        pointer, kind, step = self._place(at)
        write, held = self.builder, of_width(self.stored, kind)
        if step == 1:
            value = write.load(pointer, typ=held, align=self._alignment)
        else:
            value = ir.Constant(held, ir.Undefined)
            for lane in range(kind.count):
                place = write.gep(pointer, [ir.Constant(INT, lane * step)], True, source_etype=self.stored)
                value = write.insert_element(value, write.load(place, typ=self.stored), ir.Constant(INT, lane))
        return Value(self.builder, write.trunc(value, kind) if self.kind == BOOL else value)

    def __setitem__(self, at: Any, number: Any) -> None:
        pointer, kind, _ = self._place(at)
        value = of_type(self.builder, number, kind)
        if self.kind == BOOL:
            value = self.builder.zext(value, of_width(self.stored, kind))
        self.builder.store(value, pointer, align=self._alignment)

    def _place(self, at: Any) -> tuple[Any, Any, int]:
        """Return the address of `b[e]`, `b[e : e + 8]` or `b[e : e + 24 : 3]`, its type, and the step."""
        kind, step = self.kind, 1
        if isinstance(at, slice):
            step = at.step or 1
            length = at.stop.plus if isinstance(at.stop, Value) else at.stop - at.start
            kind, at = ir.VectorType(kind, length // step), at.start
        index = [of_type(self.builder, at, INT)]
        return self.builder.gep(self.pointer, index, True, source_etype=self.stored), kind, step

    @property
    def _alignment(self) -> int:
        return 1 if self.kind == BOOL else 4 if self.kind in (TYPES["float32"], INT32) else 8


def unary(builder: ir.IRBuilder, name: str, number: Value) -> Value:
    """Apply an intrinsic of LLVM that gives what it takes."""
    kind = number.ir.type
    return Value(builder, call(builder, f"llvm.{name}.{suffix(kind)}", kind, number.ir))


def call(builder: ir.IRBuilder, name: str, result: Any, argument: Any) -> Any:
    """Call a function that LLVM knows, or the C library's `malloc` and `free`."""
    module, kind = builder.module, ir.FunctionType(result, [argument.type])
    return builder.call(module.globals.get(name) or ir.Function(module, kind, name), [argument])


def where(builder: ir.IRBuilder, condition: Value, yes: Any, no: Any) -> Value:
    """Choose element by element."""
    left, right = alike(builder, yes, no)
    test = condition.ir
    wide = left.type if hasattr(left.type, "count") else test.type
    left, right = (of_type(builder, each, of_width(element(each.type), wide)) for each in (left, right))
    return Value(builder, builder.select(of_type(builder, test, of_width(BOOL, wide)), left, right))


def alike(builder: ir.IRBuilder, *operands: Any) -> list[Any]:
    """Give operands one type: numbers of Python take that of the values, scalars are repeated beside a vector."""
    types = [each.ir.type for each in operands if isinstance(each, Value)]
    wide = max(types or [INT], key=lambda kind: getattr(kind, "count", 1))
    return [of_type(builder, each, wide) for each in operands]


def of_type(builder: ir.IRBuilder, number: Any, kind: Any) -> Any:
    """Return a number of Python in a type; a value as it is, or repeated, where the type is that of a vector."""
    if isinstance(number, int | float):
        return constant(kind, number)
    value = number.ir if isinstance(number, Value) else number
    if not isinstance(kind, ir.VectorType) or isinstance(value.type, ir.VectorType):
        return value
    nothing = ir.Constant(kind, ir.Undefined)
    one = builder.insert_element(nothing, value, ir.Constant(INT, 0))
    return builder.shuffle_vector(one, nothing, shuffle([0] * kind.count))
