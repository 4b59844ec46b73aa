"""How Numba compiles kernels: the one module that imports it, and only where nothing stored will do.

Kernels release the GIL and use no fast-math flag, so their results do not depend on the vector width.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import numba
from numba.core import config, event
from numba.core.registry import cpu_target

from . import intrinsics as _simd

_OPTIONS = {"nogil": True, "error_model": "numpy"}


def compile_kernel(function: Callable[..., Any], signature: str, folder: str | None) -> Any:
    """Numba's dispatcher of a function for one signature, with Numba's own cache in a folder."""
    # Numba reads the folder when a function is decorated; a user's own kernels keep theirs.
    users_folder, config.CACHE_DIR = config.CACHE_DIR, folder or config.CACHE_DIR
    try:
        return numba.njit(signature, cache=folder is not None, **_OPTIONS)(function)
    finally:
        config.CACHE_DIR = users_folder


def compile_subroutine(function: Callable[..., Any], **options: bool) -> Any:
    """Numba's dispatcher of a function that kernels call."""
    return numba.njit(**_OPTIONS, **options)(function)


def instruction(name: str) -> Any:
    """The intrinsic of ``_simd.py`` of that name."""
    return getattr(_simd, name)


def type_of(value: Any) -> Any:
    """The type of a dispatcher or an intrinsic."""
    cpu_target.typing_context.refresh()  # an intrinsic may be newer than its list of them
    return cpu_target.typing_context.resolve_value_type(value)


class _FirstCompilation(event.Listener):  # type: ignore[misc]
    """Says once why the first run takes longer."""

    def __init__(self) -> None:
        self.said = False

    def on_start(self, event: Any) -> None:
        module = event.data["dispatcher"].py_func.__module__ or ""
        if not self.said and module.startswith(__name__.split(".")[0] + "."):
            self.said = True
            print("siftcli: compiling its kernels for this machine, once (about 20 s) ...", file=sys.stderr)

    def on_end(self, event: Any) -> None:
        pass


event.register("numba:compile", _FirstCompilation())
