"""Atomic writing: an output file is complete or does not exist."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections.abc import Iterator
from os import PathLike
from pathlib import Path

from ..errors import OutputError, StorageError
from ..system.files import create_new, replace

_PREFIX, _SUFFIX = ".siftcli-", ".tmp"
_STORAGE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.ESTALE)
"""Errors that every further write would cause too."""


def check_output(path: str | PathLike[str], *, overwrite: bool = False) -> None:
    """Check that a file can be written.

    Raises
    ------
    OutputError
        If it exists and may not be overwritten, is a folder, or its folder is missing
        or not writable.
    """
    name = os.fspath(path)
    try:
        target = Path(os.path.realpath(name))
        if target.is_dir():
            raise OutputError(f"{name} is a folder; name a file in it")
        if is_special(target):
            return
        if os.path.lexists(name) and not overwrite:
            raise OutputError(f"{name} exists; pass --overwrite to replace it")
        _check_folder(name, target.parent)
    except (OSError, ValueError) as error:
        raise _cannot_write(name, error) from error


def write_output(path: str | PathLike[str], data: bytes, *, overwrite: bool = False) -> None:
    """Write a file that the user named: under a temporary name first, then renamed.

    Permissions follow the umask. A link to a file to overwrite is followed, as editors do. An existing
    device, pipe or socket is written to directly.

    Raises
    ------
    OutputError
        If the file exists and may not be overwritten, or cannot be written.
    """
    check_output(path, overwrite=overwrite)
    name = os.fspath(path)
    target = Path(os.path.realpath(name))
    try:
        if is_special(target):
            with target.open("wb") as stream:
                stream.write(data)
        else:
            _write_and_rename(target if overwrite else _in_real_folder(name), data)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _cannot_write(name, error) from error


def write_inside(path: str | PathLike[str], data: bytes, *, overwrite: bool = False) -> None:
    """Write a file whose name siftcli chose, in a folder to which others may have access.

    As :func:`write_output`, but an existing link or pipe is replaced, never written through.

    Raises
    ------
    OutputError
        If the file exists and may not be overwritten, or cannot be written.
    """
    name = os.fspath(path)
    if os.path.lexists(name) and not overwrite:
        raise OutputError(f"{name} exists; pass --overwrite to replace it")
    try:
        _write_and_rename(_in_real_folder(name), data)
    except (OSError, ValueError) as error:
        raise _cannot_write(name, error) from error


@contextlib.contextmanager
def whole_file(path: str | PathLike[str], *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path to write to, which becomes the file if no exception is raised.

    Raises
    ------
    OutputError
        If the file exists and may not be overwritten, or cannot be written.
    """
    check_output(path, overwrite=overwrite)
    name = os.fspath(path)
    temporary = temporary_name(_in_real_folder(name))
    try:
        yield temporary
        replace(temporary, _in_real_folder(name))
    except OSError as error:
        raise _cannot_write(name, error) from error
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()


def _in_real_folder(name: str) -> Path:
    """Resolve links in the folder of a path, but not in its last part."""
    folder, base = os.path.split(name)
    return Path(os.path.realpath(folder or os.curdir), base)


def is_special(target: str | PathLike[str]) -> bool:
    """Whether a path exists and is neither a regular file nor a folder: a device, pipe or socket."""
    try:
        mode = Path(target).stat().st_mode
    except (OSError, ValueError):  # missing, a loop of links, or not a name: reported when it is opened
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def is_new(target: str | PathLike[str]) -> bool:
    """Whether nothing was written to this output before: it is missing, an empty folder, or special."""
    path = Path(target)
    if is_special(path) or not os.path.lexists(path):
        return True
    return path.is_dir() and not any(path.iterdir())


def _check_folder(name: str, folder: Path) -> None:
    if not folder.is_dir():
        raise OutputError(f"{name} cannot be written: {folder} is not a folder; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{name} cannot be written: {folder} is not writable; choose another folder")


def _write_and_rename(target: Path, data: bytes) -> None:
    temporary = temporary_name(target)
    descriptor = create_new(temporary)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(data)
        replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def temporary_name(target: Path) -> Path:
    """A unique name in the target's folder."""
    return target.with_name(f"{_PREFIX}{os.urandom(8).hex()}{_SUFFIX}")


def remove_temporaries(folder: Path, *, recursive: bool, older_than_s: float = 0) -> None:
    """Remove temporary files that killed runs have left behind.

    Where other runs may be writing, ``older_than_s`` keeps their temporary files, in seconds.
    """
    pattern, latest = f"{_PREFIX}*{_SUFFIX}", time.time() - older_than_s
    for path in folder.rglob(pattern) if recursive else folder.glob(pattern):
        with contextlib.suppress(OSError):
            if path.lstat().st_mtime <= latest:
                path.unlink()


def _cannot_write(name: str, error: Exception) -> OutputError:
    reason = getattr(error, "strerror", None) or str(error)
    kind = StorageError if getattr(error, "errno", None) in _STORAGE else OutputError
    return kind(f"{name} cannot be written: {reason}; choose another place")
