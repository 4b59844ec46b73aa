"""Machine code of a compiled kernel as an object file, and LLVM's linker for one. Imports llvmlite.

What is stored is what Numba would call: the function of Python's objects, and all that it calls.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from operator import attrgetter
from typing import Any

import llvmlite.binding as llvm
import numpy as np


def object_of(dispatcher: Any) -> tuple[dict[str, Any], bytes]:
    """An object file of Numba's dispatcher of one signature.

    Returns
    -------
    header
        ``wanted``: the names of function and of its environment; ``constants``: those of the environment;
        ``names``: symbols that the code refers to.
    code
        The file.

    Raises
    ------
    ValueError
        If it is not called as a function of Python, or has other constants than types of samples.
    """
    (compiled,) = dispatcher.overloads.values()
    linked, described = attrgetter("library", "fndesc")(compiled)
    wanted = [described.llvm_cpython_wrapper_name, compiled.target_context.get_env_name(described)]
    constants = compiled.environment.consts
    if not all(isinstance(constant, np.dtype) for constant in constants):
        raise ValueError("a constant that is no type of samples")
    module = linked._get_module_for_linking().clone()
    if str(module.get_function(wanted[0]).global_value_type) != "ptr (ptr, ptr, ptr)":
        raise ValueError("not called as a function of Python")
    for function in module.functions:
        if not function.is_declaration:
            function.linkage = "external" if function.name == wanted[0] else "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(linked.codegen._tm, llvm.PipelineTuningOptions(0)))
    named = [*module.functions, *module.global_variables]
    names = [v.name for v in named if v.is_declaration and not v.name.startswith("llvm.")]
    header = {"wanted": wanted, "constants": [constant.str for constant in constants], "names": names}
    return header, linked.codegen._tm.emit_object(module)


def linked(header: dict[str, Any], code: bytes, address_of: Callable[[str], int]) -> tuple[list[int], Any]:
    """Link an object file; as :func:`siftcli.kernels.images.placed`, for processors without images.

    Raises
    ------
    RuntimeError
        If it cannot be linked.
    """
    library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
    for name in header["wanted"]:
        library.export_symbol(name)
    for name in header["names"]:
        library.import_symbol(name, address_of(name))
    owner = library.link(_linker(), header["wanted"][0])
    return [owner[name] for name in header["wanted"]], owner


@cache
def _linker() -> Any:
    llvm.initialize_native_target()
    return llvm.create_lljit_compiler(use_jit_link=True, suppress_errors=True)
