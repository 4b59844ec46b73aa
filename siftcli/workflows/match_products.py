"""What follows from the map between two images: one warped onto the other, and the outline of A in B."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..alignment.functions import warp
from ..drawing.encoding import png
from ..drawing.outline import draw_outline
from ..errors import InputError, OutputError
from ..formats.transforms import FrameTransform, Transforms, check_suffix, save_transforms
from ..frames.encoding import SUFFIXES, encode, format_of
from ..frames.reading import metadata_of
from ..image import page_index, upright
from ..image.decoding import decode
from ..image.quiet import quiet_decoders
from ..io.writing import check_output, write_output
from .feature_pictures import PicturePlace
from .match_files import check_drawing
from .match_result import ImageMatch, Side


def check_products(
    warped: str | None, drawing: str | None, transforms: str | None, *, overwrite: bool
) -> None:
    """Check that files can be written.

    Raises
    ------
    OutputError
        If a suffix is unknown, or a file exists or cannot be written.
    """
    if warped is not None:
        if format_of(warped) is None:
            raise OutputError(f"{warped}: expected a picture to end in {', '.join(SUFFIXES)}; rename it")
        check_output(warped, overwrite=overwrite)
    check_drawing(drawing, overwrite=overwrite)
    if transforms is not None:
        check_suffix(transforms)
        check_output(transforms, overwrite=overwrite)


def write_warped(result: ImageMatch, onto: str, path: str, *, overwrite: bool) -> None:
    """Write B on A's canvas, or with ``onto="B"`` A on B's as it was given, in its own type of samples.

    Raises
    ------
    InputError, OutputError
        If there is no map or no file of the picture, or the format cannot hold it.
    """
    matrix = _map(result, path)
    size_a, size_b = result.a.features.image_size, result.original_size_b
    if onto == "A":
        side, canvas, matrix = result.b, size_a, np.asarray(np.linalg.inv(matrix))
    else:
        side, canvas = result.a, size_b
    place = _place(side)
    with quiet_decoders():
        samples = warp(_samples(place), matrix, canvas)
    whole = samples[None, :, :, None] if samples.ndim == 2 else samples[None]
    alpha = "straight" if whole.shape[3] in (2, 4) else ""
    try:
        data = encode(whole, metadata_of(place.path), str(format_of(path)), alpha)
    except OutputError as error:
        raise OutputError(f"{path}: {str(error).partition(';')[0]}; name a .tif file") from error
    write_output(path, data, overwrite=overwrite)


def write_outline(result: ImageMatch, path: str, *, overwrite: bool) -> None:
    """Draw the outline of A in B as it was matched.

    Raises
    ------
    InputError, OutputError
        If A has no outline in B, or it cannot be written.
    """
    if result.corners is None or result.b.grey is None:
        raise InputError(f"{path} was not written: A has no outline in B")
    names = [
        side.features.image_name or side.name or name for side, name in ((result.a, "A"), (result.b, "B"))
    ]
    write_output(path, png(draw_outline(result.b.grey, result.corners, *names)), overwrite=overwrite)


def write_transform(result: ImageMatch, path: str, *, overwrite: bool) -> None:
    """Write the map from A to B as given, as ``siftcli align`` writes transforms.

    Raises
    ------
    InputError, OutputError
        If there is no map, or it cannot be written.
    """
    frame = FrameTransform(result.a.name, result.a.features.image_size, _map(result, path))
    found = Transforms(frames=(frame,), size=result.original_size_b, model=result.options.model)
    save_transforms(path, found, overwrite=overwrite)


def _map(result: ImageMatch, path: str) -> NDArray[np.float64]:
    if result.map_to_original is None:
        raise InputError(f"{path} was not written: no verified map from A to B")
    return result.map_to_original


def _place(side: Side) -> PicturePlace:
    if side.place is None:
        raise InputError(f"{side.name or 'an array'}: no file of its picture is known; give its image")
    return side.place


def _samples(place: PicturePlace) -> NDArray[Any]:
    """(H, W) or (H, W, C) samples in the frame of the features."""
    found = decode(place.path, page_index(place.page))
    samples = upright(found.samples, found.exif_orientation) if place.is_upright else found.samples
    return samples[:, :, 0] if samples.shape[2] == 1 else samples
