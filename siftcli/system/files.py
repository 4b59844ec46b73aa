"""Opening and replacing files."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from os import PathLike
from pathlib import Path

BINARY: int = getattr(os, "O_BINARY", 0)
"""Windows would translate line ends without it."""
_NO_FOLLOW: int = getattr(os, "O_NOFOLLOW", 0)
_NO_WAIT: int = getattr(os, "O_NONBLOCK", 0)

_IN_USE = (5, 32, 33)
"""Windows' errors for a file that another process, such as a virus scanner, has open just now."""
_PATIENCE_S, _PAUSE_S = 2.0, 0.05
_LONG = 240
"""Characters from which a path is long; folders are limited to 248."""


def extended(path: str | PathLike[str]) -> str | PathLike[str]:
    """A path for system calls: Windows' long ones get the prefix that lifts the limit of 260 characters."""
    if sys.platform != "win32":
        return path
    whole = os.path.abspath(path)  # noqa: PTH100  the prefix also turns off the meaning of ".."
    if len(whole) < _LONG or whole.startswith("\\\\?\\"):
        return path
    return "\\\\?\\UNC" + whole[1:] if whole.startswith("\\\\") else "\\\\?\\" + whole


def open_regular(path: Path, flags: int, mode: int = 0o666) -> int:
    """Open a regular file, as ``os.open``, in binary; a link to one, a pipe or a device is refused.

    Where the system cannot refuse links itself (Windows), the name is looked up before and compared with
    what was opened.

    Raises
    ------
    OSError
        If it is something else, or cannot be opened.
    """
    path = Path(extended(path))
    before = None
    if not _NO_FOLLOW and os.path.lexists(path):
        before = path.lstat()
        if not stat.S_ISREG(before.st_mode):
            raise _not_regular(path)
    descriptor = os.open(path, flags | BINARY | _NO_FOLLOW | _NO_WAIT, mode)
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or (before is not None and not os.path.samestat(before, found)):
            raise _not_regular(path)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _not_regular(path: Path) -> OSError:
    return OSError(errno.ELOOP, "not a regular file", str(path))


def create_new(path: Path, mode: int = 0o666) -> int:
    """Open a new file for writing; an existing name, a planted link among them, is refused.

    Raises
    ------
    OSError
        If it exists, or cannot be made.
    """
    return os.open(extended(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | BINARY, mode)


def replace(source: Path, target: Path) -> None:
    """Rename a file over another in one step, as ``os.replace``.

    Windows refuses that while somebody has the target open; it is tried again for two seconds.

    Raises
    ------
    OSError
        If it cannot be done.
    """
    end = time.monotonic() + _PATIENCE_S
    while True:
        try:
            os.replace(extended(source), extended(target))  # noqa: PTH105
        except PermissionError as error:
            if getattr(error, "winerror", None) not in _IN_USE or time.monotonic() > end or target.is_dir():
                raise
            time.sleep(_PAUSE_S)
        else:
            return


def is_only_ours(found: os.stat_result) -> bool:
    """Whether nobody else may write to a file or folder, as far as the system's permissions tell.

    Windows keeps these in access lists that Python does not read; there a user's own folders are theirs
    alone by default.
    """
    if sys.platform == "win32" or not hasattr(os, "getuid"):
        return True
    return found.st_uid == os.getuid() and not found.st_mode & 0o022


def read_at(descriptor: int, n_bytes: int, offset: int) -> bytes:
    """Read up to so many bytes from a place of an open file; fewer at its end. Moves its position."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    parts = []
    while n_bytes and (part := os.read(descriptor, n_bytes)):
        parts.append(part)
        n_bytes -= len(part)
    return b"".join(parts)


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of some bytes to a place of an open file. Moves its position."""
    os.lseek(descriptor, offset, os.SEEK_SET)
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
