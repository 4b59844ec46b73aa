"""Locks that keep two runs from writing to the same output."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ..errors import OutputError
from ..system.locks import lock_file

LOCK_IN_FOLDER = ".siftcli.lock"


@contextmanager
def locked(output: Path, *, is_folder: bool) -> Iterator[None]:
    """Lock an output while the context is active, by a hidden file that is removed at the end.

    Parameters
    ----------
    output
        A folder or a collection.
    is_folder
        Whether it is a folder, which has the hidden file in it. That of a collection is beside it.

    Raises
    ------
    OutputError
        If another run has locked it, or the hidden file cannot be made.
    """
    beside = output.absolute().with_name(f".{output.name}.lock")
    with ExitStack() as stack:
        try:
            stack.enter_context(lock_file(output / LOCK_IN_FOLDER if is_folder else beside))
        except BlockingIOError as error:
            raise OutputError(
                f"{output} is being written by another siftcli; wait for it, or choose another output"
            ) from error
        except OSError as error:
            raise OutputError(
                f"{output} cannot be written: {error.strerror}; choose another place"
            ) from error
        yield
