"""Keypoints shared out among the threads that run a kernel, without the interpreter between them.

Python gives the interpreter's lock back and forth at every call of a kernel, and a thread that wants it again
waits for whatever another does. So a kernel is called no more often than there are threads, and takes
keypoints as long as there are any; a thread that was busy elsewhere joins late and takes what is left.
"""

from __future__ import annotations

from .decorators import subroutine
from .vectors import take

AT_ONCE = 16
"""Keypoints a thread takes, so that two seldom write to the same cache line; they begin at a multiple."""


@subroutine
def numbers_taken(n_taken, n):
    """Yield numbers below n that no other thread gets; ``n_taken`` is an array of one that they share."""
    i = take(n_taken, AT_ONCE)
    while i < n:
        yield i
        i += 1
        if i % AT_ONCE == 0:
            i = take(n_taken, AT_ONCE)
