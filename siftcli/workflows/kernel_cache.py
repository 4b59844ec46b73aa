"""The cache of compiled kernels: shown, warmed, cleared."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from importlib import import_module
from multiprocessing import get_context
from pathlib import Path

from ..errors import ParameterError, StorageError
from ..kernels import upkeep
from ..kernels.cache import cache_folder
from ..kernels.decorators import IS_COMPILED
from ..kernels.notice import NOTICE

_PACKAGE = __name__.partition(".")[0]


@dataclass(frozen=True)
class Warmed:
    """A module whose kernels are there now."""

    module: str
    n_compiled: int
    """Kernels that had to be compiled; the others were there."""
    time_s: float


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


def warm(jobs: int) -> Iterator[Warmed]:
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
    # Spawned, not forked: other threads may hold locks.
    pool = ProcessPoolExecutor(min(jobs, len(upkeep.MODULES)), mp_context=get_context("spawn"))
    try:
        for done in as_completed([pool.submit(_warm, module) for module in upkeep.MODULES]):
            yield done.result()
    finally:
        pool.shutdown(cancel_futures=True)


def _warm(module: str) -> Warmed:
    NOTICE.is_silent = True
    began, before = time.perf_counter(), NOTICE.n_compiled
    import_module(f"{_PACKAGE}.{module}")
    return Warmed(module, NOTICE.n_compiled - before, time.perf_counter() - began)
