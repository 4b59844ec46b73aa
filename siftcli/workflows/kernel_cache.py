"""The cache of compiled kernels: shown, warmed, cleared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..errors import ParameterError, StorageError
from ..kernels import upkeep
from ..kernels.ahead import MODULES, Done, side_by_side
from ..kernels.cache import cache_folder
from ..kernels.decorators import IS_COMPILED


def folder() -> Path:
    """The folder of compiled kernels.

    Raises
    ------
    StorageError
        If no folder can be written.
    """
    found = cache_folder()
    if found is None:
        raise StorageError("compiled kernels are kept nowhere; set NUMBA_CACHE_DIR to a writable folder")
    return Path(found)


def clear(entries: list[upkeep.Kept]) -> tuple[int, int]:
    """Remove compiled kernels; returns the number of files and of bytes.

    Raises
    ------
    StorageError
        If a file cannot be removed.
    """
    try:
        return upkeep.remove(entries)
    except OSError as error:
        raise StorageError(f"{error.filename}: {error.strerror}; check who owns it") from error


def warm(jobs: int) -> Iterator[Done]:
    """Compile what is not in the cache, in processes of their own, and yield each module when it is done.

    Raises
    ------
    ParameterError
        If the compiler is turned off.
    StorageError
        If no folder can be written.
    """
    if not IS_COMPILED:
        raise ParameterError("nothing is compiled while NUMBA_DISABLE_JIT is set; unset it")
    folder()
    yield from filter(None, side_by_side(list(MODULES), min(jobs, len(MODULES))))
