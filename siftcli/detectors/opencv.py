"""OpenCV's SIFT."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from ..features import Features
from ..params import SiftParams
from ..sift.selection import rank
from .base import Detector, Grey
from .records import features_of_opencv


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
        rows = [(*k.pt, k.size, k.angle, k.response, k.octave) for k in keypoints]
        return features_of_opencv(grey, rows, descriptors)


class OpenCVPrecise(OpenCV):
    """OpenCV with precise upscaling; its default shifts keypoints by 0.25 px."""

    name = "opencv-precise"
    options: ClassVar[Mapping[str, Any]] = {"enable_precise_upscale": True}


class OpenCVSpread(OpenCVPrecise):
    """OpenCV with a low contrast threshold, whose features are ranked by response and by spread.

    It shows what a detector contributes and what the selection, which is that of siftcli's default.
    """

    name = "opencv-spread"
    options: ClassVar[Mapping[str, Any]] = {"enable_precise_upscale": True, "contrastThreshold": 0.01}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The arguments of ``SIFT_create``, and the ranking."""
        return {**self.options, "selection": "spread"}

    def detect(self, grey: Grey) -> Features:
        """All features, the most wanted first."""
        found = super().detect(grey)
        columns = {name: getattr(found, name) for name in ("xy", "scale", "response")}
        rows, response = rank(columns, SiftParams(selection="spread"), found.image_size)
        return replace(found, response=response).select(rows)


def _as_bytes(grey: Grey) -> NDArray[np.uint8]:
    """The 8-bit image that OpenCV's SIFT takes."""
    return np.ascontiguousarray(np.rint(255 * grey).clip(0, 255), dtype=np.uint8)
