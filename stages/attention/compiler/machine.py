"""From the text of a loop program to machine code: the restricted Python of `primitives`, by way of LLVM.

Strict IEEE arithmetic: no flag of fast mathematics, so LLVM neither fuses nor reorders an operation. A slice of literal
length is a vector; a call of a function of `primitives` is compiled in where it stands.
"""

import ast
import ctypes
import functools
import inspect
import operator
import os
import threading
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from attention.compiler import primitives

INT = ir.IntType(64)
TYPES: dict[str, Any] = {
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
    "int32": ir.IntType(32),
    "int64": INT,
    "bool8": ir.IntType(1),
}
CTYPES: dict[str, Any] = {"int64": ctypes.c_int64, "float64": ctypes.c_double}
STACK = 1 << 14  # bytes: larger arrays come from the heap, as a thread's stack is small
FLOAT_OPERATIONS = {ast.Add: "fadd", ast.Sub: "fsub", ast.Mult: "fmul", ast.Div: "fdiv"}
INT_OPERATIONS = {
    ast.Add: "add",
    ast.Sub: "sub",
    ast.Mult: "mul",
    ast.LShift: "shl",
    ast.RShift: "ashr",
    ast.FloorDiv: "sdiv",  # of numbers that are not negative
    ast.BitAnd: "and_",
    ast.BitOr: "or_",
    ast.BitXor: "xor",
}
NUMBER_OPERATIONS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}
COMPARISONS = {ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">=", ast.Eq: "==", ast.NotEq: "!="}


def processor() -> tuple[str, str]:
    """Return name and features of the processor to compile for: this one, or what COMPILER_CPU names."""
    named = os.environ.get("COMPILER_CPU")
    return (named, "") if named else (llvm.get_host_cpu_name(), llvm.get_host_cpu_features().flatten())


@functools.cache
def _target() -> Any:
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    name, features = processor()
    return llvm.Target.from_default_triple().create_target_machine(name, features, opt=3, jit=True)


def compile_program(text: str, name: str) -> bytes:
    """Return the object code of a program: one function, after the constant arrays that it reads."""
    target = _target()
    module = ir.Module("program")
    module.triple, module.data_layout = target.triple, str(target.target_data)
    statements: list[Any] = ast.parse(text).body
    *constants, function = statements
    known = {}
    for each in constants:
        known[each.targets[0].id] = _global(module, each)
    _Function(module, known, function, name)
    compiled = llvm.parse_assembly(str(module))
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    options.loop_vectorization = options.slp_vectorization = False  # the vectors are written out
    passes = llvm.create_pass_builder(target, options)
    passes.getModulePassManager().run(compiled, passes)
    code: bytes = target.emit_object(compiled)
    return code


def load_program(code: bytes, name: str, signature: list[str], hold: bool = False) -> Callable[..., None]:
    """Return a compiled function, which takes addresses and numbers; other threads run meanwhile, unless `hold`."""
    with _loading:
        engine = _engine()
        if name not in _loaded:
            engine.add_object_file(llvm.ObjectFileRef.from_data(code))
            engine.finalize_object()
            _loaded[name] = engine.get_function_address(name)
    kind = ctypes.PYFUNCTYPE if hold else ctypes.CFUNCTYPE
    return kind(None, *(CTYPES.get(each, ctypes.c_void_p) for each in signature))(_loaded[name])


_loading = threading.Lock()
_loaded: dict[str, int] = {}  # addresses: the code stays as long as the process


@functools.cache
def _engine() -> Any:
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), _target())


def _global(module: Any, assigned: Any) -> "_Buffer":
    """Place `name = array([...], kind)`."""
    numbers, kind = assigned.value.args
    values, stored = ast.literal_eval(numbers), _stored(TYPES[kind.id])
    of = ir.ArrayType(stored, len(values))
    variable = ir.GlobalVariable(module, of, assigned.targets[0].id)
    variable.global_constant, variable.linkage = True, "internal"
    variable.initializer = ir.Constant(of, [_constant(stored, value) for value in values])
    return _Buffer(variable, TYPES[kind.id])


def _stored(kind: Any) -> Any:
    return ir.IntType(8) if kind == TYPES["bool8"] else kind


def _constant(kind: Any, value: float) -> Any:
    if isinstance(kind, ir.VectorType):
        return ir.Constant(kind, [_constant(kind.element, value)] * kind.count)
    if isinstance(kind, ir.FloatType):
        with np.errstate(over="ignore"):
            return ir.Constant(kind, float(np.float32(value)))
    return ir.Constant(kind, float(value) if isinstance(kind, ir.DoubleType) else int(value))


class _Buffer:
    def __init__(self, pointer: Any, kind: Any) -> None:
        self.pointer, self.kind = pointer, kind


class _Function:
    """One function on its way to LLVM: names are buffers, constants, or variables in memory that LLVM promotes."""

    def __init__(self, module: Any, known: dict[str, Any], function: Any, name: str) -> None:
        kinds = [ast.literal_eval(argument.annotation) for argument in function.args.args]
        signature = [TYPES[kind] if kind in TYPES else ir.PointerType() for kind in kinds]
        made = ir.Function(module, ir.FunctionType(ir.VoidType(), signature), name)
        self.entry = ir.IRBuilder(made.append_basic_block("entry"))
        self.builder = ir.IRBuilder(made.append_basic_block("start"))
        self.names = dict(known)
        self.heap: list[Any] = []
        self.inside = 0
        self.module = module
        for argument, value, kind in zip(function.args.args, made.args, kinds, strict=True):
            if kind in TYPES:
                self.store(argument.arg, value)
            else:
                value.add_attribute("noalias")
                self.names[argument.arg] = _Buffer(value, TYPES[kind.removesuffix("[:]")])
        self.statements(function.body)
        if self.heap:
            free = ir.Function(module, ir.FunctionType(ir.VoidType(), [ir.PointerType()]), "free")
            for pointer in self.heap:
                self.builder.call(free, [pointer])
        self.builder.ret_void()
        self.entry.branch(made.basic_blocks[1])

    # Statements.

    def statements(self, body: list[Any]) -> None:
        for each in body:
            getattr(self, f"do_{type(each).__name__}")(each)

    def do_Expr(self, _: ast.Expr) -> None:
        """Skip a docstring."""

    def do_Assign(self, each: Any) -> None:
        target: Any = each.targets[0]
        if isinstance(each.targets[0], ast.Subscript):
            pointer, kind = self.place(target)
            value = self.as_kind(self.value(each.value), kind)
            if getattr(kind, "element", kind) == TYPES["bool8"]:
                value = self.builder.zext(value, _of_width(ir.IntType(8), kind))
            self.builder.store(value, pointer, align=_alignment(kind))
            return
        made: Any = each.value
        if isinstance(each.value, ast.Call) and made.func.id == "empty":
            count, of = made.args
            self.names[target.id] = self.buffer(ast.literal_eval(count), TYPES[of.id])
            return
        self.store(target.id, self.value(each.value))

    def do_For(self, each: Any) -> None:
        numbers = [self.as_kind(self.value(argument), INT) for argument in each.iter.args]
        zero, one = ir.Constant(INT, 0), ir.Constant(INT, 1)
        first, last, step = {1: [zero, *numbers, one], 2: [*numbers, one], 3: numbers}[len(numbers)]
        function, builder = self.builder.function, self.builder
        test, body, after = (function.append_basic_block(name) for name in ("test", "body", "after"))
        name = each.target.id
        self.store(name, first)
        builder.branch(test)
        builder.position_at_end(test)
        builder.cbranch(builder.icmp_signed("<", self.load(name), last), body, after)
        builder.position_at_end(body)
        self.statements(each.body)
        self.store(name, builder.add(self.load(name), step, flags=["nsw"]))
        builder.branch(test)
        builder.position_at_end(after)

    def do_If(self, each: Any) -> None:
        with self.builder.if_then(self.value(each.test)):
            self.statements(each.body)

    def store(self, name: str, value: Any) -> None:
        if self.inside:  # a function of `primitives` has no loops: a name is what was assigned last
            self.names[name] = value
            return
        if isinstance(value, int | float):
            value = _constant(INT if isinstance(value, int) else TYPES["float64"], value)
        if name not in self.names or self.names[name].kind != value.type:
            self.names[name] = _Buffer(self.entry.alloca(value.type), value.type)
        self.builder.store(value, self.names[name].pointer)

    def load(self, name: str) -> Any:
        found = self.names[name]
        return self.builder.load(found.pointer, typ=found.kind) if isinstance(found, _Buffer) else found

    def buffer(self, count: int, kind: Any) -> _Buffer:
        stored = _stored(kind)
        if count * 8 <= STACK:
            space = self.entry.alloca(ir.ArrayType(stored, count))
            space.type = ir.PointerType()  # llvmlite's own would be that of the whole array
            return _Buffer(space, kind)
        allocate = self.module.globals.get("malloc") or ir.Function(
            self.module, ir.FunctionType(ir.PointerType(), [INT]), "malloc"
        )
        self.heap.append(self.entry.call(allocate, [ir.Constant(INT, count * 8)]))
        return _Buffer(self.heap[-1], kind)

    # Expressions: a value of LLVM, or a Python number, which takes the type of what it meets.

    def value(self, each: Any) -> Any:
        return getattr(self, f"of_{type(each).__name__}")(each)

    def of_Constant(self, each: Any) -> Any:
        return each.value

    def of_Name(self, each: Any) -> Any:
        return self.load(each.id)

    def of_Subscript(self, each: Any) -> Any:
        pointer, kind = self.place(each)
        step: Any = each.slice.step if isinstance(each.slice, ast.Slice) else None
        if step is None:
            stored = _of_width(_stored(getattr(kind, "element", kind)), kind)
            value = self.builder.load(pointer, typ=stored, align=_alignment(kind))
        else:
            value = ir.Constant(_of_width(_stored(kind.element), kind), ir.Undefined)
            for lane in range(kind.count):
                at = self.builder.gep(
                    pointer, [ir.Constant(INT, lane * step.value)], True, source_etype=_stored(kind.element)
                )
                one = self.builder.load(at, typ=_stored(kind.element))
                value = self.builder.insert_element(value, one, ir.Constant(INT, lane))
        if getattr(kind, "element", kind) == TYPES["bool8"]:
            value = self.builder.trunc(value, kind)
        return value

    def of_BinOp(self, each: Any) -> Any:
        left, right = self.value(each.left), self.value(each.right)
        if isinstance(left, int | float) and isinstance(right, int | float):
            return NUMBER_OPERATIONS[type(each.op)](left, right)
        left, right = self.alike(left, right)
        table = FLOAT_OPERATIONS if _is_float(left.type) else INT_OPERATIONS
        return getattr(self.builder, table[type(each.op)])(left, right)

    def of_UnaryOp(self, each: Any) -> Any:
        value = self.value(each.operand)
        if isinstance(value, int | float):
            return -value
        if isinstance(each.op, ast.Invert):
            return self.builder.not_(value)
        return self.builder.fneg(value) if _is_float(value.type) else self.builder.neg(value)

    def of_Compare(self, each: Any) -> Any:
        left, right = self.alike(self.value(each.left), self.value(each.comparators[0]))
        sign = COMPARISONS[type(each.ops[0])]
        if not _is_float(left.type):
            return self.builder.icmp_signed(sign, left, right)
        return (self.builder.fcmp_unordered if sign == "!=" else self.builder.fcmp_ordered)(sign, left, right)

    def of_Call(self, each: Any) -> Any:
        name = each.func.id
        word = getattr(self, f"call_{name}", None)
        return word(*each.args) if word else self.inlined(name, [self.value(argument) for argument in each.args])

    def inlined(self, name: str, arguments: list[Any]) -> Any:
        """Translate the body of a function of `primitives`, in the place of its call."""
        parameters, body = _definition(name)
        outer, self.names = self.names, dict(zip(parameters, arguments, strict=True))
        self.inside += 1
        self.statements(body[:-1])
        value = self.value(body[-1].value)
        self.names, self.inside = outer, self.inside - 1
        return value

    def call_where(self, condition: Any, yes: Any, no: Any) -> Any:
        test = self.value(condition)
        left, right = self.alike(self.value(yes), self.value(no))
        wide = max((test, left), key=lambda value: getattr(value.type, "count", 1)).type
        left, right = (
            self.as_kind(value, _of_width(getattr(value.type, "element", value.type), wide)) for value in (left, right)
        )
        return self.builder.select(self.as_kind(test, _of_width(TYPES["bool8"], wide)), left, right)

    def call_convert(self, number: Any, kind: Any) -> Any:
        value, target = self.value(number), TYPES[kind.id]
        if isinstance(value, int | float):
            return _constant(target, value)
        target = _of_width(target, value.type)
        came, goes = getattr(value.type, "element", value.type), TYPES[kind.id]
        if came == goes:
            return value
        if goes == TYPES["bool8"]:
            return (self.builder.fcmp_unordered if _is_float(came) else self.builder.icmp_signed)(
                "!=", value, _constant(value.type, 0)
            )
        if _is_float(came) and _is_float(goes):
            return (self.builder.fpext if isinstance(goes, ir.DoubleType) else self.builder.fptrunc)(value, target)
        if _is_float(came):
            return self.saturated(value, target)
        if _is_float(goes):
            return (self.builder.uitofp if came == TYPES["bool8"] else self.builder.sitofp)(value, target)
        if came.width > goes.width:
            return self.builder.trunc(value, target)
        return (self.builder.zext if came == TYPES["bool8"] else self.builder.sext)(value, target)

    def saturated(self, value: Any, target: Any) -> Any:
        """Convert to whole numbers: beyond them to the farthest, where the bare instruction is undefined."""
        name = f"llvm.fptosi.sat.{_suffix(target)}.{_suffix(value.type)}"
        return self.builder.call(self.intrinsic(name, target, value.type), [value])

    def call_bits(self, number: Any) -> Any:
        value = self.value(number)
        single = isinstance(getattr(value.type, "element", value.type), ir.FloatType)
        return self.builder.bitcast(value, _of_width(TYPES["int32" if single else "int64"], value.type))

    def call_from_bits(self, number: Any) -> Any:
        value = self.value(number)
        single = getattr(value.type, "element", value.type) == TYPES["int32"]
        return self.builder.bitcast(value, _of_width(TYPES["float32" if single else "float64"], value.type))

    def call_sqrt(self, number: Any) -> Any:
        return self.unary("sqrt", self.value(number))

    def call_abs(self, number: Any) -> Any:
        value = self.value(number)
        if _is_float(value.type):
            return self.unary("fabs", value)
        return self.builder.select(
            self.builder.icmp_signed("<", value, _constant(value.type, 0)), self.builder.neg(value), value
        )

    def call_fill(self, width: Any, number: Any, kind: Any) -> Any:
        return self.as_kind(self.value(number), ir.VectorType(TYPES[kind.id], width.value))

    def call_total(self, vector: Any) -> Any:
        return self.halved(
            self.value(vector), lambda x, y: (self.builder.fadd if _is_float(x.type) else self.builder.add)(x, y)
        )

    def call_largest(self, vector: Any) -> Any:
        return self.halved(self.value(vector), lambda x, y: self.inlined("larger", [x, y]))

    def call_smallest(self, vector: Any) -> Any:
        return self.halved(self.value(vector), lambda x, y: self.inlined("smaller", [x, y]))

    def halved(self, value: Any, combine: Callable[[Any, Any], Any]) -> Any:
        while value.type.count > 1:
            half = value.type.count // 2
            value = combine(
                *(
                    self.builder.shuffle_vector(
                        value, value, ir.Constant(ir.VectorType(TYPES["int32"], half), list(range(first, first + half)))
                    )
                    for first in (0, half)
                )
            )
        return self.builder.extract_element(value, ir.Constant(INT, 0))

    # Types and places.

    def unary(self, name: str, value: Any) -> Any:
        return self.builder.call(self.intrinsic(f"llvm.{name}.{_suffix(value.type)}", value.type, value.type), [value])

    def intrinsic(self, name: str, result: Any, argument: Any) -> Any:
        return self.module.globals.get(name) or ir.Function(self.module, ir.FunctionType(result, [argument]), name)

    def alike(self, left: Any, right: Any) -> tuple[Any, Any]:
        """Give two operands one type: numbers take the other's, scalars are repeated beside a vector."""
        if isinstance(left, int | float) and isinstance(right, int | float):
            kind = INT if isinstance(left, int) and isinstance(right, int) else TYPES["float64"]
            return _constant(kind, left), _constant(kind, right)
        if isinstance(left, int | float):
            return _constant(right.type, left), right
        if isinstance(right, int | float):
            return left, _constant(left.type, right)
        wide = max((left, right), key=lambda value: getattr(value.type, "count", 1)).type
        return self.as_kind(left, wide), self.as_kind(right, wide)

    def as_kind(self, value: Any, kind: Any) -> Any:
        if isinstance(value, int | float):
            return _constant(kind, value)
        if not isinstance(kind, ir.VectorType) or isinstance(value.type, ir.VectorType):
            return value
        one = self.builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(INT, 0))
        mask = ir.Constant(ir.VectorType(TYPES["int32"], kind.count), [0] * kind.count)
        return self.builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), mask)

    def place(self, each: Any) -> tuple[Any, Any]:
        """Return the address of an element or a slice `b[e : e + 8]`, `b[e : e + 24 : 3]`, and its type."""
        buffer = self.names[each.value.id]
        start: Any = each.slice
        kind = buffer.kind
        if isinstance(each.slice, ast.Slice):
            step = start.step.value if start.step else 1
            kind = ir.VectorType(kind, _length(start) // step)
            start = start.lower
        index = self.as_kind(self.value(start), INT)
        return self.builder.gep(buffer.pointer, [index], True, source_etype=_stored(buffer.kind)), kind


@functools.cache
def _definition(name: str) -> tuple[list[str], list[Any]]:
    function: Any = ast.parse(inspect.getsource(getattr(primitives, name))).body[0]
    return [argument.arg for argument in function.args.args], function.body


def _length(part: Any) -> int:
    """Return how many elements lie between the ends of `e : e + 8` or `0 : 8`."""
    if isinstance(part.upper, ast.Constant):
        return int(part.upper.value - part.lower.value)
    return int(part.upper.right.value)


def _is_float(kind: Any) -> bool:
    return isinstance(getattr(kind, "element", kind), ir.FloatType | ir.DoubleType)


def _of_width(kind: Any, like: Any) -> Any:
    return ir.VectorType(kind, like.count) if isinstance(like, ir.VectorType) else kind


def _alignment(kind: Any) -> int:
    element = getattr(kind, "element", kind)
    return 1 if element == TYPES["bool8"] else 4 if element in (TYPES["float32"], TYPES["int32"]) else 8


def _suffix(kind: Any) -> str:
    element = getattr(kind, "element", kind)
    name = {ir.FloatType(): "f32", ir.DoubleType(): "f64"}.get(element) or f"i{element.width}"
    return f"v{kind.count}{name}" if isinstance(kind, ir.VectorType) else name
