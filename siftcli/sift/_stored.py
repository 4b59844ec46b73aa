"""Machine code of kernels, stored by one process and run by later ones without Numba.

What Numba makes of a kernel is a function of numbers and addresses,

    int32 kernel(result*, error**, a scalar as it is, an array as two owners of its memory (here none),
                 number of samples, bytes of a sample, address, shape and strides)

This function and what it calls is stored as an object file, linked again by llvmlite (the part of Numba
that is LLVM) and called through ctypes, which releases the GIL. What it needs of Numba's run time (memory,
mostly) comes from two extension modules of Numba that load without the rest.

Whatever is not as expected is left to Numba. Code for other versions, another processor or other sources
has another name; a damaged file, or one that others could have written, is not used; a kernel that cannot
be linked, is given arguments of other types or fails is run by Numba.
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
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, update_wrapper
from importlib.machinery import PathFinder
from importlib.util import find_spec, module_from_spec
from pathlib import Path
from typing import Any

import llvmlite
import llvmlite.binding as llvm
import numpy as np
from numpy.typing import NDArray

_Kernel = Callable[..., Any]

_POINTER, _SIZE = (ctypes.c_void_p, "ptr"), (ctypes.c_int64, "i64")
_SCALARS: dict[str, tuple[Any, str]] = {
    "boolean": (ctypes.c_bool, "i8"),
    "int64": _SIZE,
    "float32": (ctypes.c_float, "float"),
    "float64": (ctypes.c_double, "double"),
}
"""What scalars are for ctypes and for LLVM."""
_ARRAY = (_POINTER, _POINTER, _SIZE, _SIZE, _POINTER)
"""The same of an array, before its shape and strides."""
_ADDRESS = 4

_DIGEST_BYTES = 32


# --- signatures ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Type:
    """A type in a signature: of a scalar or, with dimensions, of an array."""

    name: str
    ndim: int
    is_contiguous: bool

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """Of the samples of an array."""
        return np.dtype(self.name)

    @property
    def passed(self) -> Sequence[tuple[Any, str]]:
        """What stands for a value in a call, for ctypes and for LLVM."""
        return (*_ARRAY, *[_SIZE] * (2 * self.ndim)) if self.ndim else (_SCALARS[self.name],)

    def words(self, value: Any) -> Sequence[Any]:
        """What stands for this value.

        Raises
        ------
        TypeError, AttributeError
            If it is not of this type.
        """
        if not self.ndim:
            return (value.item(),) if isinstance(value, np.generic) else (value,)
        fits = value.flags.carray if self.is_contiguous else value.flags.behaved
        if not (fits and value.dtype == self.dtype and value.ndim == self.ndim):
            raise TypeError
        address = value.__array_interface__["data"][0]
        return None, None, value.size, value.itemsize, address, *value.shape, *value.strides


def parse(signature: str) -> tuple[Type | None, list[Type]]:
    """The type of the result, None for void, and those of the parameters.

    Raises
    ------
    ValueError
        If one is not known here.
    """
    result, _, parameters = signature.replace(" ", "").removesuffix(")").partition("(")
    return None if result == "void" else _parse(result), [_parse(p) for p in re.split(r",(?=\w)", parameters)]


def _parse(text: str) -> Type:
    array = re.fullmatch(r"((?:int|uint|float)\d+)\[((?::,)*)(:|::1)\]", text)
    if array:
        return Type(array[1], len(array[2]) // 2 + 1, array[3] == "::1")
    if text not in _SCALARS:
        raise ValueError(text)
    return Type(text, 0, is_contiguous=False)


# --- calls ---------------------------------------------------------------------------------------------


class StoredKernel:
    """A linked kernel, in the place of the one that ``compile_now`` makes."""

    def __init__(
        self, function: _Kernel, signature: str, address: int, runtime: Runtime, compile_now: Callable[[], _Kernel]
    ) -> None:
        update_wrapper(self, function)
        self._result, self._parameters = parse(signature)
        self._runtime, self._compile_now = runtime, compile_now
        passed = [ctype for parameter in self._parameters for ctype, _ in parameter.passed]
        self._call = ctypes.CFUNCTYPE(ctypes.c_int32, ctypes.c_void_p, ctypes.c_void_p, *passed)(address)
        self._room = ctypes.c_int64 * (len(self._result.passed) if self._result else 1)

    @cached_property
    def _compiled(self) -> _Kernel:
        return self._compile_now()

    @property
    def _numba_type_(self) -> Any:
        """What Numba asks of a value it meets in another kernel."""
        return self._compiled._numba_type_  # type: ignore[attr-defined]

    def __call__(self, *arguments: Any) -> Any:
        result, error = self._room(), ctypes.c_void_p()
        try:
            words = [w for p, a in zip(self._parameters, arguments, strict=True) for w in p.words(a)]
            failed = self._call(result, ctypes.byref(error), *words)
        except (TypeError, AttributeError, ValueError, ctypes.ArgumentError):
            failed = True
        if failed:  # Numba says in its words what is wrong
            return self._compiled(*arguments)
        if self._result is None:
            return None
        if self._result.ndim == 0:
            return _SCALARS[self._result.name][0].from_buffer(result).value
        return self._owned(list(result))

    def _owned(self, words: list[int]) -> NDArray[Any]:
        """A copy of an array that the kernel has made, whose own memory is given back."""
        shape = words[len(_ARRAY) : len(_ARRAY) + self._result.ndim]
        array = np.empty(shape, self._result.dtype)
        ctypes.memmove(array.ctypes.data, words[_ADDRESS], array.nbytes)
        self._runtime.release(words[0])
        return array


class Runtime:
    """The functions of Numba's run time, and the objects of Python, that kernels refer to by name."""

    def __init__(self, package: Path) -> None:
        helpers = _extension("numba._helperlib", package).c_helpers
        memory = _extension("numba.core.runtime._nrt_python", package / "core" / "runtime").c_helpers
        self._addresses = {f"numba_{name}": address for name, address in helpers.items()}
        self._addresses |= {f"NRT_{name}": address for name, address in memory.items()}
        self.release = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(self._addresses["NRT_MemInfo_release"])

    def address(self, name: str) -> int | None:
        """The address of a name, as Numba defines it; None for one that the process or LLVM knows."""
        if name.startswith("PyExc_"):
            return id(getattr(builtins, name.removeprefix("PyExc_")))
        return id(None) if name == "_Py_NoneStruct" else self._addresses.get(name)


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


# --- files ---------------------------------------------------------------------------------------------


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
        self._linked: list[Any] = []  # llvmlite removes code that nothing here refers to
        self._circumstances = (
            source_digest,
            sys.version,
            np.__version__,
            llvmlite.__version__,
            (package / "_version.py").read_bytes(),
            llvm.get_host_cpu_name(),
            llvm.get_host_cpu_features().flatten(),
        )

    def load(self, function: _Kernel, signature: str, compile_now: Callable[[], _Kernel]) -> StoredKernel | None:
        """A kernel as it was stored, if it was."""
        path = self._path(function, signature)
        content = _read(path)
        if not content:
            return None
        header, _, code = content.partition(b"\n")
        name, *references = json.loads(header)
        library = llvm.JITLibraryBuilder().add_object_img(code).add_current_process().export_symbol(name)
        for reference in references:
            address = self._runtime.address(reference)
            if address is not None:
                library.import_symbol(reference, address)
        try:
            linked = library.link(self._linker, path.name)
        except RuntimeError:
            return None
        self._linked.append(linked)
        return StoredKernel(function, signature, linked[name], self._runtime, compile_now)

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
    """A kernel's name in its object file, the names it refers to, and the file."""
    (compiled,) = dispatcher.overloads.values()
    result, parameters = parse(signature)
    codegen, name = compiled.library.codegen, compiled.fndesc.mangled_name
    module = compiled.library._get_module_for_linking().clone()
    entry = module.get_function(name)
    passed = ["ptr", "ptr", *(kind for parameter in parameters for _, kind in parameter.passed)]
    if str(entry.global_value_type) != f"i32 ({', '.join(passed)})":
        raise ValueError("Numba passes arguments in another way")
    for function in module.functions:
        if not function.is_declaration:
            function.linkage = "external" if function.name == name else "internal"
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, llvm.create_pass_builder(codegen._tm, llvm.PipelineTuningOptions(0)))
    named = [*module.functions, *module.global_variables]
    references = [v.name for v in named if v.is_declaration and not v.name.startswith("llvm.")]
    return json.dumps([name, *references]).encode() + b"\n" + codegen._tm.emit_object(module)


def _check_ours(status: os.stat_result) -> None:
    """What is stored is run: nobody else may be able to put it there."""
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PermissionError(1, "others may write there")


def _read(path: Path) -> bytes | None:
    """The content of a whole file of our own; None where there is no such file."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            status = os.fstat(file.fileno())
            _check_ours(status)
            data = file.read() if stat.S_ISREG(status.st_mode) else b""
    except OSError:
        return None
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def _write(path: Path, content: bytes) -> None:
    """Write a file of our own under a temporary name and rename it when complete."""
    temporary = path.with_suffix(f".{os.getpid()}")
    with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600), "wb") as file:
        file.write(hashlib.sha256(content).digest() + content)
    temporary.replace(path)
