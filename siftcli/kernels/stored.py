"""Machine code of kernels, stored by one process and run by later ones without Numba.

Numba makes two functions of a kernel: the kernel itself, of numbers and addresses, and one that Python can
call, which takes these from Python's objects, releases the GIL and calls the first. Both are stored,
as an image of memory (``images.py``) or, for processors other than x86-64, as an object file that llvmlite
(Numba's interface to LLVM) links again (``emitted.py``). What they need of Numba's run time comes from three
extension modules of Numba that load without the rest.

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
from pathlib import Path
from typing import Any

import llvmlite
import numpy as np

from ..system.files import create_new, is_only_ours, open_regular, replace
from ..system.linking import links_object_files, processor
from .cache import mark_used
from .digest import digest_of
from .images import image_of, placed
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
        self._circumstances = (
            sys.version,
            np.__version__,
            llvmlite.__version__,
            numba_version,
            processor(),
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
        try:
            known = json.loads(header)
            place = placed if "places" in known else _linked
            addresses, owner = place(known, code, self._runtime.address)
            ours = self._runtime.function(function, addresses, known["constants"], owner)
        except (OSError, RuntimeError, AttributeError, TypeError):
            return None
        mark_used(path)
        return StoredKernel(function, signature, ours, compile_now)

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
    """What a file holds after its digest: a header in JSON, and an image or an object file."""
    from .emitted import object_of

    arrays_of(signature)
    header, code = object_of(dispatcher)
    with contextlib.suppress(ValueError):  # another processor
        image, code = image_of(code, header["wanted"])
        header |= image
    return json.dumps(header).encode() + b"\n" + code


def _linked(header: dict[str, Any], code: bytes, address_of: Callable[[str], int]) -> tuple[list[int], Any]:
    from .emitted import linked  # late: images need no LLVM

    return linked(header, code, address_of)


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
