"""From the text of a loop program to LLVM's: Python runs the text once, with words that write instructions.

As torch is traced, so is the program: its numbers are values of LLVM, whose operators write instructions, and the body
of a loop, which `range` opens and closes, runs once. Strict IEEE arithmetic: no flag of fast mathematics, so LLVM
neither fuses nor reorders an operation. A slice of literal length is a vector.
"""

from collections.abc import Iterator, Sequence
from types import FunctionType
from typing import Any

from llvmlite import ir

from attention.compiler import primitives
from attention.compiler.llvm_types import BOOL, INT, INT32, POINTER, TYPES, constant, is_float, of_width, stored, suffix
from attention.compiler.llvm_values import Buffer, Value, call, of_type, unary, where

LINE = 64  # bytes of a cache line: no vector of an array lies in two
STACK = 1 << 14  # bytes: larger arrays come from the heap, as a thread's stack is small


def llvm_module(text: str, name: str, triple: str, layout: str) -> ir.Module:
    """Return a program for a processor: one function, after the constant arrays that it reads."""
    module = ir.Module("program")
    module.triple, module.data_layout = triple, layout
    _Writer(module, text, name)
    return module


class _Writer:
    """Runs a program, whose words are these methods, and the functions of `primitives` in the same words."""

    def __init__(self, module: ir.Module, text: str, name: str) -> None:
        self.module, self.builder = module, ir.IRBuilder()
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
        self.builder.position_at_end(made.append_basic_block("start"))
        self.heap: list[Any] = []
        arguments: list[Any] = []
        for kind, value in zip(kinds, made.args, strict=True):
            if kind not in TYPES:
                value.add_attribute("noalias")
            of = TYPES[kind.removesuffix("[:]")]
            arguments.append(Value(self.builder, value) if kind in TYPES else Buffer(self.builder, value, of))
        program(*arguments)
        for pointer in self.heap:
            call(self.builder, "free", ir.VoidType(), pointer)
        self.builder.ret_void()

    def range(self, *bounds: Any) -> Iterator[Value]:
        whole = {1: (0, *bounds, 1), 2: (*bounds, 1), 3: bounds}[len(bounds)]
        first, last, step = (of_type(self.builder, each, INT) for each in whole)
        builder, before = self.builder, self.builder.block
        test, body, after = (builder.function.append_basic_block(name) for name in ("test", "body", "after"))
        builder.branch(test)
        builder.position_at_end(test)
        index = builder.phi(INT)
        index.add_incoming(first, before)
        builder.cbranch(builder.icmp_signed("<", index, last), body, after)
        builder.position_at_end(body)
        yield Value(self.builder, index)
        index.add_incoming(builder.add(index, step, flags=["nsw"]), builder.block)
        builder.branch(test)
        builder.position_at_end(after)

    def array(self, numbers: Sequence[Any], kind: Any) -> Buffer:
        of = ir.ArrayType(stored(kind), len(numbers))
        variable = ir.GlobalVariable(self.module, of, self.module.get_unique_name("numbers"))
        variable.global_constant, variable.linkage = True, "internal"
        variable.initializer = ir.Constant(of, [constant(of.element, number) for number in numbers])
        return Buffer(self.builder, variable, kind)

    def empty(self, count: int, kind: Any) -> Buffer:
        if count * 8 > STACK:
            self.heap.append(call(self.builder, "malloc", POINTER, ir.Constant(INT, count * 8 + LINE)))
            address = self.builder.add(self.builder.ptrtoint(self.heap[-1], INT), ir.Constant(INT, LINE - 1))
            aligned = self.builder.and_(address, ir.Constant(INT, -LINE))
            return Buffer(self.builder, self.builder.inttoptr(aligned, POINTER), kind)
        space = self.builder.alloca(ir.ArrayType(stored(kind), count))
        space.align = LINE
        space.type = POINTER  # llvmlite's own would be that of the whole array
        return Buffer(self.builder, space, kind)

    def where(self, condition: Value, yes: Any, no: Any) -> Value:
        return where(self.builder, condition, yes, no)

    def convert(self, number: Any, kind: Any) -> Value:
        if not isinstance(number, Value):
            return Value(self.builder, constant(kind, number))
        value, came, write = number.ir, number.kind, self.builder
        if came == kind:
            return number
        if kind == BOOL:
            return number.compare("!=", 0)
        target = of_width(kind, value.type)
        match is_float(came), is_float(kind):
            case True, True:
                found = (write.fpext if kind == TYPES["float64"] else write.fptrunc)(value, target)
            case True, False:  # beyond whole numbers to the farthest, where the bare instruction is undefined
                found = call(self.builder, f"llvm.fptosi.sat.{suffix(target)}.{suffix(value.type)}", target, value)
            case False, True:
                found = (write.uitofp if came == BOOL else write.sitofp)(value, target)
            case _:
                widen = write.zext if came == BOOL else write.sext
                found = (write.trunc if came.width > kind.width else widen)(value, target)
        return Value(self.builder, found)

    def bits(self, number: Value) -> Value:
        return self.seen_as(number, "int32" if number.kind == TYPES["float32"] else "int64")

    def from_bits(self, number: Value) -> Value:
        return self.seen_as(number, "float32" if number.kind == INT32 else "float64")

    def seen_as(self, number: Value, kind: str) -> Value:
        return Value(self.builder, self.builder.bitcast(number.ir, of_width(TYPES[kind], number.ir.type)))

    def sqrt(self, number: Value) -> Value:
        return unary(self.builder, "sqrt", number)

    def fill(self, width: int, number: Any, kind: Any) -> Value:
        return Value(self.builder, of_type(self.builder, self.convert(number, kind).ir, ir.VectorType(kind, width)))
