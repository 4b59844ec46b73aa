"""Write photographs with given EXIF tags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from conftest import SAMPLES
from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

CAMERA = next(path for path in SAMPLES if path.name == "camera.png")
SIZE = (300, 200)
TAGS = {
    "focal": ExifTags.Base.FocalLength,
    "focal_35mm": ExifTags.Base.FocalLengthIn35mmFilm,
    "resolution": ExifTags.Base.FocalPlaneXResolution,
    "unit": ExifTags.Base.FocalPlaneResolutionUnit,
    "width": ExifTags.Base.ExifImageWidth,
    "height": ExifTags.Base.ExifImageHeight,
}
GPS = {
    "north": ExifTags.GPS.GPSLatitudeRef,
    "latitude": ExifTags.GPS.GPSLatitude,
    "east": ExifTags.GPS.GPSLongitudeRef,
    "longitude": ExifTags.GPS.GPSLongitude,
    "below": ExifTags.GPS.GPSAltitudeRef,
    "altitude": ExifTags.GPS.GPSAltitude,
}


def ratio(numerator: int, denominator: int = 1) -> IFDRational:
    return IFDRational(numerator, denominator)


def angle(degrees: int, minutes: int, quarters_of_a_second: int) -> tuple[IFDRational, ...]:
    return ratio(degrees), ratio(minutes), ratio(quarters_of_a_second, 4)


SYDNEY = {"north": "S", "latitude": angle(33, 51, 217), "east": "E", "longitude": angle(151, 12, 49),
          "below": b"\0", "altitude": ratio(247, 2)}  # fmt: skip
"""Values that are exact in float32, as which COLMAP reads them."""
SYDNEY_POSITION = (-(33 + 51 / 60 + 54.25 / 3600), 151 + 12 / 60 + 12.25 / 3600, 123.5)


def write_photograph(
    path: Path,
    *,
    size: tuple[int, int] = SIZE,
    corner: tuple[int, int] = (0, 0),
    picture: Image.Image | None = None,
    orientation: int | None = None,
    gps: dict[str, Any] | None = None,
    **tags: Any,
) -> Path:
    """Write an image, or a crop of a sample image, with these EXIF tags as Pillow expects them."""
    exif = Image.Exif()
    if orientation is not None:
        exif[ExifTags.Base.Orientation] = orientation
    if tags:
        exif[ExifTags.IFD.Exif] = {TAGS[name]: value for name, value in tags.items()}
    if gps:
        exif[ExifTags.IFD.GPSInfo] = {GPS[name]: value for name, value in gps.items()}
    stored = Image.Exif()
    stored.load(exif.tobytes())  # Pillow writes directories into a TIFF only if it has read them
    x, y = corner
    if picture is None:
        picture = Image.open(CAMERA).convert("L").crop((x, y, x + size[0], y + size[1]))
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path, exif=stored, **({"quality": 95} if path.suffix == ".jpg" else {}))
    return path
