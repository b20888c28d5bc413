"""From a program to machine code that this process can call, by LLVM."""

import ctypes
import functools
import os
import threading
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm

from attention.compiler.llvm_module import llvm_module

CTYPES: dict[str, Any] = {"int64": ctypes.c_int64, "float64": ctypes.c_double}


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
    compiled = llvm.parse_assembly(str(llvm_module(text, name, target.triple, str(target.target_data))))
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
