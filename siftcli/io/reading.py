"""Reading what may be no file: a pipe nobody writes to, a device without an end, more than may be.

And text as other programs write it, with a byte-order mark or without.
"""

from __future__ import annotations

import codecs
import io
import os
import select
import stat
from collections.abc import Callable
from os import PathLike
from pathlib import Path

from ..errors import InputError
from .limits import PIPE_WAIT_S, Limit

HEAD_BYTES = 16
"""First bytes by which a file's format is told."""
_CHUNK_BYTES = 1 << 20


def read_bytes(
    path: str | PathLike[str], limit: Limit, check_head: Callable[[bytes], object] | None = None
) -> bytes:
    """Read a file whole.

    A pipe is read to its end, and given up when nothing comes through it for ``PIPE_WAIT_S``.

    Parameters
    ----------
    path
        File, pipe or device.
    limit
        The most bytes it may have.
    check_head
        Called with the first bytes, before the rest is read; may raise.

    Raises
    ------
    OSError, ValueError
        If it cannot be opened or read.
    InputError
        If it is larger than the limit, or a pipe stays silent. The message lacks the name.
    """
    # Without O_NONBLOCK opening a pipe would wait for a writer for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with io.FileIO(descriptor, "r") as file:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(None, "Is a directory", os.fspath(path))
        if found.st_size > limit.value:
            raise _too_large(limit)
        is_pipe = not stat.S_ISREG(found.st_mode)
        return _read_all(file, limit, check_head, is_pipe)


def _read_all(
    file: io.FileIO, limit: Limit, check_head: Callable[[bytes], object] | None, is_pipe: bool
) -> bytes:
    data = bytearray()
    while len(data) < HEAD_BYTES and (part := _part(file, is_pipe)):
        data += part
    if check_head is not None:
        check_head(bytes(data[:HEAD_BYTES]))
    while len(data) <= limit.value and (part := _part(file, is_pipe)):
        data += part
    if len(data) > limit.value:
        raise _too_large(limit)
    return bytes(data)


def _part(file: io.FileIO, is_pipe: bool) -> bytes:
    """The next bytes; none at the end."""
    while True:
        if is_pipe:
            _wait(file)
        part = file.read(_CHUNK_BYTES)
        if part is not None:  # None: another reader was quicker
            return part


def _wait(file: io.FileIO) -> None:
    poll = select.poll()
    poll.register(file, select.POLLIN)
    if not poll.poll(PIPE_WAIT_S.value * 1000):
        raise InputError(
            f"expected a file, got a pipe into which nothing was written for {PIPE_WAIT_S.value} s; "
            f"name a file, {PIPE_WAIT_S.how_to_raise}"
        )


def _too_large(limit: Limit) -> InputError:
    return InputError(f"expected at most {limit.value} bytes; name another file, {limit.how_to_raise}")


def absolute(path: str | PathLike[str]) -> Path:
    """Make a path absolute, without ``..``; links stay, as their names are the user's."""
    return Path(os.path.normpath(Path(path).absolute()))


def text_of(data: bytes) -> str:
    """Decode text: UTF-8, or what its byte-order mark says (Windows writes UTF-16); the mark is dropped.

    Bytes that are no UTF-8, as in a file name, are kept as surrogates (PEP 383).

    Raises
    ------
    ValueError
        If it has the mark of UTF-16 and is none.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"expected UTF-16 text, as its first bytes say ({error.reason}); save it as UTF-8"
            ) from error
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def text_lines(data: bytes) -> list[str]:
    """Lines of a text, as :func:`text_of` decodes it, that end in LF or CR LF."""
    return [line.rstrip("\r") for line in text_of(data).split("\n")]
