"""The same keypoint in a rotated picture, and where the two begin to differ."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..kernels.threads import Threads
from ..sift.candidates import KEPT
from ..views.planar import Matrix, map_angles, map_points
from .octaves import Chosen, nearest_to
from .records import Difference, View
from .stages import Scene


def counterpart(
    view: View, scene: Scene, matrix: Matrix, threads: Threads
) -> tuple[Chosen, Threads, float | None]:
    """The candidate of the turned picture nearest in place and scale, and where its frame should point.

    Raises
    ------
    InputError
        If there is none near.
    """
    (x, y), best, least = map_points(matrix, np.array([view.xy]))[0].tolist(), None, 2.0
    for i, found in enumerate(scene.octaves):
        if len(found.candidates) == 0:
            continue
        distance = np.hypot(*(found.xy - (x, y)).T)
        apart = distance / view.sigma + np.abs(np.log2(found.sigma / view.sigma))
        if view.place is not None:  # a keypoint is sought, so one that is kept comes first
            apart += found.fate != KEPT
        row = int(np.argmin(apart))
        if apart[row] < least:
            best, least = Chosen(i, row, float(distance[row])), float(apart[row])
    if best is None:
        best = nearest_to((x, y), scene.picture.grey, scene.octaves, scene.params, threads)
    shown = view.description
    angle = None
    if shown is not None:
        angle = float(map_angles(matrix, np.array([view.xy]), np.array([shown.orientation]))[0])
    return best, threads, angle


def compared(view: View, turned: View, matrix: Matrix) -> list[Difference]:
    """What differs, stage by stage, in the order of the pipeline."""
    return [*_of_places(view, turned, matrix), *_of_frames(view, turned, matrix)]


def _of_places(view: View, turned: View, matrix: Matrix) -> Iterator[Difference]:
    a, b = view.candidate, turned.candidate
    threshold = _relative(view.params.contrast_threshold, turned.params.contrast_threshold)
    yield Difference("noise", "contrast threshold that suits it", threshold, "%")
    yield Difference("extrema", "place of the candidate", _distance(a.xy, b.xy, matrix), "px")
    yield Difference(
        "extrema", "DoG of the sample", _relative(view.verdicts[0].measured, turned.verdicts[0].measured), "%"
    )
    yield Difference("refinement", "number of fits", float(len(turned.steps) - len(view.steps)), "", 0)
    if view.place is None or turned.place is None:
        return
    p, q = view.place, turned.place
    yield Difference("refinement", "position", _distance(p.xy, q.xy, matrix), "px")
    yield Difference("refinement", "σ", _relative(p.sigma, q.sigma), "%")
    yield Difference("refinement", "DoG of the extremum", _relative(p.value, q.value), "%")
    yield Difference("refinement", "roundness", _relative(p.roundness, q.roundness), "%")
    yield Difference("response", "stability", _relative(p.stability, q.stability), "%")
    yield Difference("response", "response", _relative(p.response, q.response), "%")


def _of_frames(view: View, turned: View, matrix: Matrix) -> Iterator[Difference]:
    a, b = view.description, turned.description
    if a is None or b is None:
        return
    expected = float(map_angles(matrix, np.array([view.xy]), np.array([a.orientation]))[0])
    off = math.degrees(math.remainder(b.orientation - expected, 2 * math.pi))
    yield Difference(
        "orientation",
        "number of orientations",
        float(len(turned.descriptions) - len(view.descriptions)),
        "",
        0,
    )
    # An angle is stored in single precision.
    yield Difference("orientation", "angle", 0.0 if abs(off) < 1e-4 else off, "°")
    yield Difference(
        "descriptor", "grey values of the turned patch, RMS", 255 * _rms(a.patch, b.patch), "of 255"
    )
    yield Difference(
        "descriptor", "sums of gradients, of unit length", float(np.linalg.norm(a.unit - b.unit)), "L2"
    )
    stored = np.linalg.norm(a.stored.astype(float) - b.stored.astype(float))
    yield Difference("descriptor", "the 128 bytes", float(stored), "L2, of 512", 1)


def _distance(here: tuple[float, float], there: tuple[float, float], matrix: Matrix) -> float:
    return float(np.hypot(*(map_points(matrix, np.array([here]))[0] - there)))


def _relative(here: float | None, there: float | None) -> float:
    """Of two numbers, in percent."""
    return 100 * (there - here) / abs(here) if here and there is not None else math.nan


def _rms(here: NDArray[np.float32], there: NDArray[np.float32]) -> float:
    return float(np.sqrt(np.mean((here.astype(float) - there.astype(float)) ** 2)))
