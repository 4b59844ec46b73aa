"""The size of an image from its header."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from PIL import Image

from ..io.suffixes import EXTRAS
from .pillow import without_pillows_limit

_RAW = next(extra.suffixes for extra in EXTRAS if extra.name == "raw")


def size_of(path: str | PathLike[str]) -> tuple[int, int] | None:
    """(width, height) as stored, without decoding; None of what is no file, or not known to Pillow.

    Camera raw is left out: its first picture is a thumbnail.
    """
    try:
        if not Path(path).is_file() or Path(path).suffix.lower() in _RAW:
            return None
        with without_pillows_limit(), Image.open(path) as image:
            return image.size
    except Exception:  # Pillow raises many kinds; what is wrong is told when the image is read
        return None
