"""Common parts of the decoders: their result, checks of size and page, and errors."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from numpy.typing import NDArray

from ..errors import SiftcliError
from ..io.limits import MAX_PIXELS, require_memory

DECODING_BYTES = 64
"""Peak memory per pixel, in bytes: RGBA with 8 bytes per sample, and grey in double precision."""


class Decoded(NamedTuple):
    """Samples as stored, in the stored frame."""

    samples: NDArray[Any]
    """(H, W, C): grey, grey and alpha, RGB, or RGBA for C = 1 to 4."""
    full_scale: float
    """The sample value of white."""
    exif_orientation: int = 1
    n_pages: int = 1
    """Full pictures in the file; thumbnails, masks and reduced copies do not count."""
    premultiplied: bool = False
    """Whether the colours are already multiplied by alpha."""
    nodata: float | None = None
    """Sample value of pixels without a value, if the file states one."""


class BadImageError(Exception):
    """Why an image cannot be read, without its name."""


def check_size(size: tuple[int, int], pixel_bytes: int = DECODING_BYTES) -> None:
    """Refuse an image that is too large, before it is decoded.

    Parameters
    ----------
    size
        (width, height) in pixels.
    pixel_bytes
        Memory needed per pixel, in bytes.

    Raises
    ------
    BadImageError, InputError
        If it has no pixels, too many, or needs too much memory.
    """
    width, height = size
    if width < 1 or height < 1:
        raise BadImageError(f"expected at least one pixel, got {width} x {height}; export it again")
    if width * height > MAX_PIXELS.value:
        raise BadImageError(
            f"expected at most {MAX_PIXELS.value / 1e6:g} megapixels, got {width} x {height}; "
            f"reduce the image or cut it into tiles first, {MAX_PIXELS.how_to_raise}"
        )
    require_memory(
        width * height * pixel_bytes, f"decoding {width} x {height} pixels", "reduce the image first"
    )


def check_page(page: int, n_pages: int) -> None:
    """Refuse a page that does not exist.

    Raises
    ------
    BadImageError
        If ``page`` is not one of 0 to ``n_pages`` - 1; the message counts from 1.
    """
    if not 0 <= page < n_pages:
        raise BadImageError(f"expected a page from 1 to {n_pages}, got {page + 1}; choose one of these")


def truncated(reason: object) -> BadImageError:
    """Return the error for a damaged image."""
    return BadImageError(
        f"the image is truncated or damaged ({' '.join(str(reason).split())}); copy or export it again"
    )


def unsupported(got: str, advice: str = "convert it to 8-bit or 16-bit grey or RGB") -> BadImageError:
    """Return the error for a valid image of an unsupported kind."""
    return BadImageError(f"{got} cannot be read; {advice}")


def valid_orientation(tag: object) -> int:
    """Return the EXIF orientation, 1 to 8; 1 for an invalid tag."""
    return int(tag) if isinstance(tag, int) and 1 <= tag <= 8 else 1


@contextmanager
def damage() -> Iterator[None]:
    """Report any exception of a decoder as damage; damaged files can raise nearly anything."""
    try:
        yield
    except (BadImageError, SiftcliError, MemoryError):
        raise
    except Exception as error:
        raise truncated(error) from error
