"""How kernels are compiled, and where the compiled code is kept.

Every kernel has an explicit signature, so it is compiled (or loaded from the
cache) when its module is imported and never again; it releases the GIL; it uses
no fast-math flag, so its result does not depend on the vector width. The cache
is the user's own (mode 0700): ``NUMBA_CACHE_DIR`` when set, otherwise a folder
of the user's cache directory that is named after the source of all kernels, so
that no stale code can be loaded. Where none can be written, kernels are
compiled without a cache at every start, with one line on stderr.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba import types
from numba.core import config, event
from numba.extending import intrinsic, overload

_Kernel = Callable[..., Any]

_OPTIONS = {"nogil": True, "error_model": "numpy"}


def kernel(signature: str) -> Callable[[_Kernel], _Kernel]:
    """Compile a function for one signature, without the GIL, with an on-disk cache."""

    def compiled(function: _Kernel) -> _Kernel:
        folder = _cache_folder()
        # Numba reads the folder when a function is decorated; a user's own kernels keep theirs.
        users_folder, config.CACHE_DIR = config.CACHE_DIR, folder or config.CACHE_DIR
        try:
            return numba.njit(signature, cache=folder is not None, **_OPTIONS)(function)  # type: ignore[no-any-return]
        finally:
            config.CACHE_DIR = users_folder

    return compiled


def subroutine(function: _Kernel) -> _Kernel:
    """Compile a function into the kernels that call it."""
    return numba.njit(**_OPTIONS)(function)  # type: ignore[no-any-return]


def inlined(function: _Kernel) -> _Kernel:
    """Compile a function into each place that calls it, where its arguments may be constants."""
    return numba.njit(forceinline=True, **_OPTIONS)(function)  # type: ignore[no-any-return]


def fma(a, b, c):
    """a·b + c of float32, rounded once: the same bits on every processor, and where the compiler is off."""
    return np.float32(np.float64(a) * np.float64(b) + np.float64(c))


@intrinsic
def _fma(_context, a, b, c):
    def build(_context, builder, _signature, arguments):
        return builder.fma(*arguments)

    return types.float32(types.float32, types.float32, types.float32), build


@overload(fma, inline="always")
def _compiled_fma(a, b, c):
    return lambda a, b, c: _fma(a, b, c)  # noqa: PLW0108 (Numba wants a function)


@cache
def _cache_folder() -> str | None:
    """A writable folder for compiled kernels, or None (said once, on stderr)."""
    if config.DISABLE_JIT:
        return None
    folder = Path(config.CACHE_DIR) if config.CACHE_DIR else _user_cache() / f"kernels-{_source_digest()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        # What is loaded from here is run: nobody else may be able to put it there.
        if not config.CACHE_DIR and (folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022):
            raise PermissionError(1, "others may write there")
    except OSError as error:
        print(
            f"siftcli: compiled kernels cannot be kept in {folder} ({error.strerror}); "
            "compiling them at every start. Set NUMBA_CACHE_DIR to a writable folder.",
            file=sys.stderr,
        )
        return None
    return str(folder)


def _user_cache() -> Path:
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")  # noqa: PTH111, PTH118
    return Path(home) / "siftcli"


def _source_digest() -> str:
    """Twelve hex digits of the source of every kernel: Numba itself looks at one file at a time."""
    package = Path(__file__).parents[1]
    learned = (package / "learned" / f"{name}.py" for name in ("orientation", "patches", "network"))
    sources = sorted([*package.glob("sift/*.py"), *learned, package / "matching.py"])
    digest = hashlib.sha256()
    for source in sources:
        if source.exists():
            digest.update(source.read_bytes())
    return digest.hexdigest()[:12]


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
