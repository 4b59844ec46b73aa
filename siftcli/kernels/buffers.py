"""Large arrays that are used again: fresh memory costs a page fault every 4 KB."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

BYTES_KEPT = 192 << 20
"""Bytes kept for later, all arrays together; the rest goes back to the system."""

_LINE_BYTES = 64
_PATIENCE_S = 0.1
"""Much longer than another thread holds the lock."""
_spare: list[NDArray[np.float32]] = []
_lock = threading.Lock()


@contextmanager
def borrowed(*shape: int) -> Iterator[NDArray[np.float32]]:
    """A C-contiguous float32 array of this shape and of unknown content, which begins on a cache line.

    At the end of the block the memory is kept for the next borrower.
    """
    n_samples = math.prod(shape)
    memory = _take(n_samples + _LINE_BYTES // 4)
    start = -memory.ctypes.data % _LINE_BYTES // memory.itemsize
    try:
        yield memory[start : start + n_samples].reshape(shape)
    finally:
        _give_back(memory)


def _take(n_samples: int) -> NDArray[np.float32]:
    """The smallest spare array that is large enough, or a new one."""
    with _lock:
        fitting = [i for i, memory in enumerate(_spare) if memory.size >= n_samples]
        if fitting:
            return _spare.pop(min(fitting, key=lambda i: _spare[i].size))
        if _spare:  # the new one replaces the largest, so that there are never more arrays than in use
            _spare.pop(max(range(len(_spare)), key=lambda i: _spare[i].size))
    return np.empty(n_samples, np.float32)


def _give_back(memory: NDArray[np.float32]) -> None:
    # The garbage collector may call this at any time, within ``_take`` too, where waiting would never end:
    # then the memory is not kept.
    if not _lock.acquire(timeout=_PATIENCE_S):
        return
    try:
        _spare.append(memory)
        while sum(spare.nbytes for spare in _spare) > BYTES_KEPT:
            _spare.pop(0)
    finally:
        _lock.release()
