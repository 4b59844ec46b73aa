"""What stored machine code needs of Numba's run time, without importing Numba.

Three of Numba's extension modules load without the packages around them. They hold the C functions that
kernels call by name, and make a Python function of the addresses of code and environment.
"""

from __future__ import annotations

import builtins
import ctypes
import sys
from collections.abc import Callable
from importlib.machinery import PathFinder
from importlib.util import module_from_spec
from pathlib import Path
from typing import Any

import numpy as np

_ARRAY_TYPE = b"\x80\x04\x95\x15\x00\x00\x00\x00\x00\x00\x00\x8c\x05numpy\x94\x8c\x07ndarray\x94\x93\x94."
"""``numpy.ndarray``, pickled, as the code of a kernel that returns an array contains it."""


class Runtime:
    """Numba's run time.

    Parameters
    ----------
    package
        Numba's folder.

    Raises
    ------
    ImportError, AttributeError
        If an extension module is missing or is not as expected.
    """

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
        """The address of a C function or object of Numba or CPython; None for one that the linker finds."""
        if name.startswith("PyExc_"):
            return id(getattr(builtins, name.removeprefix("PyExc_")))
        return id(None) if name == "_Py_NoneStruct" else self._addresses.get(name)

    def function(
        self, of: Callable[..., Any], addresses: list[int], dtypes: list[str], owner: Any
    ) -> Callable[..., Any]:
        """Make a Python function of machine code.

        Parameters
        ----------
        of
            The kernel in Python: its name and its module.
        addresses
            Those of the code and of the pointer to its environment.
        dtypes
            The constants of the environment, NumPy's names of types.
        owner
            What keeps code and environment in memory.
        """
        address, environment_address = addresses
        environment = self._functions.Environment(of.__globals__)
        environment.consts[:] = [np.dtype(name) for name in dtypes]
        ctypes.c_void_p.from_address(environment_address).value = id(environment)
        module = sys.modules[of.__module__]
        # The code calls back into this object, which must live as long as the code.
        made: Callable[..., Any] = self._functions.make_function(
            module, of.__name__, "", address, environment, (owner, self)
        )
        return made


def _unpickled(address: int, n_bytes: int, digest: int) -> Any:
    """A constant in the code of a kernel: the type of an array it returns, or an exception it raises."""
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
