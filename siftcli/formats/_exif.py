"""EXIF tags of the camera: focal length, orientation, position.

Tags have the numbers and names of the standard (CIPA DC-008, 4.6.4 to 4.6.6). Values that are damaged,
not finite or out of range are treated as missing.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from PIL import ExifTags, Image

from ..image.pillow import without_pillows_limit

DIAGONAL_35MM = 43.27
"""Of a 36 mm × 24 mm frame, in mm."""
_UNIT_MM = {2: 25.4, 3: 10.0, 4: 1.0, 5: 0.001}
"""Length of a FocalPlaneResolutionUnit; the standard has 2 (inch) and 3 (cm), cameras write 4 and 5 too."""
_BELOW_SEA_LEVEL = (1, 3)
"""GPSAltitudeRef of altitudes that are negative: below sea level, below the ellipsoid."""

Tags = Mapping[int, Any]


@dataclass(frozen=True)
class Exif:
    """Values of the tags; None for missing ones."""

    orientation: int | None = None
    """1 to 8: how to rotate and mirror the stored pixels for display."""
    focal_35mm_mm: float | None = None
    """Focal length with the same angle of view on 35 mm film, in mm."""
    focal_px: float | None = None
    """Focal length in pixels, for an image with ``sides``."""
    sides: tuple[int, int] | None = None
    """Shorter and longer side in pixels, from EXIF or else from the file."""
    position: tuple[float, float, float] | None = None
    """Latitude and longitude in degrees (north and east positive), altitude in m."""

    def focal_length_px(self, size: tuple[int, int]) -> float | None:
        """Focal length in pixels for an image of this stored size, computed as COLMAP does.

        The 35 mm focal length is an angle of view and applies to an image of any size. The other one
        applies only to the size that the camera wrote, as an image of another size has been resized or
        cropped. A rotation by 90° keeps the sides.
        """
        if self.focal_35mm_mm is not None:
            return self.focal_35mm_mm / DIAGONAL_35MM * math.hypot(*size)
        return self.focal_px if self.sides == (min(size), max(size)) else None


def read_exif(path: str) -> Exif:
    """Read the EXIF tags of an image file; all are None if it has none or is not an image.

    In a PNG only tags stored before the pixels are read, as COLMAP does.
    """
    if not os.path.isfile(path):  # noqa: PTH113  a pipe can be read only once; Path.is_file raises for long names
        return Exif()
    try:
        with without_pillows_limit(), Image.open(path) as image:
            tags = Image.Image.getexif(image)  # not a PNG's own, which decodes the pixels first
            camera, gps = _directory(tags, ExifTags.IFD.Exif), _directory(tags, ExifTags.IFD.GPSInfo)
            orientation = tags.get(ExifTags.Base.Orientation)
            sides = _sides(camera, image.size)
    except Exception:  # damaged EXIF can raise nearly anything, and the image itself is read elsewhere
        return Exif()
    return Exif(
        orientation=orientation if isinstance(orientation, int) and 1 <= orientation <= 8 else None,
        focal_35mm_mm=_positive(camera, ExifTags.Base.FocalLengthIn35mmFilm),
        focal_px=_focal_px(camera),
        sides=sides,
        position=_position(gps),
    )


def _directory(tags: Image.Exif, which: int) -> Tags:
    try:
        return dict(tags.get_ifd(which))
    except Exception:  # one damaged directory leaves the others
        return {}


def _number(tags: Tags, tag: int) -> float:
    """A tag's value; NaN if there is none."""
    try:
        return float(tags[tag])
    except Exception:  # a tag's value can be of any type
        return math.nan


def _positive(tags: Tags, tag: int) -> float | None:
    value = _number(tags, tag)
    return value if math.isfinite(value) and value > 0 else None


def _focal_px(camera: Tags) -> float | None:
    """FocalLength in mm times the pixels of the focal plane a mm, across."""
    focal_mm = _positive(camera, ExifTags.Base.FocalLength)
    pixels = _positive(camera, ExifTags.Base.FocalPlaneXResolution)
    unit_mm = _UNIT_MM.get(camera.get(ExifTags.Base.FocalPlaneResolutionUnit, 0))
    if focal_mm is None or pixels is None or unit_mm is None:
        return None
    return focal_mm * pixels / unit_mm


def _sides(camera: Tags, size: tuple[int, int]) -> tuple[int, int]:
    """PixelXDimension and PixelYDimension; the file's own width or height for one that is not there."""
    width, height = (
        _positive(camera, tag) or side
        for tag, side in zip((ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight), size, strict=True)
    )
    return int(min(width, height)), int(max(width, height))


def _position(gps: Tags) -> tuple[float, float, float] | None:
    """Latitude, longitude and altitude, if all are there.

    Zero in all three is what a receiver writes that knows nothing yet.
    """
    sign = -1 if _altitude_reference(gps) in _BELOW_SEA_LEVEL else 1
    position = (
        _degrees(gps, ExifTags.GPS.GPSLatitude, ExifTags.GPS.GPSLatitudeRef, "NS", 90),
        _degrees(gps, ExifTags.GPS.GPSLongitude, ExifTags.GPS.GPSLongitudeRef, "EW", 180),
        sign * _number(gps, ExifTags.GPS.GPSAltitude),
    )
    return position if all(map(math.isfinite, position)) and any(position) else None


def _altitude_reference(gps: Tags) -> int:
    """0, above sea level, is the standard's default; a byte comes as bytes."""
    value = gps.get(ExifTags.GPS.GPSAltitudeRef, 0)
    return value[0] if isinstance(value, bytes) and value else value if isinstance(value, int) else 0


def _degrees(gps: Tags, tag: int, reference: int, letters: str, largest: int) -> float:
    """Signed degrees of degrees, minutes and seconds and of a letter of a hemisphere; NaN without both."""
    try:
        degrees, minutes, seconds = (float(value) for value in gps[tag])
        sign = (1, -1)[letters.index(str(gps[reference]).strip("\0 ")[:1].upper() or "?")]
    except Exception:  # a tag's value can be of any type
        return math.nan
    angle = sign * (degrees + minutes / 60 + seconds / 3600)
    return angle if abs(angle) <= largest else math.nan
