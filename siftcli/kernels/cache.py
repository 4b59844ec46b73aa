"""Where compiled kernels are kept: a folder of the user's own (mode 0700).

It is ``NUMBA_CACHE_DIR`` when that is set, otherwise a folder of the user's cache directory. Where none can
be written, kernels are compiled without a cache at every start, with one line on stderr.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..system.files import is_only_ours
from ..system.folders import users_cache
from .digest import digest_of

if TYPE_CHECKING:
    from .stored import Store

SWITCH = "SIFTCLI_STORED_KERNELS"
"""The environment variable that turns stored machine code off, when it is 0."""
DAY_S = 86_400

_WITHOUT_EFFECT_ON_CODE = {"NUMBA_CACHE_DIR", "NUMBA_DISABLE_JIT", "NUMBA_NUM_THREADS"}
_PACKAGE = __name__.partition(".")[0]


def store_of(function: Callable[..., Any]) -> Store | None:
    """Where the machine code of a kernel is stored; None where it is not, as of one that is not siftcli's."""
    is_ours = function.__module__.partition(".")[0] == _PACKAGE
    return _store() if is_ours and digest_of(function) else None


def numba_folder(function: Callable[..., Any]) -> str | None:
    """The folder of Numba's own cache of a kernel; None where there is none."""
    folder, digest = cache_folder(), digest_of(function)
    return None if folder is None or not digest else str(Path(folder, f"numba-{digest}"))


@cache
def _store() -> Store | None:
    # These variables and this file change the code that Numba makes.
    is_configured = any(name.startswith("NUMBA_") for name in os.environ.keys() - _WITHOUT_EFFECT_ON_CODE)
    if os.environ.get(SWITCH) == "0" or is_configured or Path(".numba_config.yaml").exists():
        return None
    folder = cache_folder()
    if folder is None:
        return None
    try:
        from .stored import Store

        return Store(Path(folder))
    except (OSError, ImportError, AttributeError):
        return None


@cache
def cache_folder() -> str | None:
    """A writable folder for compiled kernels, or None (said once, on stderr)."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    folder = Path(named) if named else users_cache() / "kernels"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied")
        # What is loaded from here is run: nobody else may be able to put it there.
        if not named and not is_only_ours(folder.stat()):
            raise PermissionError(1, "others may write there")
    except OSError as error:
        print(
            f"siftcli: compiled kernels cannot be kept in {folder} ({error.strerror}); "
            "compiling them at every start. Set NUMBA_CACHE_DIR to a writable folder.",
            file=sys.stderr,
        )
        return None
    return str(folder)


def mark_used(path: Path) -> None:
    """Note that a file or a folder is used; at most once a day, to spare the disk."""
    with suppress(OSError):
        if time.time() - path.stat().st_mtime > DAY_S:
            os.utime(path)
