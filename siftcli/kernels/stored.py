"""Machine code of kernels, stored by one process and run by later ones without Numba.

Numba makes two functions of a kernel: the kernel itself, of numbers and addresses, and one that Python can
call, which takes these from Python's objects, releases the GIL and calls the first. Both are stored
as an object file, which llvmlite (Numba's interface to LLVM) links again. What they need of
Numba's run time comes from three extension modules of Numba that load without the rest.

All this leans on private parts of Numba, llvmlite and CPython, so it is done only with versions that it was
tested with (``TESTED_VERSIONS``), on Linux, and never by an interpreter without a GIL. Otherwise, and
whenever something is not as expected, Numba compiles and runs the kernels, with the same results. Code for
other versions, another processor or other sources has another name; a damaged file, or one that others
could have written, is not used; a kernel that cannot be linked, or is given arguments of other types, is
run by Numba.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Callable
from functools import cached_property, update_wrapper
from importlib.util import find_spec, source_hash
from operator import attrgetter
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

from ..system.files import create_new, is_only_ours, open_regular, replace
from ..system.linking import links_object_files
from .cache import mark_used
from .digest import digest_of
from .runtime import Runtime

_Kernel = Callable[..., Any]

TESTED_VERSIONS = frozenset(
    {("0.63.1", "0.46.0"), ("0.65.1", "0.47.0"), ("0.67.0", "0.49.0"), ("0.68.1", "0.50.0")}
)
"""Versions of Numba and llvmlite, each pair as it was tested."""

_DIGEST_BYTES = 8


class StoredKernel:
    """A linked kernel.

    Parameters
    ----------
    function
        The kernel in Python.
    signature
        Its types, as Numba writes them.
    linked
        The machine code, as a function of Python that does not check the types of arrays.
    compile_now
        Compiles the kernel with Numba; called where the linked one will not do.
    """

    def __init__(
        self, function: _Kernel, signature: str, linked: _Kernel, compile_now: Callable[[], _Kernel]
    ) -> None:
        update_wrapper(self, function)
        self._arrays = arrays_of(signature)
        self._linked, self._compile_now = linked, compile_now

    @cached_property
    def _compiled(self) -> _Kernel:
        return self._compile_now()

    @property
    def _numba_type_(self) -> Any:
        """What Numba asks of a value it meets in another kernel."""
        return self._compiled._numba_type_  # type: ignore[attr-defined]

    def __call__(self, *arguments: Any) -> Any:
        """Run the linked kernel, or Numba's where an argument is of another type."""
        try:
            # Linked code does not check that an array is of its signature's type.
            for place, dtype, ndim, is_contiguous in self._arrays:
                array = arguments[place]
                flags = array.flags
                fits = flags.carray if is_contiguous else flags.behaved
                if not (fits and array.dtype == dtype and array.ndim == ndim):
                    return self._compiled(*arguments)
        except (AttributeError, IndexError):
            return self._compiled(*arguments)
        return self._linked(*arguments)


def arrays_of(signature: str) -> list[tuple[int, np.dtype[Any], int, bool]]:
    """The arrays among the parameters: place, type of the samples, dimensions, whether C-contiguous.

    Raises
    ------
    ValueError
        If a parameter is neither an array nor one of the scalars that are known here.
    """
    arrays = []
    parameters = signature.replace(" ", "").partition("(")[2].removesuffix(")")
    for place, text in enumerate(re.split(r",(?=\w)", parameters)):
        array = re.fullmatch(r"(u?int\d+|float\d+)\[((?::,)*)(:|::1)\]", text)
        if array:
            arrays.append((place, np.dtype(array[1]), len(array[2]) // 2 + 1, array[3] == "::1"))
        elif text not in ("boolean", "int64", "float32", "float64"):
            raise ValueError(f"unknown type {text}")
    return arrays


class Store:
    """The kernels in a folder.

    Parameters
    ----------
    folder
        Where they are.

    Raises
    ------
    OSError
        If others may write there.
    ImportError, AttributeError
        If Numba, llvmlite, the interpreter or the system is none that this was tested with.
    """

    def __init__(self, folder: Path) -> None:
        if not links_object_files():
            raise ImportError("not tested on this system")
        _check_ours(folder.stat())
        spec = find_spec("numba")
        if spec is None or spec.origin is None:
            raise ImportError("numba")
        package = Path(spec.origin).parent
        numba_version = _version_of_numba(package)
        if (numba_version, llvmlite.__version__) not in TESTED_VERSIONS or _is_free_threaded():
            raise ImportError(f"not tested with Numba {numba_version} and llvmlite {llvmlite.__version__}")
        self._folder = folder
        self._runtime = Runtime(package)
        llvm.initialize_native_target()
        self._linker = llvm.create_lljit_compiler(use_jit_link=True, suppress_errors=True)
        self._circumstances = (
            sys.version,
            np.__version__,
            llvmlite.__version__,
            numba_version,
            llvm.get_host_cpu_name(),
            llvm.get_host_cpu_features().flatten(),
        )

    def load(self, function: Any, signature: str, compile_now: Callable[[], _Kernel]) -> StoredKernel | None:
        """Link a kernel that was stored.

        Parameters
        ----------
        function, signature, compile_now
            As for :class:`StoredKernel`.

        Returns
        -------
        StoredKernel or None
            None where there is none, or it cannot be linked.
        """
        path = self._path(function, signature)
        content = _read(path)
        if not content:
            return None
        header, _, code = content.partition(b"\n")
        names, dtypes, references = json.loads(header)
        library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
        for name in names:
            library.export_symbol(name)
        for name in references:
            address = self._runtime.address(name)
            if address is not None:
                library.import_symbol(name, address)
        try:
            owner = library.link(self._linker, path.name)
            linked = self._runtime.function(function, [owner[name] for name in names], dtypes, owner)
            mark_used(path)
            return StoredKernel(function, signature, linked, compile_now)
        except (RuntimeError, AttributeError, TypeError):
            return None

    def keep(self, function: Any, signature: str, dispatcher: Any) -> None:
        """Store a compiled kernel; what cannot be stored is noted as such, and always left to Numba.

        Parameters
        ----------
        function, signature
            As for :class:`StoredKernel`.
        dispatcher
            Numba's, compiled for that signature alone.
        """
        path = self._path(function, signature)
        if _read(path) is not None:
            return  # it was not usable, and would be the same again
        try:
            content = _content(dispatcher, signature)
        except Exception:  # another Numba may raise anything here, and can do without
            content = b""
        with contextlib.suppress(OSError):
            _write(path, content)

    def _path(self, function: Any, signature: str) -> Path:
        made_from = signature, digest_of(function), self._circumstances
        key = source_hash(repr(made_from).encode()).hex()
        return self._folder / f"{function.__module__}.{function.__qualname__}-{key}.kernel"


def _content(dispatcher: Any, signature: str) -> bytes:
    """An object file, and before it: the names of function and environment, constants, names it refers to."""
    arrays_of(signature)
    (compiled,) = dispatcher.overloads.values()
    linked, described = attrgetter("library", "fndesc")(compiled)
    names = [described.llvm_cpython_wrapper_name, compiled.target_context.get_env_name(described)]
    constants = compiled.environment.consts
    if not all(isinstance(constant, np.dtype) for constant in constants):
        raise ValueError("a constant that is no type of samples")
    module = linked._get_module_for_linking().clone()
    if str(module.get_function(names[0]).global_value_type) != "ptr (ptr, ptr, ptr)":
        raise ValueError("not called as a function of Python")
    for function in module.functions:
        if not function.is_declaration:
            function.linkage = "external" if function.name == names[0] else "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(linked.codegen._tm, llvm.PipelineTuningOptions(0)))
    named = [*module.functions, *module.global_variables]
    references = [v.name for v in named if v.is_declaration and not v.name.startswith("llvm.")]
    header = json.dumps([names, [constant.str for constant in constants], references])
    code: bytes = linked.codegen._tm.emit_object(module)
    return header.encode() + b"\n" + code


def _version_of_numba(package: Path) -> str:
    """Numba's version, without importing it; empty where its file is not as expected."""
    text = (package / "_version.py").read_text(encoding="utf-8")
    found = re.search(r'"version": "([^"]+)"', text)
    return found[1] if found else ""


def _is_free_threaded() -> bool:
    """Whether this is an interpreter without a GIL; ``sys.abiflags`` tells it on some systems only."""
    return "free-threading" in sys.version


def _check_ours(status: os.stat_result) -> None:
    """Check that nobody else can write there: stored code is run."""
    if not is_only_ours(status):
        raise PermissionError(1, "others may write there")


def _read(path: Path) -> bytes | None:
    """The content of a whole file of our own; None where there is no such file."""
    try:
        with os.fdopen(open_regular(path, os.O_RDONLY), "rb") as file:
            _check_ours(os.fstat(file.fileno()))
            data = file.read()
    except OSError:
        return None
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return content if source_hash(content) == digest else None


def _write(path: Path, content: bytes) -> None:
    """Write a file of our own under a temporary name and rename it when complete."""
    temporary = path.with_suffix(f".{os.urandom(8).hex()}")
    with os.fdopen(create_new(temporary, 0o600), "wb") as file:
        file.write(source_hash(content) + content)
    replace(temporary, path)
