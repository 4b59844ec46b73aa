"""OpenCV's SIFT."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from ..features import DESCRIPTOR_LENGTH, Features
from .base import Detector, Grey
from .records import features_of

FARTHEST = 0.25
"""Share of the image's diagonal beyond which the distance to what is stronger no longer counts."""


class OpenCV(Detector):
    """``cv2.SIFT_create()`` at its defaults."""

    name = "opencv"
    package = "opencv-contrib-python"
    module = "cv2"
    options: ClassVar[Mapping[str, Any]] = {}

    @property
    def version(self) -> str:
        """The version of OpenCV, whichever of its packages is installed."""
        return str(import_cv2().__version__)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The arguments of ``SIFT_create``; empty for its defaults."""
        return dict(self.options)

    def detect(self, grey: Grey) -> Features:
        """Run ``detectAndCompute`` on the 8-bit image."""
        sift = import_cv2().SIFT_create(**self.options)
        keypoints, descriptors = sift.detectAndCompute(_as_bytes(grey), None)
        columns = [(*k.pt, k.size, k.angle, k.response, k.octave) for k in keypoints]
        x, y, size, angle, response, packed = np.array(columns, dtype=np.float64).reshape(-1, 6).T
        return features_of(
            grey,
            xy=np.column_stack([x, y]),
            scale=size / 2,
            orientation=np.deg2rad(angle),
            response=response,
            octave=_unpacked_octave(packed),
            descriptors=np.zeros((0, DESCRIPTOR_LENGTH)) if descriptors is None else descriptors,
        )


class OpenCVPrecise(OpenCV):
    """OpenCV with precise upscaling; its default shifts keypoints by 0.25 px."""

    name = "opencv-precise"
    options: ClassVar[Mapping[str, Any]] = {"enable_precise_upscale": True}


class OpenCVSpread(OpenCVPrecise):
    """OpenCV with a low contrast threshold, whose features are ranked by response and by spread.

    It shows what a detector contributes and what the selection. The response of a feature is multiplied by
    the square of its distance to the nearest one that is clearly stronger, up to ``FARTHEST``.
    """

    name = "opencv-spread"
    options: ClassVar[Mapping[str, Any]] = {"enable_precise_upscale": True, "contrastThreshold": 0.01}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The arguments of ``SIFT_create``, and the ranking."""
        return {**self.options, "ranking": f"response * min(radius, {FARTHEST} diagonal)^2"}

    def detect(self, grey: Grey) -> Features:
        """All features, the most wanted first."""
        found = super().detect(grey)
        spread = _spread_response(found)
        x, y = found.xy.T
        order = np.lexsort((x, y, found.scale, -spread))
        return replace(found, response=spread).select(order)


def _spread_response(found: Features) -> NDArray[np.float32]:
    """(N,) the response times the square of the suppression radius; frames of a keypoint share it."""
    from ..sift.selection import suppression_radii

    keypoints = np.column_stack((found.xy, found.scale, found.response))
    is_first = np.ones(len(found), bool)
    is_first[1:] = np.any(keypoints[1:] != keypoints[:-1], axis=1)
    radius = suppression_radii(found.xy[is_first], found.response[is_first])[np.cumsum(is_first) - 1]
    farthest = FARTHEST * math.hypot(*found.image_size)
    return np.asarray(found.response * (np.minimum(radius, farthest) / farthest) ** 2, np.float32)


def _as_bytes(grey: Grey) -> NDArray[np.uint8]:
    """The 8-bit image that OpenCV's SIFT takes."""
    return np.ascontiguousarray(np.rint(255 * grey).clip(0, 255), dtype=np.uint8)


def _unpacked_octave(packed: NDArray[np.float64]) -> NDArray[np.int64]:
    """The octave in OpenCV's packed integer: the lowest byte, signed."""
    octave = packed.astype(np.int64) & 255
    return np.asarray(np.where(octave < 128, octave, octave - 256))
