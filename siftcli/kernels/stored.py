"""Machine code of kernels, stored by one process and run by later ones without Numba.

Numba makes two functions of a kernel: the kernel itself, of numbers and addresses, and one that Python can
call, which takes these from Python's objects, releases the GIL and calls the first. Both are stored
as an object file, which llvmlite (the part of Numba that is LLVM) links again. What they need of
Numba's run time comes from three extension modules of Numba that load without the rest.

Whatever is not as expected is left to Numba. Code for other versions, another processor or other sources
has another name; a damaged file, or one that others could have written, is not used; a kernel that cannot
be linked, or is given arguments of other types, is run by Numba.
"""

from __future__ import annotations

import builtins
import contextlib
import ctypes
import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Callable
from functools import cached_property, update_wrapper
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np

_Kernel = Callable[..., Any]

_DIGEST_BYTES = 32
_ARRAY_TYPE = b"\x80\x04\x95\x15\x00\x00\x00\x00\x00\x00\x00\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94."
"""``numpy.ndarray`` as it stands, pickled, in the code of a kernel that returns an array."""


class StoredKernel:
    """A linked kernel, in the place of the one that ``compile_now`` makes."""

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
        try:
            # What is linked takes any array for one of its signature.
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


class Runtime:
    """What kernels refer to by name, and what makes a function of Python of their code."""

    def __init__(self, package: Path) -> None:
        helpers = _extension("numba._helperlib", package)
        self._functions = _extension("numba._dynfunc", package)
        memory = _extension("numba.core.runtime._nrt_python", package / "core" / "runtime")
        self._addresses = {f"NRT_{name}": address for name, address in memory.c_helpers.items()}
        for module in (helpers, self._functions):
            self._addresses |= {f"numba_{name}": address for name, address in module.c_helpers.items()}
        self._unpickle = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p)(
            _unpickled
        )
        self._addresses["numba_unpickle"] = ctypes.cast(self._unpickle, ctypes.c_void_p).value or 0

    def address(self, name: str) -> int | None:
        """The address of a name as Numba defines it; None for one that the process knows."""
        if name.startswith("PyExc_"):
            return id(getattr(builtins, name.removeprefix("PyExc_")))
        return id(None) if name == "_Py_NoneStruct" else self._addresses.get(name)

    def function(self, of: _Kernel, addresses: list[int], dtypes: list[str], owner: Any) -> _Kernel:
        """A function of Python of the addresses of code and environment; ``owner`` keeps both there."""
        address, environment_address = addresses
        environment = self._functions.Environment(of.__globals__)
        environment.consts[:] = [np.dtype(name) for name in dtypes]
        ctypes.c_void_p.from_address(environment_address).value = id(environment)
        module = sys.modules[of.__module__]
        made: _Kernel = self._functions.make_function(module, of.__name__, "", address, environment, owner)
        return made


def _unpickled(address: int, n_bytes: int, digest: int) -> Any:
    """A constant in the code of a kernel: the type of the array that it returns, or an exception."""
    pickled = ctypes.string_at(address, n_bytes)
    if pickled == _ARRAY_TYPE:
        return np.ndarray
    from numba.core.serialize import _numba_unpickle

    return _numba_unpickle(address, pickled, ctypes.string_at(digest, 20))


def _extension(name: str, folder: Path) -> Any:
    """An extension module of Numba, imported under its name but without the packages around it."""
    if name not in sys.modules:
        spec = PathFinder.find_spec(name, [str(folder)])
        if spec is None or spec.loader is None:
            raise ImportError(name)
        module = module_from_spec(spec)
        spec.loader.exec_module(module)
        sys.modules[name] = module
    return sys.modules[name]


class Store:
    """The kernels in a folder.

    Parameters
    ----------
    folder
        Where they are.
    source_digest
        Of all that they are compiled from.

    Raises
    ------
    OSError
        If others may write there.
    ImportError, AttributeError
        If Numba or llvmlite is not as it is known here.
    """

    def __init__(self, folder: Path, source_digest: str) -> None:
        _check_ours(folder.stat())
        spec = find_spec("numba")
        if spec is None or spec.origin is None:
            raise ImportError("numba")
        package = Path(spec.origin).parent
        self._folder = folder
        self._runtime = Runtime(package)
        llvm.initialize_native_target()
        self._linker = llvm.create_lljit_compiler(suppress_errors=True)
        self._circumstances = (
            source_digest,
            sys.version,
            np.__version__,
            llvmlite.__version__,
            (package / "_version.py").read_bytes(),
            llvm.get_host_cpu_name(),
            llvm.get_host_cpu_features().flatten(),
        )

    def load(
        self, function: _Kernel, signature: str, compile_now: Callable[[], _Kernel]
    ) -> StoredKernel | None:
        """A kernel as it was stored, if it was."""
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
            return StoredKernel(function, signature, linked, compile_now)
        except (RuntimeError, AttributeError, TypeError):
            return None

    def keep(self, function: _Kernel, signature: str, dispatcher: Any) -> None:
        """Store what Numba has compiled; nothing, from then on, where that cannot be done."""
        path = self._path(function, signature)
        if _read(path) is not None:
            return  # it was not usable, and would be the same again
        try:
            content = _content(dispatcher, signature)
        except Exception:  # another Numba may raise anything here, and can do without
            content = b""
        with contextlib.suppress(OSError):
            _write(path, content)

    def _path(self, function: _Kernel, signature: str) -> Path:
        key = hashlib.sha256(repr((signature, self._circumstances)).encode()).hexdigest()[:16]
        return self._folder / f"{function.__module__}.{function.__qualname__}-{key}.kernel"


def _content(dispatcher: Any, signature: str) -> bytes:
    """An object file, and before it: the names of function and environment, constants, names it refers to."""
    arrays_of(signature)
    (compiled,) = dispatcher.overloads.values()
    codegen, described = compiled.library.codegen, compiled.fndesc
    names = [described.llvm_cpython_wrapper_name, compiled.target_context.get_env_name(described)]
    constants = compiled.environment.consts
    if not all(isinstance(constant, np.dtype) for constant in constants):
        raise ValueError("a constant that is no type of samples")
    module = compiled.library._get_module_for_linking().clone()
    if str(module.get_function(names[0]).global_value_type) != "ptr (ptr, ptr, ptr)":
        raise ValueError("not called as a function of Python")
    for function in module.functions:
        if not function.is_declaration:
            function.linkage = "external" if function.name == names[0] else "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(codegen._tm, llvm.PipelineTuningOptions(0)))
    named = [*module.functions, *module.global_variables]
    references = [v.name for v in named if v.is_declaration and not v.name.startswith("llvm.")]
    header = json.dumps([names, [constant.str for constant in constants], references])
    code: bytes = codegen._tm.emit_object(module)
    return header.encode() + b"\n" + code


def _check_ours(status: os.stat_result) -> None:
    """What is stored is run: nobody else may be able to put it there."""
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(1, "others may write there")


def _read(path: Path) -> bytes | None:
    """The content of a whole file of our own; None where there is no such file."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            status = os.fstat(file.fileno())
            _check_ours(status)
            data = file.read() if stat.S_ISREG(status.st_mode) else b""
    except OSError:
        return None
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def _write(path: Path, content: bytes) -> None:
    """Write a file of our own under a temporary name and rename it when complete."""
    temporary = path.with_suffix(f".{os.urandom(8).hex()}")
    with os.fdopen(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(hashlib.sha256(content).digest() + content)
    temporary.replace(path)
