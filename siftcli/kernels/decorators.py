"""Decorators that make kernels of functions: compiled when their module is imported, or loaded.

Every kernel has an explicit signature, so it is compiled once and never again. What is loaded is the machine
code that an earlier process has stored (``stored.py``): it runs without Numba, whose import takes longer
than finding the features of a photograph. What is not stored is compiled by Numba (``compiler.py``), which
has a cache of its own. Both are kept in a folder of the user's (``cache.py``), under a digest of all
that a kernel is made from (``digest.py``).

Kernels, subroutines and intrinsics are plain functions where NUMBA_DISABLE_JIT=1 turns the compiler off.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache as cache_results
from functools import cached_property, partial, update_wrapper, wraps
from pathlib import Path
from typing import Any

import numpy as np

from . import cache

_Kernel = Callable[..., Any]

IS_COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
"""Whether the compiler is on."""


def kernel(signature: str) -> Callable[[_Kernel], _Kernel]:
    """Compile or load a function that Python calls; it runs without the GIL.

    Parameters
    ----------
    signature
        The types of the result and of the arguments, as Numba writes them, for example
        ``"void(float32[:, ::1], int64)"``. Arguments are arrays, ``boolean``, ``int64``, ``float32`` and
        ``float64``.
    """

    def loaded(function: _Kernel) -> _Kernel:
        if not IS_COMPILED:
            return _without_warnings(function)
        compile_now = partial(_compiled, function, signature)
        stored = partial(_stored, function, signature, compile_now)
        return stored() or (_compiled_beside(function) and stored()) or compile_now()

    return loaded


def _without_warnings(function: _Kernel) -> _Kernel:
    """A kernel in Python that is as silent as a compiled one on padding, whose samples have any value."""

    @wraps(function)
    def quiet(*arguments: Any) -> Any:
        with np.errstate(all="ignore"):
            return function(*arguments)

    return quiet


def subroutine(function: _Kernel) -> _Kernel:
    """Compile a function that makes no arrays into the kernels that call it.

    It does not count references to the arrays it is given, which the kernel holds: a count is an atomic
    addition, to memory that all threads write to.
    """
    return _compiled_late(function, _nrt=False)


def inlined(function: _Kernel) -> _Kernel:
    """As ``subroutine``, into each place that calls the function, where its arguments may be constants."""
    return _compiled_late(function, forceinline=True, _nrt=False)


def allocator(function: _Kernel) -> _Kernel:
    """As ``subroutine``, of a function that makes arrays, for the kernels that call it."""
    return _compiled_late(function)


def intrinsic(plain: _Kernel) -> _Kernel:
    """Let kernels call the intrinsic of this name in ``intrinsics.py``; Python calls the function itself."""
    if not IS_COMPILED:
        return plain
    return _Deferred(plain, lambda: _compiler().intrinsic(plain.__name__), lambda: plain)


def _compiled_late(function: _Kernel, **options: bool) -> _Kernel:
    if not IS_COMPILED:
        return function
    return _Deferred(
        function,
        lambda: _compiler().compile_subroutine(function, **options),
        lambda: _compiler().compile_for_python(function),
    )


class _Deferred:
    """What kernels call. Numba makes it when such a kernel is compiled: never where all are stored.

    What Python itself calls, as tests do, is another function, made when it is first called.
    """

    def __init__(
        self, function: _Kernel, make: Callable[[], Any], make_for_python: Callable[[], Any]
    ) -> None:
        update_wrapper(self, function)
        self._make, self._make_for_python = make, make_for_python

    @cached_property
    def _made(self) -> Any:
        return self._make()

    @cached_property
    def _made_for_python(self) -> Any:
        return self._make_for_python()

    @property
    def _numba_type_(self) -> Any:
        """What Numba asks of a value it meets in a kernel."""
        return _compiler().type_of(self._made)

    def __call__(self, *arguments: Any) -> Any:
        return self._made_for_python(*arguments)


def _compiler() -> Any:
    """The module that imports Numba."""
    from . import compiler

    return compiler


def _stored(function: _Kernel, signature: str, compile_now: Callable[[], _Kernel]) -> _Kernel | None:
    store = cache.store_of(function)
    return store.load(function, signature, compile_now) if store else None


def _compiled_beside(function: _Kernel) -> bool:
    """Whether other processes have tried to compile a kernel that is neither stored nor in Numba's cache."""
    folder = cache.numba_folder(function)
    if folder is None or any(Path(folder).rglob("*.nbi")):
        return False
    from .ahead import compile_package  # late: only when something is compiled

    return compile_package(function.__module__)


def _compiled(function: _Kernel, signature: str) -> _Kernel:
    """A kernel as compiled by Numba, or loaded from its cache; its code is stored for later."""
    folder = cache.numba_folder(function)
    dispatcher: _Kernel = _compiler().compile_kernel(function, signature, folder)
    if folder is not None:
        cache.mark_used(Path(folder))
        _remove_unused(Path(folder).parent)
    if store := cache.store_of(function):
        store.keep(function, signature, dispatcher)
    return dispatcher


@cache_results  # once in a process
def _remove_unused(folder: Path) -> None:
    from .upkeep import remove_unused  # late: only when something is compiled

    remove_unused(folder)
