"""Compiling kernels with Numba. The only module that imports it, and only when something is to be compiled.

Kernels release the GIL. They use no fast-math flag, so their results do not depend on the vector width.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
from numba.core import config, event
from numba.core.registry import cpu_target

from . import intrinsics
from .notice import NOTICE

_OPTIONS = {"nogil": True, "error_model": "numpy"}


def compile_kernel(function: Callable[..., Any], signature: str, folder: str | None) -> Any:
    """Compile a function for one signature.

    Parameters
    ----------
    function
        The kernel in Python.
    signature
        Its types, as Numba writes them.
    folder
        Where Numba caches the machine code; None for nowhere.

    Returns
    -------
    Dispatcher
        Numba's, of that one signature.
    """
    # Numba reads the folder when a function is decorated; a user's own kernels keep theirs.
    users_folder, config.CACHE_DIR = config.CACHE_DIR, folder or config.CACHE_DIR
    try:
        return numba.njit(signature, cache=folder is not None, no_cfunc_wrapper=True, **_OPTIONS)(function)
    finally:
        config.CACHE_DIR = users_folder


def compile_subroutine(function: Callable[..., Any], **options: bool) -> Any:
    """Numba's dispatcher of a function that kernels call; it is compiled for the types they call it with.

    Python must not call it: it has no wrapper for that, which takes long to compile.
    """
    return numba.njit(**_OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True, **options)(function)


def compile_for_python(function: Callable[..., Any]) -> Any:
    """Numba's dispatcher of such a function that Python may call."""
    return numba.njit(**_OPTIONS)(function)


def intrinsic(name: str) -> Any:
    """The intrinsic of ``intrinsics.py`` of that name."""
    return getattr(intrinsics, name)


def type_of(value: Any) -> Any:
    """Numba's type of a dispatcher or an intrinsic."""
    cpu_target.typing_context.refresh()  # an intrinsic may be newer than its list of them
    return cpu_target.typing_context.resolve_value_type(value)


class _Compilations(event.Listener):  # type: ignore[misc]
    """Says why the first run takes longer."""

    def on_start(self, event: Any) -> None:
        """Called by Numba before each compilation, those of subroutines included."""
        if function := _ours(event):
            NOTICE.begin(function)

    def on_end(self, event: Any) -> None:
        """Called by Numba after each compilation, also one that failed."""
        if _ours(event):
            NOTICE.end()


def _ours(compilation: Any) -> Callable[..., object] | None:
    """The function of siftcli that is compiled; None for one that is not siftcli's."""
    function: Callable[..., object] = compilation.data["dispatcher"].py_func
    return function if (function.__module__ or "").startswith(__name__.split(".")[0] + ".") else None


event.register("numba:compile", _Compilations())
