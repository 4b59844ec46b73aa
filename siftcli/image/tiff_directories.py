"""The directories of a TIFF file: which of them hold full pictures, counted without reading their pixels.

TIFF 6.0, section 2; the sub-directories of Adobe's technical note 1; BigTIFF.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from .decoded import BadImageError, truncated

SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, PHOTOMETRIC, SUB_DIRECTORIES = 254, 255, 256, 257, 262, 330
_READ = (SUBFILE, OLD_SUBFILE, WIDTH, HEIGHT, PHOTOMETRIC, SUB_DIRECTORIES)
_CODES = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_OF_SEVERAL_PAGES = 2
"""The one bit of NewSubfileType that a full picture may have."""
_OLD_REDUCED = 2
_MASK = 4
_MOST_DIRECTORIES = 1 << 20
_MOST_ENTRIES = 4096
_MOST_SUB_DIRECTORIES = 1024


@dataclass(frozen=True)
class Directory:
    """An image file directory."""

    at: int
    """Its place in the file."""
    tags: tuple[int, ...]
    """The tag of every entry, in the file's order."""
    size: tuple[int, int]
    """(width, height); (0, 0) where it holds no picture."""
    is_full: bool
    """Whether it is a picture, and neither a thumbnail, a mask nor a depth map."""
    photometric: int
    sub_directories: tuple[int, ...]

    @property
    def n_pixels(self) -> int:
        """Pixels of the picture."""
        return self.size[0] * self.size[1]


class Content(Protocol):
    """The bytes of a file, at hand or read when they are asked for."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> bytes: ...


class _Layout:
    """Numbers and addresses as the first bytes of the file say."""

    def __init__(self, data: Content) -> None:
        self.data = data
        self.order = "<" if data[:2] == b"II" else ">"
        big = struct.unpack(self.order + "H", data[2:4])[0] == 43
        self.word, self.count = ("Q", "Q") if big else ("I", "H")
        self.entry_bytes, self.start = (20, 8) if big else (12, 4)

    def read(self, code: str, at: int, n: int = 1) -> tuple[int, ...]:
        layout = f"{self.order}{n}{code}"
        return struct.unpack(layout, self.data[at : at + struct.calcsize(layout)])

    def size_of(self, code: str) -> int:
        return struct.calcsize(self.order + code)


def full_pictures(data: Content) -> list[Directory]:
    """The directories of the full pictures, in the file's order; there is at least one.

    Of a directory and its sub-directories the largest counts: that of a camera's file is the picture,
    whose thumbnail stands before it.

    Raises
    ------
    BadImageError
        If the directories are damaged, or none is that of a full picture.
    """
    try:
        layout = _Layout(data)
        found, n = [], 0
        for n, main in enumerate(_chain(layout), 1):  # noqa: B007
            family = [main, *(_read(layout, at)[0] for at in main.sub_directories)]
            full = [one for one in family if one.is_full]
            if full:
                found.append(max(full, key=lambda one: one.n_pixels))
    except (struct.error, OverflowError, IndexError) as error:  # an address of 8 bytes
        raise truncated("its image directory is cut off or damaged") from error
    if not found and n == 0:
        raise truncated("it has no image directory")
    if not found:
        raise BadImageError(
            "expected a full picture, got only thumbnails, masks or directories without a size; "
            "export the picture itself"
        )
    return found


def _chain(layout: _Layout) -> Iterator[Directory]:
    seen: set[int] = set()
    (at,) = layout.read(layout.word, layout.start)
    while at:
        if at in seen or len(seen) == _MOST_DIRECTORIES:
            raise truncated("its image directories form a ring, or are too many")
        seen.add(at)
        directory, at = _read(layout, at)
        yield directory


def _read(layout: _Layout, at: int) -> tuple[Directory, int]:
    """A directory, and the address of the next."""
    (n,) = layout.read(layout.count, at)
    first = at + layout.size_of(layout.count)
    if n > _MOST_ENTRIES:
        raise truncated(f"its image directory has {n} entries")
    tags, values = [], {}
    for i in range(n):
        entry = first + i * layout.entry_bytes
        tag, kind = layout.read("H", entry, 2)
        tags.append(tag)
        if tag in _READ and tag not in values:
            values[tag] = _values(layout, entry, kind)
    (following,) = layout.read(layout.word, first + n * layout.entry_bytes)
    return _directory(at, tuple(tags), values), following


def _values(layout: _Layout, entry: int, kind: int) -> tuple[int, ...]:
    code, (n,) = _CODES.get(kind), layout.read(layout.word, entry + 4)
    if code is None or n > _MOST_SUB_DIRECTORIES:
        return ()
    word_bytes = layout.size_of(layout.word)
    at = entry + 4 + word_bytes
    if n * layout.size_of(code) > word_bytes:  # too long for the entry, which holds their address
        (at,) = layout.read(layout.word, at)
    return layout.read(code, at, n)


def _directory(at: int, tags: tuple[int, ...], values: dict[int, tuple[int, ...]]) -> Directory:
    def first(tag: int, default: int) -> int:
        return next(iter(values.get(tag, ())), default)

    size = first(WIDTH, 0), first(HEIGHT, 0)
    is_reduced = first(OLD_SUBFILE, 1) == _OLD_REDUCED and SUBFILE not in tags
    photometric = first(PHOTOMETRIC, -1)
    is_full = not (first(SUBFILE, 0) & ~_OF_SEVERAL_PAGES or is_reduced or photometric == _MASK)
    return Directory(at, tags, size, is_full and min(size) > 0, photometric, values.get(SUB_DIRECTORIES, ()))
