"""Large arrays that are used again: fresh memory costs a page fault every 4 KB."""

from __future__ import annotations

import math
import threading

import numpy as np
from numpy.typing import NDArray

BYTES_KEPT = 192 << 20
"""Bytes kept for later, all arrays together; the rest goes back to the system."""

_ABOUT = 2
"""Sizes within this factor are about the same: a spare array that is larger waits for whoever needs it."""
_FREED_AND_KEPT = 24 << 20
"""Bytes of a piece up to which glibc is made to keep what is freed; it allows 32 MB at most."""
_LINE_BYTES = 64
_PATIENCE_S = 0.1
"""Much longer than another thread holds the lock."""
_spare: list[NDArray[np.float32]] = []
_lock = threading.Lock()


class borrowed:  # noqa: N801  # contextlib would take twice the time
    """A C-contiguous float32 array of a shape and of unknown content, which begins on a cache line.

    At the end of the block the memory is kept for the next borrower.
    """

    __slots__ = ("_memory", "_shape")

    def __init__(self, *shape: int) -> None:
        self._shape = shape

    def __enter__(self) -> NDArray[np.float32]:
        n_samples = math.prod(self._shape)
        self._memory = _take(n_samples)
        return self._memory[:n_samples].reshape(self._shape)

    def __exit__(self, *error: object) -> None:
        _give_back(self._memory)
        del self._memory


def _take(n_samples: int) -> NDArray[np.float32]:
    """The smallest spare array of about this size that is large enough, or a new one."""
    with _lock:
        least, most = n_samples / _ABOUT, n_samples * _ABOUT
        alike = [i for i, memory in enumerate(_spare) if least <= memory.size <= most]
        fitting = [i for i in alike if _spare[i].size >= n_samples]
        if fitting:
            return _spare.pop(min(fitting, key=lambda i: _spare[i].size))
        if alike:  # the new one replaces the largest of them, so that of no size there are more than in use
            _spare.pop(max(alike, key=lambda i: _spare[i].size))
    memory = np.empty(n_samples + _LINE_BYTES // 4, np.float32)
    start = -memory.ctypes.data % _LINE_BYTES // memory.itemsize
    return memory[start : start + n_samples]


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


# Of other arrays, glibc keeps the memory if they are no larger than the largest piece ever freed. This one is
# never touched, so it costs nothing.
np.empty(_FREED_AND_KEPT, np.uint8)
