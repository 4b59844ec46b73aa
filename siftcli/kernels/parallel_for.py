"""A parallel for loop inside kernels: threads take the next keypoints from a shared counter.

Python would have to hold the interpreter's lock at every call of a kernel, and a thread that wants it back
waits for whatever another does meanwhile. So a kernel is called once a thread and loops over keypoints as
long as there are any; a thread that was busy elsewhere joins late and takes what is left.
"""

from __future__ import annotations

from .decorators import subroutine
from .vectors import atomic_add

AT_ONCE = 16
"""Keypoints a thread takes at a time, so that two threads seldom write to the same cache line."""


@subroutine
def parallel_for(counter, n):
    """Yield numbers from 0 to n − 1 that no other thread gets.

    Parameters
    ----------
    counter
        (1,) int64, shared by all threads of the loop; 0 at its beginning.
    n
        Iterations in all.
    """
    i = atomic_add(counter, AT_ONCE)
    while i < n:
        yield i
        i += 1
        if i % AT_ONCE == 0:
            i = atomic_add(counter, AT_ONCE)
