"""Compile modules of kernels side by side, in processes of their own: LLVM and Numba use one core each.

In the program, the first kernel that is to be compiled has all modules of its package compiled. What a
process could not do, this one does as if there had been none. A library starts no processes.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

from ..system.cores import usable_cores
from ..system.program import may_start_processes
from .notice import NOTICE, RENEWED_EVERY_S

if TYPE_CHECKING:
    from concurrent.futures import Future

MODULES = (
    "sift.least_squares",
    "sift.descriptor",
    "sift.blur",
    "sift.orientation",
    "sift.extrema",
    "matching.tiles",
    "learned.orientation",
    "sift.lowe",
    "sift.duplicates",
    "sift.selection",
    "sift.noise",
)
"""The modules whose import compiles all kernels of detection, description and matching, the slowest first."""

_SELDOM = ("sift.lowe",)
"""Those that are compiled when they are needed, not with the others of their package."""
_PACKAGE = __name__.partition(".")[0]
_ALLOCATIONS_BEFORE_COLLECTION = 100_000
"""Numba makes many objects, which live until the kernel is compiled."""
_tried = set[str]()
"""Packages that were compiled by this process, or tried."""


class Done(NamedTuple):
    """A module whose kernels are there now."""

    module: str
    n_compiled: int
    """Kernels that had to be compiled; the others were there."""
    time_s: float


def compile_package(kernel_module: str) -> bool:
    """Compile all modules of the package that a kernel is in, once, where that may start processes and pays.

    Returns
    -------
    bool
        Whether it was tried: the kernel may be stored by now.
    """
    wanted = kernel_module.removeprefix(f"{_PACKAGE}.")
    package = wanted.partition(".")[0]
    modules = [name for name in MODULES if name.partition(".")[0] == package and name not in _SELDOM]
    n_processes = min(usable_cores(), len(modules))
    if n_processes < 2 or wanted in _SELDOM or package in _tried or not may_start_processes():
        return False
    _tried.add(package)
    n_done = 0
    # A system without semaphores, a process that is killed: the rest is compiled here.
    with suppress(OSError, RuntimeError, ImportError):
        for done in side_by_side(modules, n_processes):
            n_done += done is not None
            NOTICE.tell(f"{n_done} of {len(modules)} modules")
    NOTICE.clear()
    return True


def side_by_side(modules: list[str], n_processes: int) -> Iterator[Done | None]:
    """Compile modules in processes, and yield each when it is done, and None now and then.

    Raises
    ------
    OSError, RuntimeError, ImportError
        If processes cannot be started, or one dies.
    """
    from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait  # late: seldom needed
    from multiprocessing import get_context

    # Spawned, not forked: other threads may hold locks.
    pool = ProcessPoolExecutor(n_processes, mp_context=get_context("spawn"))
    try:
        pending: set[Future[Done]] = {pool.submit(_compile, module) for module in modules}
        while pending:
            ready, pending = wait(pending, RENEWED_EVERY_S, FIRST_COMPLETED)
            yield from (future.result() for future in ready)
            yield None
    finally:
        pool.shutdown(cancel_futures=True)


def _compile(module: str) -> Done:
    NOTICE.is_silent = True
    gc.set_threshold(_ALLOCATIONS_BEFORE_COLLECTION)
    began, before = time.perf_counter(), NOTICE.n_compiled
    import_module(f"{_PACKAGE}.{module}")
    return Done(module, NOTICE.n_compiled - before, time.perf_counter() - began)
