"""``siftcli.detect`` and ``siftcli.describe``: from a file or an array to features in input pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import detection
from .errors import InputError, ParameterError
from .features import Features
from .image import ImageSource, Picture, page_index, read_image, read_mask
from .image.by_rows import RowPicture, open_rows, what_needs_all
from .image.stretch import DISTANCE_BYTES, distance_to
from .io.limits import MAX_FEATURES, require_memory
from .params import SiftParams
from .presets import DEFAULT_PRESET
from .sift import pipeline


def detect(  # noqa: PLR0913  what the command asks for, by keyword
    image: ImageSource,
    params: SiftParams | None = None,
    *,
    preset: str | None = None,
    mask: ImageSource | None = None,
    threads: int | None = None,
    exif_orientation: str = "apply",
    max_image_size: int | None = None,
    page: int = 1,
    stretch: str = "none",
    nodata: float | None = None,
    with_descriptors: bool = True,
    **options: Any,
) -> Features:
    """Find the SIFT features of an image.

    Parameters
    ----------
    image
        Path of an image file, or an array (H, W) or (H, W, 3 or 4), uint8, uint16 or
        float (nominally in [0, 1]; of any range with a stretch).
    params
        Parameters; the default preset when not given.
    preset
        Instead of ``params``: ``"default"``, ``"classic"`` or ``"dense"``.
    mask
        Path or array (H, W) in the frame of the features that come back (``exif_orientation``);
        features whose centre falls on zero are dropped. A mask with an EXIF orientation of its
        own is turned by that first.
    threads
        Threads inside the image; all cores when not given. The result does not depend on it.
    exif_orientation
        ``"apply"`` rotates the picture as its EXIF tag says, ``"ignore"`` takes the stored pixels.
    max_image_size
        Detect on a copy reduced to this longest side, in pixels; coordinates and
        scales still come back in input pixels.
    page
        Which page (frame) of a file of several; 1 is the first.
    stretch
        For faint pictures: ``"minmax"`` maps the smallest grey value to 0 and the largest to 1,
        ``"percentile"`` does so with the 0.1 and 99.9 percentiles. Pixels that are NaN, infinite,
        fully transparent or nodata are left out, and features dropped whose descriptor
        reaches them. ``"none"`` takes the values as they are.
    nodata
        Sample value of pixels to leave out, also without a stretch; with one, the value that the
        file's own tag states when not given.
    with_descriptors
        Whether to describe the features; if not, their descriptors are zero, and it takes less time.
    **options
        Any field of :class:`SiftParams`.

    Returns
    -------
    Features
        Strongest first; possibly none.

    Raises
    ------
    InputError
        If the image or the mask cannot be read, the mask has another size, or the image exceeds one
        of :mod:`siftcli.io.limits`.
    ParameterError
        If a parameter is unknown or out of range, or both ``params`` and ``preset`` are given.

    Examples
    --------
    >>> import siftcli
    >>> siftcli.detect("sample_images/camera.png", max_features=500)
    <Features: 500 keypoints of 'camera.png', 512 x 512 px, sigma ... px, rootsift>

    Any parameter is a keyword, and a preset is a set of them:

    >>> few = siftcli.detect("sample_images/camera.png", preset="classic", max_features=10)
    >>> few.descriptor_kind
    'sift'

    An array does as well, and finding nothing is a result:

    >>> import numpy as np
    >>> len(siftcli.detect(np.zeros((100, 120), np.uint8)))
    0
    """
    params = asked_for(params, preset, options)
    reading: dict[str, Any] = {
        "exif_orientation": exif_orientation,
        "max_image_size": max_image_size,
        "page": page_index(page),
        "stretch": stretch,
        "nodata": nodata,
    }
    whole_for = what_needs_all(mask=mask is not None, views=params.views)
    rows = open_rows(image, **reading, whole_for=whole_for)
    if rows is not None:
        return detect_in_picture(rows, params, threads=threads, with_descriptors=with_descriptors)
    picture = read_image(image, **reading)
    allowed = None if mask is None else read_mask(mask, picture)
    return detect_in_picture(
        picture, params, mask=allowed, threads=threads, with_descriptors=with_descriptors
    )


def detect_in_picture(
    picture: Picture | RowPicture,
    params: SiftParams,
    *,
    mask: NDArray[np.bool_] | None = None,
    threads: int | None = None,
    with_descriptors: bool = True,
) -> Features:
    """Find the features of a picture that was read; as :func:`detect`.

    Raises
    ------
    InputError
        If it would need more memory, or has more features, than the limits allow.
    """
    _require_memory(picture, params)
    room = None if picture.left_out is None else distance_to(picture.left_out)
    limit = MAX_FEATURES.value
    limited = params if params.max_features else params.override(max_features=limit + 1)
    features = detection.detect(
        picture.grey,
        limited,
        mask=mask,
        room=room,
        threads=threads,
        with_descriptors=with_descriptors,
        about={
            "image_name": picture.name,
            "exif_orientation": picture.exif_orientation,
            "params": params,
        },
    )
    if params.max_features is None and len(features) > limit:
        raise InputError(
            f"{picture.label}: expected at most {limit} features; pass --max-features (max_features), "
            f"{MAX_FEATURES.how_to_raise}"
        )
    return picture.to_input_frame(features)


def _require_memory(picture: Picture | RowPicture, params: SiftParams) -> None:
    height, width = picture.grey.shape
    room_bytes = 0 if picture.left_out is None else height * width * DISTANCE_BYTES
    rows = picture.grey if isinstance(picture, RowPicture) else None
    require_memory(
        detection.working_bytes((height, width), params, rows) + room_bytes,
        f"{picture.label}: detection in {width} x {height} pixels",
        "pass --max-image-size (max_image_size) or --first-octave 0",
    )


def describe(
    image: ImageSource,
    features: Features,
    params: SiftParams | None = None,
    *,
    preset: str | None = None,
    page: int = 1,
    stretch: str = "none",
    nodata: float | None = None,
    threads: int | None = None,
    **options: Any,
) -> Features:
    """Compute the descriptors of given frames (position, scale, orientation, octave).

    Parameters
    ----------
    image
        As for :func:`detect`, in the frame that the features refer to.
    features
        The frames; their descriptors are replaced.
    params
        Parameters; those the features were made with, or else the default preset.
    preset
        As for :func:`detect`.
    page, stretch, nodata
        As the features were made with; see :func:`detect`.
    threads, **options
        As for :func:`detect`.

    Returns
    -------
    Features
        The same rows in the same order, with new descriptors.

    Raises
    ------
    InputError
        If the image cannot be read or its size is not that of the features.
    ParameterError
        If a parameter is unknown or out of range.

    Examples
    --------
    >>> import siftcli
    >>> features = siftcli.detect("sample_images/camera.png", max_features=500)
    >>> pooled = siftcli.describe("sample_images/camera.png", features, dsp=True)
    >>> pooled.params.dsp, bool((pooled.xy == features.xy).all())
    (True, True)
    """
    params = asked_for(params if params or preset else features.params, preset, options)
    if params.views:
        raise ParameterError(
            "features of simulated views cannot be described again, as their views are not stored; "
            "detect again with other parameters, or pass views=0 to describe them in the image itself"
        )
    exif_orientation = "apply" if features.exif_orientation != 1 else "ignore"
    picture = read_image(
        image, exif_orientation=exif_orientation, page=page_index(page), stretch=stretch, nodata=nodata
    )
    picture.require_size(features.image_size)
    return describe_in_picture(picture, features, params, threads=threads)


def describe_in_picture(
    picture: Picture, features: Features, params: SiftParams, *, threads: int | None = None
) -> Features:
    """Describe frames in a picture that was read; as :func:`describe`."""
    return pipeline.describe(np.ascontiguousarray(picture.grey), features, params, threads=threads)


def asked_for(params: SiftParams | None, preset: str | None, options: Mapping[str, Any]) -> SiftParams:
    """What a call asks for: given parameters or a preset, with fields overridden by ``options``.

    Raises
    ------
    ParameterError
        If there are both, or as for :meth:`SiftParams.preset`.
    """
    if params is None:
        return SiftParams.preset(preset or DEFAULT_PRESET, **options)
    if preset is not None:
        raise ParameterError(
            f"expected params or preset, got both; SiftParams.preset({preset!r}, ...) makes params of one"
        )
    return params.override(**options)
