"""From the text of a loop program to machine code: Python runs the text once, with words that write LLVM's.

As torch is traced, so is the program: its numbers are values of LLVM, whose operators write instructions, and the body
of a loop, which `range` opens and closes, runs once. Strict IEEE arithmetic: no flag of fast mathematics, so LLVM
neither fuses nor reorders an operation. A slice of literal length is a vector.
"""

import ctypes
import functools
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from types import FunctionType
from typing import Any

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir

from attention.compiler import primitives

INT, POINTER = ir.IntType(64), ir.PointerType()
TYPES: dict[str, Any] = {
    "float32": ir.FloatType(),
    "float64": ir.DoubleType(),
    "int32": ir.IntType(32),
    "int64": INT,
    "bool8": ir.IntType(1),
}
BOOL, INT32 = TYPES["bool8"], TYPES["int32"]
CTYPES: dict[str, Any] = {"int64": ctypes.c_int64, "float64": ctypes.c_double}
LINE = 64  # bytes of a cache line: no vector of an array lies in two
STACK = 1 << 14  # bytes: larger arrays come from the heap, as a thread's stack is small
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
    compiled = llvm.parse_assembly(str(_Writer(text, name).module))
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


class _Writer:
    """Runs a program, whose words are these methods, and the functions of `primitives` in the same words."""

    def __init__(self, text: str, name: str) -> None:
        self.module = ir.Module("program")
        self.module.triple, self.module.data_layout = _target().triple, str(_target().target_data)
        words: dict[str, Any] = {"__builtins__": {}, "abs": abs, "len": len}
        for word, meaning in vars(primitives).items():
            if isinstance(meaning, FunctionType):
                words[word] = FunctionType(meaning.__code__, words)
        own = ("array", "bits", "convert", "empty", "fill", "from_bits", "range", "sqrt", "where")
        words |= {**TYPES, **{word: getattr(self, word) for word in own}}
        exec(text, words)  # noqa: S102 - a text of this compiler
        program = words["program"]
        kinds = list(program.__annotations__.values())
        signature = ir.FunctionType(ir.VoidType(), [TYPES.get(kind, POINTER) for kind in kinds])
        made = ir.Function(self.module, signature, name)
        self.builder = ir.IRBuilder(made.append_basic_block("start"))
        self.heap: list[Any] = []
        arguments: list[Any] = []
        for kind, value in zip(kinds, made.args, strict=True):
            if kind not in TYPES:
                value.add_attribute("noalias")
            of = TYPES[kind.removesuffix("[:]")]
            arguments.append(_Value(self, value) if kind in TYPES else _Buffer(self, value, of))
        program(*arguments)
        for pointer in self.heap:
            self.called("free", ir.VoidType(), pointer)
        self.builder.ret_void()

    # The words.

    def range(self, *bounds: Any) -> "Iterator[_Value]":
        whole = {1: (0, *bounds, 1), 2: (*bounds, 1), 3: bounds}[len(bounds)]
        first, last, step = (self.of_type(each, INT) for each in whole)
        builder, before = self.builder, self.builder.block
        test, body, after = (builder.function.append_basic_block(name) for name in ("test", "body", "after"))
        builder.branch(test)
        builder.position_at_end(test)
        index = builder.phi(INT)
        index.add_incoming(first, before)
        builder.cbranch(builder.icmp_signed("<", index, last), body, after)
        builder.position_at_end(body)
        yield _Value(self, index)
        index.add_incoming(builder.add(index, step, flags=["nsw"]), builder.block)
        builder.branch(test)
        builder.position_at_end(after)

    def array(self, numbers: Sequence[Any], kind: Any) -> "_Buffer":
        of = ir.ArrayType(_stored(kind), len(numbers))
        variable = ir.GlobalVariable(self.module, of, self.module.get_unique_name("numbers"))
        variable.global_constant, variable.linkage = True, "internal"
        variable.initializer = ir.Constant(of, [_constant(of.element, number) for number in numbers])
        return _Buffer(self, variable, kind)

    def empty(self, count: int, kind: Any) -> "_Buffer":
        if count * 8 > STACK:
            self.heap.append(self.called("malloc", POINTER, ir.Constant(INT, count * 8 + LINE)))
            address = self.builder.add(self.builder.ptrtoint(self.heap[-1], INT), ir.Constant(INT, LINE - 1))
            aligned = self.builder.and_(address, ir.Constant(INT, -LINE))
            return _Buffer(self, self.builder.inttoptr(aligned, POINTER), kind)
        space = self.builder.alloca(ir.ArrayType(_stored(kind), count))
        space.align = LINE
        space.type = POINTER  # llvmlite's own would be that of the whole array
        return _Buffer(self, space, kind)

    def where(self, condition: Any, yes: Any, no: Any) -> "_Value":
        left, right = self.alike(yes, no)
        test = condition.ir
        wide = left.type if hasattr(left.type, "count") else test.type
        left, right = (self.of_type(each, _of_width(_element(each.type), wide)) for each in (left, right))
        return _Value(self, self.builder.select(self.of_type(test, _of_width(BOOL, wide)), left, right))

    def convert(self, number: Any, kind: Any) -> "_Value":
        if not isinstance(number, _Value):
            return _Value(self, _constant(kind, number))
        value, came, write = number.ir, number.kind, self.builder
        if came == kind:
            return number
        if kind == BOOL:
            return number.compare("!=", 0)
        target = _of_width(kind, value.type)
        match _is_float(came), _is_float(kind):
            case True, True:
                found = (write.fpext if kind == TYPES["float64"] else write.fptrunc)(value, target)
            case True, False:  # beyond whole numbers to the farthest, where the bare instruction is undefined
                found = self.called(f"llvm.fptosi.sat.{_suffix(target)}.{_suffix(value.type)}", target, value)
            case False, True:
                found = (write.uitofp if came == BOOL else write.sitofp)(value, target)
            case _:
                widen = write.zext if came == BOOL else write.sext
                found = (write.trunc if came.width > kind.width else widen)(value, target)
        return _Value(self, found)

    def bits(self, number: "_Value") -> "_Value":
        return self.seen_as(number, "int32" if number.kind == TYPES["float32"] else "int64")

    def from_bits(self, number: "_Value") -> "_Value":
        return self.seen_as(number, "float32" if number.kind == INT32 else "float64")

    def seen_as(self, number: "_Value", kind: str) -> "_Value":
        return _Value(self, self.builder.bitcast(number.ir, _of_width(TYPES[kind], number.ir.type)))

    def sqrt(self, number: "_Value") -> "_Value":
        return self.unary("sqrt", number)

    def fill(self, width: int, number: Any, kind: Any) -> "_Value":
        return _Value(self, self.of_type(self.convert(number, kind).ir, ir.VectorType(kind, width)))

    # What they are made of.

    def unary(self, name: str, number: "_Value") -> "_Value":
        kind = number.ir.type
        return _Value(self, self.called(f"llvm.{name}.{_suffix(kind)}", kind, number.ir))

    def called(self, name: str, result: Any, argument: Any) -> Any:
        """Call a function that LLVM knows, or the C library's `malloc` and `free`."""
        kind = ir.FunctionType(result, [argument.type])
        return self.builder.call(self.module.globals.get(name) or ir.Function(self.module, kind, name), [argument])

    def alike(self, *operands: Any) -> list[Any]:
        """Give operands one type: numbers of Python take that of the values, scalars are repeated beside a vector."""
        types = [each.ir.type for each in operands if isinstance(each, _Value)]
        wide = max(types or [INT], key=lambda kind: getattr(kind, "count", 1))
        return [self.of_type(each, wide) for each in operands]

    def of_type(self, number: Any, kind: Any) -> Any:
        """Return a number of Python in a type; a value as it is, or repeated, where the type is that of a vector."""
        if isinstance(number, int | float):
            return _constant(kind, number)
        value = number.ir if isinstance(number, _Value) else number
        if not isinstance(kind, ir.VectorType) or isinstance(value.type, ir.VectorType):
            return value
        nothing = ir.Constant(kind, ir.Undefined)
        one = self.builder.insert_element(nothing, value, ir.Constant(INT, 0))
        return self.builder.shuffle_vector(one, nothing, _lanes([0] * kind.count))


class _Value:
    """A number of the program, or a vector of numbers: its operators write what it takes part in."""

    def __init__(self, writer: _Writer, value: Any, plus: int = 0) -> None:
        self.writer, self.ir = writer, value
        self.plus = plus  # the number of Python that was added to another value, if it was made so

    @property
    def kind(self) -> Any:
        """The type of an element."""
        return _element(self.ir.type)

    def apply(self, names: tuple[str, str], left: Any, right: Any) -> "_Value":
        alike = self.writer.alike(left, right)
        found = getattr(self.writer.builder, names[0] if _is_float(alike[0].type) else names[1])(*alike)
        return _Value(self.writer, found, right if isinstance(right, int) else 0)

    def compare(self, sign: str, other: Any) -> "_Value":
        alike, write = self.writer.alike(self, other), self.writer.builder
        of_floats = write.fcmp_unordered if sign == "!=" else write.fcmp_ordered
        return _Value(self.writer, (of_floats if _is_float(alike[0].type) else write.icmp_signed)(sign, *alike))

    def __neg__(self) -> "_Value":
        write = self.writer.builder
        return _Value(self.writer, (write.fneg if _is_float(self.ir.type) else write.neg)(self.ir))

    def __invert__(self) -> "_Value":
        return _Value(self.writer, self.writer.builder.not_(self.ir))

    def __abs__(self) -> "_Value":
        if _is_float(self.ir.type):
            return self.writer.unary("fabs", self)
        return self.writer.where(self.compare("<", 0), -self, self)

    def __len__(self) -> int:
        return int(self.ir.type.count)

    def __getitem__(self, at: int | slice) -> "_Value":
        write = self.writer.builder
        if isinstance(at, int):
            return _Value(self.writer, write.extract_element(self.ir, ir.Constant(INT, at)))
        return _Value(self.writer, write.shuffle_vector(self.ir, self.ir, _lanes(range(len(self))[at])))


for _name, _names in OPERATORS.items():
    setattr(_Value, f"__{_name}__", lambda x, y, names=_names: x.apply(names, x, y))
    setattr(_Value, f"__r{_name}__", lambda x, y, names=_names: x.apply(names, y, x))
for _name, _sign in COMPARISONS.items():
    setattr(_Value, f"__{_name}__", lambda x, y, sign=_sign: x.compare(sign, y))


class _Buffer:
    """An array, of which elements, and slices of literal length, are loaded and stored."""

    def __init__(self, writer: _Writer, pointer: Any, kind: Any) -> None:
        self.writer, self.pointer, self.kind, self.stored = writer, pointer, kind, _stored(kind)

    def __getitem__(self, at: Any) -> _Value:
        pointer, kind, step = self._place(at)
        write, stored = self.writer.builder, _of_width(self.stored, kind)
        if step == 1:
            value = write.load(pointer, typ=stored, align=self._alignment)
        else:
            value = ir.Constant(stored, ir.Undefined)
            for lane in range(kind.count):
                place = write.gep(pointer, [ir.Constant(INT, lane * step)], True, source_etype=self.stored)
                value = write.insert_element(value, write.load(place, typ=self.stored), ir.Constant(INT, lane))
        return _Value(self.writer, write.trunc(value, kind) if self.kind == BOOL else value)

    def __setitem__(self, at: Any, number: Any) -> None:
        pointer, kind, _ = self._place(at)
        value = self.writer.of_type(number, kind)
        if self.kind == BOOL:
            value = self.writer.builder.zext(value, _of_width(self.stored, kind))
        self.writer.builder.store(value, pointer, align=self._alignment)

    def _place(self, at: Any) -> tuple[Any, Any, int]:
        """Return the address of `b[e]`, `b[e : e + 8]` or `b[e : e + 24 : 3]`, its type, and the step."""
        kind, step = self.kind, 1
        if isinstance(at, slice):
            step = at.step or 1
            length = at.stop.plus if isinstance(at.stop, _Value) else at.stop - at.start
            kind, at = ir.VectorType(kind, length // step), at.start
        index = [self.writer.of_type(at, INT)]
        return self.writer.builder.gep(self.pointer, index, True, source_etype=self.stored), kind, step

    @property
    def _alignment(self) -> int:
        return 1 if self.kind == BOOL else 4 if self.kind in (TYPES["float32"], INT32) else 8


def _constant(kind: Any, value: float) -> Any:
    if isinstance(kind, ir.VectorType):
        return ir.Constant(kind, [_constant(kind.element, value)] * kind.count)
    if isinstance(kind, ir.FloatType):
        with np.errstate(over="ignore"):
            return ir.Constant(kind, float(np.float32(value)))
    return ir.Constant(kind, float(value) if isinstance(kind, ir.DoubleType) else int(value))


def _lanes(numbers: Sequence[int]) -> Any:
    return ir.Constant(ir.VectorType(INT32, len(numbers)), list(numbers))


def _stored(kind: Any) -> Any:
    return ir.IntType(8) if kind == BOOL else kind


def _element(kind: Any) -> Any:
    return getattr(kind, "element", kind)


def _is_float(kind: Any) -> bool:
    return isinstance(_element(kind), ir.FloatType | ir.DoubleType)


def _of_width(kind: Any, like: Any) -> Any:
    return ir.VectorType(kind, like.count) if isinstance(like, ir.VectorType) else kind


def _suffix(kind: Any) -> str:
    element = _element(kind)
    name = {ir.FloatType(): "f32", ir.DoubleType(): "f64"}.get(element) or f"i{element.width}"
    return f"v{kind.count}{name}" if isinstance(kind, ir.VectorType) else name
