"""From a function of torch to machine code: the same values on any CPU, at the speed of the arithmetic.

In the order in which they work: `definition` says what is wanted, `tracing` has torch write down what it does, `aten`
and its `lowerings` say what each operation is in the nodes of a `graph`, `source` writes these as loops, `programs`
puts training or evaluation around them, `machine` makes machine code of the text, whose words are `primitives`, and
`keeping` keeps it. `source` asks `materialization` what needs a place, and `vectorization` along which axis vectors
cost least; its text is that of `loops`, `reductions` and `expressions`. `machine` has `llvm_module` translate the text.
"""

from attention.compiler.definition import CannotCompile, Definition
from attention.compiler.keeping import Compiled, compiled

__all__ = ["CannotCompile", "Compiled", "Definition", "compiled"]
