"""Open picture files; the latest stay open, since frames of one stack are read one after the other."""

from __future__ import annotations

import stat
from collections import OrderedDict
from pathlib import Path

from ..errors import InputError
from ..image.decoded import BadImageError
from .records import Layout, Metadata, Reader, Samples

OPEN_FILES = 4
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_open: OrderedDict[tuple[str, int, int], Reader] = OrderedDict()


def reader(path: str) -> Reader:
    """Open a picture file, or return it if it is open.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        state = Path(path).stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read ({reason}); check the path") from error
    if not stat.S_ISREG(state.st_mode):
        raise InputError(f"{path}: expected a file, as frames are read twice; copy it into one")
    key = path, state.st_mtime_ns, state.st_size
    if key in _open:
        _open.move_to_end(key)
        return _open[key]
    _open[key] = _opened(path)
    if len(_open) > OPEN_FILES:
        _open.popitem(last=False)[1].close()
    return _open[key]


def close_all() -> None:
    """Close every file that is open."""
    while _open:
        _open.popitem()[1].close()


def _opened(path: str) -> Reader:
    from .plain import PlainReader
    from .tiff import TiffReader

    if not _is_tiff(path):
        return PlainReader(path)
    try:
        return TiffReader(path)
    except BadImageError as error:
        raise InputError(f"{path}: {error}") from error


def _is_tiff(path: str) -> bool:
    if not Path(path).is_file():
        return False
    try:
        with Path(path).open("rb") as file:
            return file.read(4) in _TIFF
    except OSError:
        return False  # the decoder says why


def layout_of(path: str) -> Layout:
    """The layout of a file's frames."""
    return reader(path).layout


def metadata_of(path: str) -> Metadata:
    """The metadata of a file."""
    return reader(path).metadata


def read_frame(path: str, index: int) -> Samples:
    """(P, H, W, S) samples of a frame.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return reader(path).frame(index)
    except BadImageError as error:
        raise InputError(f"{path}: {error}") from error


def read_region(path: str, index: int, box: tuple[int, int, int, int]) -> Samples:
    """(P, h, w, S) samples of a part of a frame.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        return reader(path).region(index, box)
    except BadImageError as error:
        raise InputError(f"{path}: {error}") from error
