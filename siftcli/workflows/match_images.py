"""Matching two images (or feature files): verified matches, recovered rotation and scale, accuracy.

With ``rotate`` or ``scale`` the second image is rotated about its centre or resized, on a canvas large
enough for all of it. If both inputs have the same pixels, the true map between them is known and the
matches are compared with it.
"""

from __future__ import annotations

import os
from dataclasses import replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import api
from ..features import Features, Matches
from ..formats import load
from ..image import Picture, check_max_image_size, page_index, read_image
from ..matching.cameras import Camera
from ..matching.options import ESSENTIAL, MatchOptions
from ..matching.search import search
from ..params import SiftParams
from ..views import metrics
from ..views.canvas import rotated
from ..views.planar import Region
from ..views.transforms import SUPPORT_SIGMAS
from .feature_pictures import PicturePlace, picture_of
from .focal_lengths import focal_lengths
from .match_request import check_request, is_feature_file
from .match_result import REPEATABILITY_PX, ImageMatch, Side, Transform, Truth

LEAST_SHARE = 0.01
"""Weight of left-out pixels above which a rotated pixel is left out; splines have long, faint tails."""

Input = str | PathLike[str] | NDArray[Any]


def match_images(
    a: Input,
    b: Input | None = None,
    *,
    rotate: float | None = None,
    scale: float | None = None,
    focal_px: tuple[float, ...] | None = None,
    options: MatchOptions | None = None,
    params: SiftParams | None = None,
    threads: int | None = None,
    max_image_size: int | None = None,
    pictures: str | None = None,
    **reading: Any,
) -> ImageMatch:
    """Match two images, verify the matches and, if the true map is known, measure their accuracy.

    Parameters
    ----------
    a, b
        Images (path or array) or feature files. Without ``b``, ``a`` is matched with itself after
        ``rotate`` or ``scale``.
    rotate
        Rotate ``b`` by this angle in degrees, counter-clockwise on the screen. Multiples of 90 only
        move pixels; other angles interpolate with a cubic spline.
    scale
        Resize ``b`` by this factor, 0.05 to 20.
    focal_px
        Focal length in pixels, of both images or of each, for the model "essential". By default it is
        read from EXIF. The camera's axis passes through the middle of the image.
    options
        How to search and verify.
    params, threads, max_image_size
        As for :func:`siftcli.detect`; they do not apply to feature files.
    pictures
        Read the pictures that feature files were made from too: from this folder, or if it is empty from
        where they were at detection.
    **reading
        ``exif_orientation``, ``page``, ``stretch`` and ``nodata``, as for :func:`siftcli.detect`.

    Returns
    -------
    ImageMatch
        Finding no features, no matches or no model is a valid result, not an error.

    Raises
    ------
    InputError
        If an input cannot be read.
    ParameterError
        If an option is out of range, or options contradict each other.
    """
    check_request(a, b, rotate=rotate, scale=scale, focal_px=focal_px)
    options = options or MatchOptions()
    limit = check_max_image_size(max_image_size)
    how: dict[str, Any] = {"params": params or SiftParams(), "threads": threads, "max_image_size": limit}
    how = {**how, "pictures": pictures, "reading": reading}
    first = _read(a, **reading)
    second = first if b is None else _read(b, **reading)
    side_a = _side(a, first, how)
    side_b, transform = _transformed_side(a if b is None else b, second, rotate, scale, how)
    cameras = None
    if options.model == ESSENTIAL:
        names = (a, a if b is None else b)
        focal_a, focal_b = focal_lengths(names, (first, second), focal_px)
        cameras = (
            Camera.centred(focal_a, side_a.features.image_size),
            Camera.centred(focal_b * transform.scale, side_b.features.image_size),
        )
    matches, found = search(side_a.features, side_b.features, options, threads, cameras)
    known = _same_pixels(first, second)
    return ImageMatch(
        a=side_a,
        b=side_b,
        matches=matches,
        verification=found,
        transform=transform,
        truth=_judge(side_a.features, side_b.features, matches, transform) if known else None,
        options=options,
    )


def _read(source: Input, page: int = 1, **reading: Any) -> Picture | Features:
    if is_feature_file(source):
        return load(os.fspath(source))  # type: ignore[arg-type]
    return read_image(source, page=page_index(page), **reading)


def _name(source: Input) -> str:
    return os.fspath(source) if isinstance(source, str | PathLike) else ""


def _side(source: Input, content: Picture | Features, how: dict[str, Any]) -> Side:
    if isinstance(content, Features):
        if how["pictures"] is None:
            return Side(name=_name(source), features=content, grey=None)
        found, grey = picture_of(_name(source), content, how["pictures"] or None)
        return Side(name=_name(source), features=content, grey=grey, place=found)
    reading = how["reading"]
    is_upright = reading.get("exif_orientation", "apply") == "apply"
    place = PicturePlace(_name(source), reading.get("page", 1), is_upright) if _name(source) else None
    picture = content.reduced(how["max_image_size"])
    features = api.detect_in_picture(picture, how["params"], threads=how["threads"])
    return Side(
        name=_name(source),
        features=features,
        grey=content.grey,
        place=place,
        n_pages=content.n_pages,
        is_faint=picture.looks_faint(len(features), how["params"].max_features),
    )


def _transformed_side(
    source: Input,
    content: Picture | Features,
    rotate: float | None,
    scale: float | None,
    how: dict[str, Any],
) -> tuple[Side, Transform]:
    """Detect in the transformed image, and drop features whose support leaves the original image."""
    if isinstance(content, Features) or (rotate is None and scale is None):
        return _side(source, content, how), Transform()
    deg, factor = rotate or 0.0, 1.0 if scale is None else scale
    grey, matrix = rotated(content.grey, deg, factor)
    canvas = content._replace(
        grey=grey, input_size=grey.shape[::-1], left_out=_transformed_flags(content, deg, factor)
    )
    side = _side(source, canvas, how)
    inside = _supported(side.features, Region.whole(_shape(content.grey)).mapped(matrix))
    return (
        replace(side, features=side.features.select(inside)),
        Transform(
            rotation_deg=deg,
            scale=factor,
            matrix=matrix,
            original_size=_shape(content.grey)[::-1],
            n_dropped=int(np.count_nonzero(~inside)),
        ),
    )


def _transformed_flags(picture: Picture, deg: float, scale: float) -> NDArray[np.bool_] | None:
    """Pixels of the transformed image to which left-out pixels contribute."""
    if picture.left_out is None:
        return None
    share, _ = rotated(picture.left_out.astype(np.float32), deg, scale)
    return share > LEAST_SHARE


def _shape(grey: NDArray[np.float32]) -> tuple[int, int]:
    return grey.shape[0], grey.shape[1]


def _supported(features: Features, region: Region) -> NDArray[np.bool_]:
    """(N,) whether the support of a keypoint lies in the region."""
    return np.asarray(region.depth(features.xy) >= SUPPORT_SIGMAS * features.scale.astype(np.float64))


def _same_pixels(first: Picture | Features, second: Picture | Features) -> bool:
    if isinstance(first, Features) or isinstance(second, Features):
        return False
    return first is second or np.array_equal(first.grey, second.grey)


def _judge(f: Features, g: Features, matches: Matches, transform: Transform) -> Truth:
    """Measure accuracy by the map, which is known because both images have the same pixels."""
    matrix = np.eye(3) if transform.matrix is None else transform.matrix
    region = Region.whole((f.image_size[1], f.image_size[0]))
    first = metrics.locations(f.select(_supported(f, region)))
    second = metrics.locations(g.select(_supported(g, region.mapped(matrix))))
    found = metrics.correspondences(first, second, matrix, REPEATABILITY_PX)
    return Truth(
        correct=metrics.match_distances(f, g, matches, matrix) <= metrics.CORRECT_MATCH_PX,
        repeatability=metrics.share(len(found), min(len(first), len(second))),
    )
