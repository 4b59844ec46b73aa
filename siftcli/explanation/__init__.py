"""One keypoint, or a candidate that was rejected, from pixels to 128 numbers: ``siftcli.explain``.

Nothing is computed a second time: the stages of the pipeline run again on the one candidate, and fill in a
trace of what they do on the way.
"""

from __future__ import annotations

import math
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..api import asked_for
from ..detection import working_bytes
from ..errors import InputError, ParameterError
from ..image import Picture, page_index, read_image, read_mask
from ..io.limits import require_memory
from ..kernels.threads import Threads
from ..params import SiftParams
from ..views.canvas import rotated
from .octaves import Chosen, candidate_of, nearest_to
from .records import Description, Difference, Explanation, Verdict, View
from .stages import Scene, view_of
from .turning import compared, counterpart

__all__ = ["Description", "Difference", "Explanation", "Verdict", "View", "explain"]


def explain(  # noqa: PLR0913  the options of detect, and which keypoint
    image: str | PathLike[str] | NDArray[Any],
    params: SiftParams | None = None,
    *,
    at: tuple[float, float] | None = None,
    keypoint: int | None = None,
    rotate: float | None = None,
    preset: str | None = None,
    mask: str | PathLike[str] | NDArray[Any] | None = None,
    threads: int | None = None,
    exif_orientation: str = "apply",
    page: int = 1,
    stretch: str = "none",
    nodata: float | None = None,
    **options: Any,
) -> Explanation:
    """Follow one keypoint of an image, or a rejected candidate, through the stages.

    Parameters
    ----------
    image, params, preset, mask, threads, exif_orientation, page, stretch, nodata, **options
        As for :func:`siftcli.detect`.
    at
        (x, y) in pixels: the nearest candidate or keypoint is explained.
    keypoint
        Row of the output of :func:`siftcli.detect` with the same parameters, from 0. When neither is
        given, the first.
    rotate
        Also explain the same keypoint in the image rotated by so many degrees, counter-clockwise.

    Raises
    ------
    InputError
        If the image cannot be read, has no keypoint, or no candidate is near.
    ParameterError
        If a place is outside the image, a row beyond the output, or a parameter cannot be explained.

    Examples
    --------
    >>> import siftcli
    >>> explained = siftcli.explain("sample_images/camera.png", keypoint=0)
    >>> explained
    <Explanation: keypoint of 'camera.png' at (..., ...), sigma ... px>
    >>> for verdict in explained.view.verdicts:
    ...     print(verdict.sentence)
    candidate: |DoG| of the sample ..., needed ...
    >>> explained.view.description.stored.shape
    (128,)
    """
    params = asked_for(params, preset, options)
    _check(params, at, keypoint, rotate)
    picture = read_image(
        image,
        exif_orientation=exif_orientation,
        page=page_index(page),
        stretch=stretch,
        nodata=nodata,
    )
    _require_inside(at, picture)
    height, width = picture.grey.shape
    require_memory(
        2 * working_bytes((height, width), params),
        f"{picture.label}: explaining a keypoint",
        "take a part of the image",
    )
    with Threads(threads) as pool:
        scene = Scene.of(picture, params, None if mask is None else read_mask(mask, picture), pool)
        chosen, orientation = _chosen(scene, at, keypoint, pool)
        view = view_of(scene, chosen, pool, orientation)
        if rotate is None:
            return Explanation(picture.name, view)
        grey, matrix = rotated(picture.grey, rotate)
        canvas = picture._replace(grey=grey, input_size=(grey.shape[1], grey.shape[0]), left_out=None)
        turned_scene = Scene.of(canvas, params, None, pool)
        turned = view_of(turned_scene, *counterpart(view, turned_scene, matrix, pool))
    return Explanation(picture.name, view, rotate, turned, compared(view, turned, matrix))


def _check(
    params: SiftParams, at: tuple[float, float] | None, keypoint: int | None, rotate: float | None
) -> None:
    if at is not None and keypoint is not None:
        raise ParameterError("expected --at or --keypoint, got both; drop one of them")
    if rotate is not None and not math.isfinite(rotate):
        raise ParameterError(f"rotate must be a number of degrees; got {rotate!r}")
    if params.views:
        raise ParameterError(
            "views must be 0 to explain a keypoint: one of a simulated view has no place in the image itself"
        )
    if params.orientation == "learned":
        raise ParameterError("orientation must be 'histogram' to be explained; a network gives no reason")


def _require_inside(at: tuple[float, float] | None, picture: Picture) -> None:
    height, width = picture.grey.shape
    if at is not None and not (-0.5 <= at[0] <= width - 0.5 and -0.5 <= at[1] <= height - 0.5):
        raise ParameterError(
            f"at must be a place in the image, x up to {width - 1} and y up to {height - 1}; "
            f"got {at[0]:g},{at[1]:g}"
        )


def _chosen(
    scene: Scene, at: tuple[float, float] | None, keypoint: int | None, threads: Threads
) -> tuple[Chosen, float | None]:
    """The candidate that is meant, and the orientation of the frame, if it is one of the output's."""
    if at is not None:
        return nearest_to(at, scene.picture.grey, scene.octaves, scene.params, threads), None
    features = scene.features
    if len(features) == 0:
        raise InputError(
            f"{scene.picture.label}: no keypoint was found; explain a place with --at X,Y, "
            "or lower --contrast-threshold"
        )
    row = keypoint or 0
    if not 0 <= row < len(features):
        raise ParameterError(
            f"keypoint must be a row of the {len(features)} features found, from 0 to {len(features) - 1}; "
            f"got {row}"
        )
    given = features.xy[row], np.float32(features.scale[row]), int(features.octave[row])
    return candidate_of(given, scene.octaves, scene.params), float(features.orientation[row])
