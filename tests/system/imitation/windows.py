"""What Windows refuses and Linux does not, and the line ends of its texts.

A file that somebody has open cannot be renamed, replaced or removed, a folder cannot be opened, some names
cannot be given, and links need a privilege. These hold for libraries too. Of siftcli's own calls more is
asked: files are opened in binary or with an encoding.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import re
import stat
from typing import Any

from callers import siftcli_called

BINARY = 0x8000
_BAD_NAME = re.compile(r'[\x01-\x1f<>:"|?*\\]|[. ]$|^(con|prn|aux|nul|com\d|lpt\d)(\.|$)', re.IGNORECASE)
_OPEN = builtins.open
"""With /proc, which siftcli is not shown."""
_real: dict[str, Any] = {}


class SharingError(PermissionError):
    """As Windows raises it for a file in use."""

    winerror = 32

    def __init__(self, path: object) -> None:
        super().__init__(errno.EACCES, "The process cannot access the file", str(path))


def begin() -> None:
    """Put functions that refuse in the place of the system's."""
    for name in ("replace", "rename", "unlink", "remove", "mkdir", "symlink", "open", "stat", "listdir"):
        _real[name] = getattr(os, name)
    _real["file"] = builtins.open
    os.replace = _replace  # type: ignore[assignment]
    os.rename = _rename  # type: ignore[assignment]
    os.unlink = os.remove = _remove  # type: ignore[assignment]
    os.mkdir, os.symlink, os.open = _mkdir, _symlink, _open  # type: ignore[assignment]
    os.O_BINARY = BINARY  # type: ignore[attr-defined]
    io.open = builtins.open = _open_file  # type: ignore[assignment]


def _is_in_use(path: Any) -> bool:
    """Whether this process has a file open or mapped."""
    try:
        wanted = _real["stat"](path, follow_symlinks=False)
    except OSError:
        return False
    for name in _real["listdir"]("/proc/self/fd"):
        try:
            if os.path.samestat(_real["stat"](f"/proc/self/fd/{name}"), wanted):
                return True
        except OSError:
            continue
    with _OPEN("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        return bool(re.search(rf" {wanted.st_ino} +{re.escape(os.path.realpath(path))}$", maps.read(), re.M))


def _check_name(path: Any) -> None:
    """Refuse a name that Windows refuses."""
    if isinstance(path, int) or str(path).startswith(("/dev/", "/proc/")):
        return
    for part in os.fsdecode(path).split("/"):
        if part not in ("", ".", "..") and _BAD_NAME.search(part):
            message = "The filename, directory name, or volume label syntax is incorrect"
            raise OSError(errno.EINVAL, message, str(path))


def _replace(source: Any, target: Any, **kwargs: Any) -> None:
    _check_name(target)
    for path in (source, target):
        if _is_in_use(path):
            raise SharingError(path)
    _real["replace"](source, target, **kwargs)


def _rename(source: Any, target: Any, **kwargs: Any) -> None:
    if os.path.lexists(target):
        raise FileExistsError(errno.EEXIST, "Cannot create a file when that file already exists", str(target))
    _replace(source, target, **kwargs)


def _remove(path: Any, **kwargs: Any) -> None:
    if _is_in_use(path):
        raise SharingError(path)
    _real["remove"](path, **kwargs)


def _mkdir(path: Any, *args: Any, **kwargs: Any) -> None:
    _check_name(path)
    _real["mkdir"](path, *args, **kwargs)


def _symlink(*_args: Any, **_kwargs: Any) -> None:
    raise OSError(errno.EPERM, "A required privilege is not held by the client")


def _open(path: Any, flags: int, mode: int = 0o777, **kwargs: Any) -> int:
    if siftcli_called() and path != os.devnull:
        assert flags & BINARY, f"{path} is opened as text: line ends would change"
        _check_name(path)
    descriptor: int = _real["open"](path, flags & ~BINARY, mode, **kwargs)
    if stat.S_ISDIR(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PermissionError(errno.EACCES, "Permission denied", str(path))
    return descriptor


def _open_file(
    file: Any,
    mode: str = "r",
    buffering: int = -1,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    *rest: Any,
    **kwargs: Any,
) -> Any:
    _check_name(file)
    if "b" not in mode and siftcli_called():
        assert encoding, f"{file} is opened in the encoding of the code page"
    if "b" not in mode and "r" not in mode and newline is None:
        newline = "\r\n"
    return _real["file"](file, mode, buffering, encoding, errors, newline, *rest, **kwargs)
