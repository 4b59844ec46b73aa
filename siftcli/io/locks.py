"""One run at a time into an output, by ``flock``: the kernel frees it when a process dies, however it dies.

Some network file systems ignore it.
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
    """Hold an output while the context lasts.

    Parameters
    ----------
    output
        A folder, which is locked itself, or a collection, which may be replaced meanwhile: a
        hidden file beside it is locked, and removed at the end.
    is_folder
        Which of these.

    Raises
    ------
    OutputError
        If another run holds it, or it cannot be opened.
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
            path.unlink(missing_ok=True)  # while it is held: who waits for a new name makes a new file
        os.close(descriptor)


def _lock_file(path: Path) -> int:
    """Open the file that the name stands for; a run that ends may have removed the one just opened."""
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
