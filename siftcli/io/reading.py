"""Bounded reading of files, pipes and devices, and text with or without a byte-order mark.

Reading never waits forever for a silent pipe, and stops at a limit on a device without an end.
"""

from __future__ import annotations

import codecs
import io
import os
import stat
import sys
from collections.abc import Callable
from functools import cache
from os import PathLike
from pathlib import Path
from typing import Self

from ..errors import InputError
from ..system.pipes import open_for_reading, read_within
from .limits import PIPE_WAIT_S, Limit

HEAD_BYTES = 16
"""Number of leading bytes that identify a file's format."""
_CHUNK_BYTES = 1 << 20
STANDARD_INPUT = "-"
"""The name of the standard input. It is read once and kept, as an image is read again to be drawn."""


class OpenFile:
    """The bytes of a file, read when they are asked for, by one thread at a time; a context manager."""

    def __init__(self, path: str) -> None:
        self.stream = open(path, "rb", opener=lambda name, _: open_for_reading(name))  # noqa: SIM115
        """The file, to be read from place to place."""
        self._n = os.fstat(self.stream.fileno()).st_size

    @property
    def state(self) -> tuple[int, ...]:
        """What differs if the file is another, or has changed."""
        found = os.fstat(self.stream.fileno())
        return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, part: slice) -> bytes:
        start, stop, _ = part.indices(self._n)
        self.stream.seek(start)
        return self.stream.read(max(0, stop - start))


def read_bytes(
    path: str | PathLike[str], limit: Limit, check_head: Callable[[bytes], object] | None = None
) -> bytes:
    """Read a whole file.

    A pipe is read to its end. Reading is given up if no data arrives for ``PIPE_WAIT_S`` seconds.

    Parameters
    ----------
    path
        File, pipe or device; ``-`` is the standard input.
    limit
        Largest accepted size, in bytes.
    check_head
        Called with the first ``HEAD_BYTES`` bytes, before the rest is read; may raise to refuse the file.

    Raises
    ------
    OSError, ValueError
        If it cannot be opened or read.
    InputError
        If it exceeds the limit, or a pipe stays silent. The message does not contain the path.
    """
    if path == STANDARD_INPUT:
        data = _standard_input(limit)
        if check_head is not None:
            check_head(data[:HEAD_BYTES])
        return data
    with io.FileIO(open_for_reading(path), "r") as file:
        found = os.fstat(file.fileno())
        if stat.S_ISDIR(found.st_mode):
            raise IsADirectoryError(None, "Is a directory", os.fspath(path))
        if found.st_size > limit.value:
            raise _too_large(limit)
        is_pipe = not stat.S_ISREG(found.st_mode)
        return _read_all(file, limit, check_head, is_pipe)


@cache
def _standard_input(limit: Limit) -> bytes:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("expected an image on the standard input, got a terminal; name a file, or pipe one")
    with io.FileIO(sys.stdin.fileno(), "r", closefd=False) as file:
        is_pipe = not stat.S_ISREG(os.fstat(file.fileno()).st_mode)
        return _read_all(file, limit, None, is_pipe)


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
    """Return the next bytes; empty at the end."""
    if not is_pipe:
        return file.read(_CHUNK_BYTES)
    part = read_within(file.fileno(), _CHUNK_BYTES, PIPE_WAIT_S.value)
    if part is None:
        raise InputError(
            f"expected a file, got a pipe into which nothing was written for {PIPE_WAIT_S.value} s; "
            f"give a file, {PIPE_WAIT_S.how_to_raise}"
        )
    return part


def _too_large(limit: Limit) -> InputError:
    return InputError(
        f"expected at most {limit.value} bytes, got more; use a smaller file, {limit.how_to_raise}"
    )


def absolute(path: str | PathLike[str]) -> Path:
    """Return an absolute path without ``..``. Symbolic links are not resolved."""
    return Path(os.path.normpath(Path(path).absolute()))


def text_of(data: bytes) -> str:
    """Decode text in UTF-8, or in UTF-16 if it has that byte-order mark, as Windows writes it.

    The mark is removed. Bytes that are not UTF-8, as in file names, are kept as surrogates (PEP 383).

    Raises
    ------
    ValueError
        If it has the mark of UTF-16 but is not valid UTF-16.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            return data.decode("utf-16")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"expected UTF-16 text after its byte-order mark ({error.reason}); save it as UTF-8"
            ) from error
    return data.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")


def text_lines(data: bytes) -> list[str]:
    """Split text, decoded by :func:`text_of`, into lines that end in LF or CR LF."""
    return [line.rstrip("\r") for line in text_of(data).split("\n")]
