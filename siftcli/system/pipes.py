"""Reading files, pipes and devices without waiting forever."""

from __future__ import annotations

import os
import select
import sys
import threading
from os import PathLike

from .files import BINARY, extended

# Without O_NONBLOCK, opening a pipe would wait forever for a writer. Windows has no such pipes.
_FLAGS: int = BINARY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)


def open_for_reading(path: str | PathLike[str]) -> int:
    """Open a file, pipe or device; never waits.

    Raises
    ------
    OSError, ValueError
        If it cannot be opened.
    """
    return os.open(extended(path), os.O_RDONLY | _FLAGS)


def read_within(descriptor: int, n_bytes: int, seconds: float) -> bytes | None:
    """The next bytes of a pipe or device: empty at its end, None if nothing came within some seconds."""
    if sys.platform == "win32":
        return _read_in_thread(descriptor, n_bytes, seconds)
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    while poll.poll(seconds * 1000):
        try:
            return os.read(descriptor, n_bytes)
        except BlockingIOError:  # another process has read the data first
            continue
    return None


def _read_in_thread(descriptor: int, n_bytes: int, seconds: float) -> bytes | None:
    """The same where nothing tells whether there is data: another thread waits for it, maybe forever."""
    found: list[bytes | OSError] = []
    copy = os.dup(descriptor)  # closing a descriptor waits for those who read from it

    def read() -> None:
        try:
            found.append(os.read(copy, n_bytes))
        except OSError as error:
            found.append(error)
        finally:
            os.close(copy)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    reader.join(seconds)
    if not found:
        return None
    if isinstance(found[0], OSError):
        raise found[0]
    return found[0]
