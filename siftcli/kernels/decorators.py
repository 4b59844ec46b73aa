"""How kernels are compiled, and where the compiled code is kept.

Every kernel has an explicit signature, so it is compiled (or loaded from the
cache) when its module is imported and never again. The cache is the user's own
(mode 0700): ``NUMBA_CACHE_DIR`` when set, otherwise a folder of the user's cache
directory that is named after the source of all kernels, so that no stale code
can be loaded. Where none can be written, kernels are compiled without a cache at
every start, with one line on stderr.

What is loaded is the machine code of each kernel (``_stored.py``): it runs without Numba, whose import
takes longer than finding the features of a photograph. Numba (``_compiler.py``) compiles what is not
stored, and has a cache of its own in the same folder.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable
from functools import cache, cached_property, partial, update_wrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .stored import Store

_Kernel = Callable[..., Any]

_IS_COMPILED = os.environ.get("NUMBA_DISABLE_JIT", "0") in ("", "0")
_WITHOUT_EFFECT_ON_CODE = {"NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT", "NUMBA_NUM_THREADS"}


def kernel(signature: str) -> Callable[[_Kernel], _Kernel]:
    """Compile a function for one signature, without the GIL, with an on-disk cache."""

    def loaded(function: _Kernel) -> _Kernel:
        if not _IS_COMPILED:
            return function
        compile_now = partial(_compiled, function, signature)
        store = _store_of(function)
        return (store and store.load(function, signature, compile_now)) or compile_now()

    return loaded


def subroutine(function: _Kernel) -> _Kernel:
    """Compile a function into the kernels that call it."""
    return _compiled_late(function)


def inlined(function: _Kernel) -> _Kernel:
    """Compile a function into each place that calls it, where its arguments may be constants."""
    return _compiled_late(function, forceinline=True)


def instruction(plain: _Kernel) -> _Kernel:
    """Let kernels call the instruction of this name in ``_simd.py``; Python calls the function itself."""
    return _Deferred(plain, lambda: _compiler().instruction(plain.__name__), plain) if _IS_COMPILED else plain


def _compiled_late(function: _Kernel, **options: bool) -> _Kernel:
    if not _IS_COMPILED:
        return function
    return _Deferred(function, lambda: _compiler().compile_subroutine(function, **options))


class _Deferred:
    """What kernels call: made by Numba when such a kernel is compiled, so never where all are stored."""

    def __init__(self, function: _Kernel, make: Callable[[], Any], plain: _Kernel | None = None) -> None:
        update_wrapper(self, function)
        self._make, self._plain = make, plain

    @cached_property
    def _made(self) -> Any:
        return self._make()

    @property
    def _numba_type_(self) -> Any:
        """What Numba asks of a value it meets in a kernel."""
        return _compiler().type_of(self._made)

    def __call__(self, *arguments: Any) -> Any:
        return (self._plain or self._made)(*arguments)


def _compiler() -> Any:
    """The module that imports Numba."""
    from . import compiler as _compiler

    return _compiler


def _compiled(function: _Kernel, signature: str) -> _Kernel:
    """A kernel as compiled by Numba, or loaded from its cache; its code is stored for later."""
    dispatcher: _Kernel = _compiler().compile_kernel(function, signature, _cache_folder())
    if store := _store_of(function):
        store.keep(function, signature, dispatcher)
    return dispatcher


def _store_of(function: _Kernel) -> Store | None:
    """Where the code of a kernel of the package is stored, if it is."""
    return _store() if Path(function.__code__.co_filename) in _sources() else None


@cache
def _store() -> Store | None:
    is_told_how = any(name.startswith("NUMBA_") for name in os.environ.keys() - _WITHOUT_EFFECT_ON_CODE)
    folder = _cache_folder()
    if folder is None or is_told_how or Path(".numba_config.yaml").exists():
        return None
    try:
        from .stored import Store

        return Store(Path(folder), _source_digest())
    except (OSError, ImportError, AttributeError):
        return None


@cache
def _cache_folder() -> str | None:
    """A writable folder for compiled kernels, or None (said once, on stderr)."""
    if not _IS_COMPILED:
        return None
    named = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(named) if named else _user_cache() / f"kernels-{_source_digest()}"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        # What is loaded from here is run: nobody else may be able to put it there.
        if not named and (folder.stat().st_uid != os.getuid() or folder.stat().st_mode & 0o022):
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


@cache
def _sources() -> list[Path]:
    """The files that kernels are made from."""
    package = Path(__file__).parents[1]
    learned = (package / "learned" / f"{name}.py" for name in ("orientation", "patches", "network"))
    found = [
        *package.glob("kernels/*.py"),
        *package.glob("sift/*.py"),
        *learned,
        package / "matching" / "nearest.py",
    ]
    return [p for p in sorted(found) if p.exists()]


@cache
def _source_digest() -> str:
    """Twelve hex digits of the source of every kernel: Numba itself looks at one file at a time."""
    digest = hashlib.sha256()
    for source in _sources():
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
