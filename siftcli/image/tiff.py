"""The header of a TIFF file: what is in it, and where its orientation tag stands.

Both decoders (Pillow and OpenCV) turn a TIFF by its orientation tag without being
asked, and disagree about saying so. Reading the tags here lets the tag be set to 1
in the copy that is decoded, so that the turn is made in one place for every format.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC = 256, 257, 258, 262
_STRIP_OFFSETS, _STRIP_BYTES, _TILE_OFFSETS, _TILE_BYTES = 273, 279, 324, 325
_ORIENTATION, _SAMPLES, _PLANAR, _SAMPLE_FORMAT = 274, 277, 284, 339
_TILE_WIDTH, _TILE_HEIGHT = 322, 323
# TIFF 6.0, section 2, and BigTIFF's 16: the unsigned whole numbers; nothing else is needed here.
_WHOLE_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}
_MOST_ENTRIES = 4096
_MOST_VALUES = 1 << 24


@dataclass(frozen=True)
class TiffHeader:
    """What the first image of a TIFF file says about itself."""

    size: tuple[int, int]
    bits: int
    is_float: bool
    is_signed: bool
    n_samples: int
    is_planar: bool
    photometric: int
    orientation: int
    tile_size: tuple[int, int] | None
    """(width, height) of a tile, if it has tiles; nothing keeps it from being larger than the image."""
    data_end: int
    """First byte after the last strip or tile, as the tags state it."""
    orientation_at: tuple[int, str] | None
    """Where the orientation value stands in the file, and its struct format."""


@dataclass(frozen=True)
class _Entry:
    values: tuple[int, ...]
    at: int
    code: str


def read_header(data: bytes) -> TiffHeader:
    """Parse the first image directory.

    Raises
    ------
    ValueError
        If the directory is cut off, lacks the size of the image, or states something twice.
    """
    try:
        tags = _directory(data)
        size = (tags[_WIDTH].values[0], tags[_HEIGHT].values[0])
    except (struct.error, KeyError, IndexError, OverflowError) as error:  # an address of 8 bytes
        raise ValueError("its image directory is cut off or damaged") from error

    def first(tag: int, default: int) -> int:
        return tags[tag].values[0] if tag in tags and tags[tag].values else default

    orientation = tags.get(_ORIENTATION)
    return TiffHeader(
        size=size,
        bits=first(_BITS, 1),
        is_float=first(_SAMPLE_FORMAT, 1) == 3,
        is_signed=first(_SAMPLE_FORMAT, 1) == 2,
        n_samples=first(_SAMPLES, 1),
        is_planar=first(_PLANAR, 1) == 2,
        photometric=first(_PHOTOMETRIC, 1),
        orientation=first(_ORIENTATION, 1),
        tile_size=(first(_TILE_WIDTH, 1), first(_TILE_HEIGHT, 1)) if _TILE_WIDTH in tags else None,
        data_end=_data_end(tags),
        orientation_at=(orientation.at, orientation.code) if orientation else None,
    )


def without_orientation(data: bytes, header: TiffHeader) -> bytes:
    """Copy the file with its orientation tag set to 1."""
    if header.orientation_at is None or header.orientation == 1:
        return data
    at, code = header.orientation_at
    return data[:at] + struct.pack(code, 1) + data[at + struct.calcsize(code) :]


def _directory(data: bytes) -> dict[int, _Entry]:
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    word, count_code, start = ("Q", "Q", 8) if big else ("I", "H", 4)
    (at,) = struct.unpack_from(order + word, data, start)
    (n_entries,) = struct.unpack_from(order + count_code, data, at)
    at += struct.calcsize(order + count_code)
    entry_bytes = 20 if big else 12
    if n_entries > _MOST_ENTRIES:
        raise ValueError(f"its image directory has {n_entries} entries")
    tags: dict[int, _Entry | None] = {}
    for i in range(n_entries):
        tag, entry = _entry(data, at + i * entry_bytes, order, word)
        if tag in tags:  # decoders disagree about which of the two counts
            raise ValueError(f"its image directory has tag {tag} twice")
        tags[tag] = entry
    return {tag: entry for tag, entry in tags.items() if entry is not None}


def _entry(data: bytes, at: int, order: str, word: str) -> tuple[int, _Entry | None]:
    tag, kind, n = struct.unpack_from(order + "HH" + word, data, at)
    if kind not in _WHOLE_TYPES or n > _MOST_VALUES:
        return tag, None
    code = order + _WHOLE_TYPES[kind]
    word_bytes = struct.calcsize(order + word)
    at += 4 + word_bytes
    if n * struct.calcsize(code) > word_bytes:  # the values do not fit in the entry: it holds their address
        (at,) = struct.unpack_from(order + word, data, at)
    values = struct.unpack_from(f"{order}{n}{_WHOLE_TYPES[kind]}", data, at)
    return tag, _Entry(values, at, code)


def _data_end(tags: dict[int, _Entry]) -> int:
    ends = [0]
    for offsets, sizes in ((_STRIP_OFFSETS, _STRIP_BYTES), (_TILE_OFFSETS, _TILE_BYTES)):
        if offsets in tags and sizes in tags:
            ends += [a + b for a, b in zip(tags[offsets].values, tags[sizes].values, strict=False)]
    return max(ends)
