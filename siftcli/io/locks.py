"""Locks that keep two runs from writing to the same output.

They use ``flock``, which the kernel releases when a process ends, even if it is killed. Some network
file systems ignore it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ..errors import OutputError


@contextlib.contextmanager
def locked(output: Path, *, is_folder: bool) -> Iterator[None]:
    """Lock an output while the context is active.

    Parameters
    ----------
    output
        A folder or a collection.
    is_folder
        Whether it is a folder, which is locked itself. A collection may be replaced during the run,
        so a hidden file beside it is locked instead, and removed at the end.

    Raises
    ------
    OutputError
        If another run has locked it, or it cannot be opened.
    """
    path = output if is_folder else output.absolute().with_name(f".{output.name}.lock")
    try:
        descriptor = os.open(path, os.O_RDONLY) if is_folder else _lock_file(path)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
    except BlockingIOError as error:
        raise OutputError(
            f"{output} is being written by another siftcli; wait for it, or choose another output"
        ) from error
    except OSError as error:
        raise OutputError(f"{output} cannot be written: {error.strerror}; choose another place") from error
    try:
        yield
    finally:
        if not is_folder:
            path.unlink(missing_ok=True)  # still locked: a run that waits for it will create a new file
        os.close(descriptor)


def _lock_file(path: Path) -> int:
    """Open and lock the lock file; try again if a finishing run has just removed the one opened."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)
