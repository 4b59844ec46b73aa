"""The processor that kernels are compiled for."""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core.registry import cpu_target
from numba.extending import intrinsic


def features() -> set[str]:
    """What the processor has that Numba compiles for, by LLVM's names; NUMBA_CPU_FEATURES may name it."""
    codegen = cpu_target.target_context.codegen()
    found = {name[1:] for name in codegen._tm_features.split(",") if name.startswith("+")}
    return found | ({"sse2"} if codegen._tm.triple.startswith("x86_64") else set())


@intrinsic
def has_wide_registers(_context):
    """A constant."""
    return types.boolean(), lambda *_: ir.Constant(ir.IntType(1), "avx512f" in features())
