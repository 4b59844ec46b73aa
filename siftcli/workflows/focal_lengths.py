"""Focal lengths of two images: as given, or read from EXIF."""

from __future__ import annotations

import os
from os import PathLike

from ..errors import ParameterError
from ..features import Features
from ..formats._exif import read_exif
from ..image import Picture


def focal_lengths(
    sources: tuple[object, object],
    contents: tuple[Picture | Features, Picture | Features],
    given: tuple[float, ...] | None,
) -> tuple[float, float]:
    """Find the focal lengths of two images.

    Parameters
    ----------
    sources
        Paths or arrays of the images.
    contents
        The images, or their features.
    given
        One focal length in pixels for both images, one for each, or None to read EXIF.

    Returns
    -------
    first, second
        In pixels of the images as they were read.

    Raises
    ------
    ParameterError
        If one is not known.
    """
    if given is not None:
        return given[0], given[-1]
    found = [_from_exif(source, content) for source, content in zip(sources, contents, strict=True)]
    for source, focal in zip(sources, found, strict=True):
        if focal is None:
            name = os.fspath(source) if isinstance(source, str | PathLike) else "an array"
            raise ParameterError(
                f"the model essential needs focal lengths, and {name!r} has none in its EXIF tags; "
                "pass --focal (focal_px), or the model fundamental"
            )
    return found[0] or 0.0, found[1] or 0.0


def _from_exif(source: object, content: Picture | Features) -> float | None:
    if isinstance(content, Features) or not isinstance(source, str | PathLike):
        return None
    return read_exif(os.fspath(source)).focal_length_px(content.input_size)
