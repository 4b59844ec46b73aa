"""What a TIFF file says of its picture: for tifffile's writer."""

from __future__ import annotations

from typing import Any

from .records import Metadata

COMPRESSIONS = {
    1: None,
    5: "lzw",
    8: "zlib",
    32946: "zlib",
    50000: "zstd",
    34925: "lzma",
    32773: "packbits",
}
"""Lossless compressions that are written again; what is stored in another one is written with ``DEFLATE``."""
DEFLATE = "zlib"
UNITS = {1: "none", 2: "inch", 3: "cm"}
_PREDICTABLE = ("lzw", "zlib", "zstd", "lzma")
_DESCRIPTION, _ICC = 270, 34675
KEPT_TAGS = (271, 272, 306, 315, 33432, 42113)
"""Make, model, date, artist, copyright, GDAL's nodata. Coordinate systems are kept by :mod:`.geo`."""
_IMAGEJ_KEYS = (
    "unit", "spacing", "finterval", "fps", "tunit", "zunit", "yunit", "xorigin", "yorigin", "zorigin",
    "min", "max", "mode", "loop", "Info", "Labels", "Ranges", "LUTs", "Properties",
)  # fmt: skip
_PIXEL_KEYS = (
    "PhysicalSizeX", "PhysicalSizeY", "PhysicalSizeZ", "PhysicalSizeXUnit", "PhysicalSizeYUnit",
    "PhysicalSizeZUnit", "TimeIncrement", "TimeIncrementUnit", "SignificantBits",
)  # fmt: skip
_CHANNEL_KEYS = (
    "Name", "Color", "EmissionWavelength", "EmissionWavelengthUnit", "ExcitationWavelength",
    "ExcitationWavelengthUnit", "Fluor", "AcquisitionMode", "IlluminationType", "ContrastMethod",
)  # fmt: skip


def metadata_of(file: Any, page: Any) -> Metadata:
    """The metadata of an open file, from its first page."""
    tags = page.tags
    icc = tags.valueof(_ICC)
    unit = UNITS.get(int(tags.valueof(296, 2)), "inch")  # tifffile's enumeration is false for "none"
    is_plain = not (file.is_imagej or file.is_ome or file.is_shaped)
    description = tags.valueof(_DESCRIPTION)
    return Metadata(
        format="tiff",
        icc=bytes(icc) if icc is not None else None,
        resolution=_resolution(tags),
        unit=unit,
        tags=_storage(file, page),
        description=description if is_plain and isinstance(description, str) else None,
        software=software if isinstance(software := tags.valueof(305), str) else None,
        imagej=_imagej(file) if file.is_imagej else None,
        ome=_ome(file) if file.is_ome else None,
        is_shaped=bool(file.is_shaped),
        byteorder=file.byteorder,
        extra=tuple(_extra(tags)),
    )


def _resolution(tags: Any) -> tuple[float, float] | None:
    values = [tags.valueof(code) for code in (282, 283)]
    if not all(isinstance(value, tuple) and len(value) == 2 and value[1] for value in values):
        return None
    x, y = (value[0] / value[1] for value in values)
    return (x, y) if x > 0 and y > 0 else None


def _storage(file: Any, page: Any) -> dict[str, Any]:
    """How the samples are stored."""
    compression = COMPRESSIONS.get(int(page.compression), DEFLATE)
    found: dict[str, Any] = {
        "photometric": _photometric(page),
        "compression": compression,
        "predictor": bool(int(page.predictor) > 1) and compression in _PREDICTABLE,
    }
    if page.is_tiled and page.tilewidth % 16 == 0 and page.tilelength % 16 == 0:
        found["tile"] = (page.tilelength, page.tilewidth)
    if page.extrasamples:
        found["extrasamples"] = [int(value) for value in page.extrasamples]
    if int(page.planarconfig) == 2 and page.samplesperpixel > 1:
        found["planarconfig"] = "separate"
    return found


def _photometric(page: Any) -> str:
    names = {0: "miniswhite", 1: "minisblack", 2: "rgb", 5: "separated", 8: "cielab"}
    code = int(page.photometric)
    if code == 6:  # YCbCr, which tifffile decodes to RGB
        return "rgb"
    return names.get(code, "minisblack")


def _imagej(file: Any) -> dict[str, Any]:
    found = dict(file.imagej_metadata or {})
    return {key: found[key] for key in _IMAGEJ_KEYS if key in found}


def _ome(file: Any) -> dict[str, Any]:
    """Attributes of the first image, as tifffile's writer takes them."""
    import tifffile

    try:
        images = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]
        image = images[0] if isinstance(images, list) else images
        pixels = image["Pixels"]
    except (KeyError, TypeError, IndexError):
        return {}
    found = {key: pixels[key] for key in _PIXEL_KEYS if key in pixels}
    if "Name" in image:
        found["Name"] = str(image["Name"])
    channels = pixels.get("Channel", [])
    channels = channels if isinstance(channels, list) else [channels]
    columns = {key: [channel.get(key) for channel in channels] for key in _CHANNEL_KEYS}
    complete = {key: values for key, values in columns.items() if values and None not in values}
    if complete:
        found["Channel"] = complete
    return found


def _extra(tags: Any) -> list[tuple[int, int, int, Any]]:
    found = []
    for code in KEPT_TAGS:
        tag = tags.get(code)
        if tag is not None:
            found.append((code, int(tag.dtype), tag.count, tag.value))
    return found
