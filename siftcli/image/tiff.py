"""TIFF: siftcli reads the directories, tifffile the tags of a page, imagecodecs its pixels."""

from __future__ import annotations

import io
import logging
from typing import Any, BinaryIO

from ..io.limits import require_memory
from .decoded import Decoded, check_page, check_size, damage, truncated, unsupported, valid_orientation
from .raw import decode_raw
from .tiff_colours import samples_of
from .tiff_directories import Directory, full_pictures
from .tiff_pixels import read_pixels

# tifffile also logs what is reported here as an error; this handler keeps it off the terminal.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_CANON_RAW = slice(8, 10), b"CR"
RAW_KINDS = 32803, 34892
"""Photometric interpretations of a sensor's values: a colour filter's, and linear ones."""
ORIENTATION, _GDAL_NODATA = 274, 42113
_BLACK_IS_ZERO, _RGB = 1, 2
# All tags on which the pixels depend.
_STRUCTURE = {
    256, 257, 258, 259, 262, 266, 273, 277, 278, 279, 284, 292, 293, 317, 320, 322, 323, 324, 325,
    332, 338, 339, 347, 529, 530, 532, 32997, 32998, 50674,
}  # fmt: skip
_MOST_SAMPLES = 512
"""A pixel; imaging spectrometers have some hundred bands."""
_COPIES, _GREY_BYTES = 4, 32
"""Copies of each sample while strips are unpacked, and bytes per pixel of the grey image."""


def decode_tiff(data: bytes, page: int = 0) -> Decoded:
    """Decode a full picture of a TIFF file; raw pictures in it are developed.

    Raises
    ------
    BadImageError
        If it is damaged, too large, has no such page, or has samples of an unsupported kind.
    """
    if data[_CANON_RAW[0]] == _CANON_RAW[1]:
        return decode_raw(data, page)
    pictures = full_pictures(data)
    check_page(page, len(pictures))
    chosen = pictures[page]
    if chosen.photometric in RAW_KINDS:
        return decode_raw(data, page)
    with damage():  # a tag may hold anything
        tags = tags_of(io.BytesIO(data), chosen)
        check_size(chosen.size)
        _check_memory(tags)
        samples, full_scale, premultiplied = samples_of(read_pixels(tags, data), tags)
        orientation = valid_orientation(tags.tags.valueof(ORIENTATION, 1))
        nodata = _nodata(tags)
    return Decoded(samples, full_scale, orientation, len(pictures), premultiplied, nodata)


def _nodata(tags: Any) -> float | None:
    """The sample value that GDAL's tag names as no data; None without the tag, or where it is no number.

    Only where samples are given as they are stored: inverted or mapped ones cannot be compared with it.
    """
    if int(tags.photometric) not in (_BLACK_IS_ZERO, _RGB):
        return None
    text = tags.tags.valueof(_GDAL_NODATA, None)
    try:
        return float(text) if isinstance(text, str | int | float) else None
    except ValueError:
        return None


def tags_of(content: BinaryIO, chosen: Directory) -> Any:
    """Tifffile's page, with every tag that matters, each with one value."""
    import tifffile

    content.seek(0)
    file = tifffile.TiffFile(content)
    file.filehandle.seek(chosen.at)
    page = tifffile.TiffPage(file, 0)
    for tag in _STRUCTURE.intersection(chosen.tags):
        values = page.tags.getall(tag, default=())
        if len(values) != chosen.tags.count(tag):
            raise truncated(f"its tag {tag} cannot be read")
        if any(repr(one.value) != repr(values[0].value) for one in values[1:]):
            raise truncated(f"it states tag {tag} twice, with two values")
    if (page.imagewidth, page.imagelength) != chosen.size:
        raise truncated("it states two sizes")
    return page


def pixel_bytes(n_samples: int, sample_bytes: int) -> int:
    """Peak memory of decoding per pixel, in bytes."""
    return _COPIES * n_samples * sample_bytes + _GREY_BYTES


def _check_memory(tags: Any) -> None:
    """Refuse volumes, pixels of very many samples, and what is too large for the memory."""
    if tags.imagedepth != 1 or tags.tiledepth != 1:
        raise unsupported(f"a volume of {tags.imagedepth} slices", "save its slices as pages")
    if tags.samplesperpixel > _MOST_SAMPLES:
        raise unsupported(
            f"a TIFF of {tags.samplesperpixel} samples a pixel", f"keep {_MOST_SAMPLES} at most"
        )
    width, height = tags.imagewidth, tags.imagelength
    sample_bytes = 8 if tags.dtype is None else tags.dtype.itemsize
    require_memory(
        width * height * pixel_bytes(tags.samplesperpixel, sample_bytes),
        f"decoding {width} x {height} pixels of {tags.samplesperpixel} samples",
        "reduce the image first",
    )
    if tags.is_tiled:  # nothing keeps a tile from being larger than the image
        check_size((tags.tilewidth, tags.tilelength))
