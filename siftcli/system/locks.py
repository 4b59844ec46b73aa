"""Locks of files, which the system releases when a process ends, even if it is killed.

On Linux and macOS they are advisory (``flock``), on Windows others can neither read nor write the byte that
is locked. Some network file systems ignore them.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from .files import BINARY, open_regular


def lock_descriptor(descriptor: int) -> None:
    """Lock an open file until it is closed.

    Raises
    ------
    BlockingIOError
        If another process, or this one by another descriptor, has locked it.
    OSError
        If the file system has no locks.
    """
    import filelock  # late: a single image needs none

    if not filelock.lock_descriptor(descriptor, blocking=False):
        raise BlockingIOError("locked by another process")


@contextlib.contextmanager
def lock_file(path: Path) -> Iterator[None]:
    """Hold a lock by the name of a file, which is made for it and removed at the end.

    Raises
    ------
    BlockingIOError
        If another process holds it.
    OSError
        If it cannot be made, or something else than a file has the name.
    """
    descriptor = _opened(path)
    try:
        yield
    finally:
        if sys.platform != "win32":  # still locked: a run that waits for it will create a new file
            path.unlink(missing_ok=True)
        os.close(descriptor)
        if sys.platform == "win32":  # not while it is open, by this run or already by the next one
            with contextlib.suppress(OSError):
                path.unlink()


def _opened(path: Path) -> int:
    """Open and lock the file; try again if a finishing run has just removed the one opened."""
    while True:
        descriptor = open_regular(path, os.O_RDWR | os.O_CREAT | BINARY)
        try:
            lock_descriptor(descriptor)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
