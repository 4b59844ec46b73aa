"""What decoders have in common: the samples that they give, the sizes and the damage that they refuse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from ..io.limits import MAX_PIXELS, require_memory

DECODING_BYTES = 64
"""Memory that decoding takes a pixel, at most: RGBA of 8 bytes a sample, and its grey in double precision."""


@dataclass(frozen=True)
class Decoded:
    """Samples as stored, in the stored frame."""

    samples: NDArray[Any]
    """(H, W, C): grey, grey and alpha, RGB, or RGBA for C = 1 to 4."""
    full_scale: float
    """The sample value of white."""
    exif_orientation: int = 1


class BadImageError(Exception):
    """Why an image cannot be read, without its name."""


def check_size(size: tuple[int, int]) -> None:
    """Refuse an image for its size, before it is decoded.

    Raises
    ------
    BadImageError, InputError
        If it has no pixel, too many, or needs too much memory.
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
        width * height * DECODING_BYTES, f"decoding {width} x {height} pixels", "reduce the image first"
    )


def truncated(reason: object) -> BadImageError:
    """Make the error of a damaged image."""
    return BadImageError(
        f"the image is truncated or damaged ({' '.join(str(reason).split())}); copy or export it again"
    )
