"""Detect the features of views, at a size and a budget, changed or not."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from ... import detectors
from ..._cv2 import import_cv2
from ...errors import InputError
from ...features import Features
from ...image import read_image
from ...image.quiet import quiet_decoders
from ...views.rendering import GREY_LEVELS, GreyBytes, grey_of, quantised
from . import options
from .cameras import Camera
from .degradations import degrade
from .measure import as_rootsift, moved_back
from .scenes import View
from .settings import PoseSettings


@dataclass(frozen=True, eq=False)
class Photograph:
    """A view at the size that is measured."""

    picture: GreyBytes
    camera: Camera


@dataclass(frozen=True, eq=False)
class Detection:
    """The features of a view."""

    features: Features
    """At their places in the unchanged photograph, with RootSIFT descriptors."""
    camera: Camera
    time_s: float
    """Seconds of detection and description."""


class ViewDetector:
    """Detects features of the views of a scene, on one thread.

    The features of unchanged views are kept while the scene, the detector and the budget stay the same.
    """

    def __init__(self, settings: PoseSettings) -> None:
        self.settings = settings
        self._made: dict[str, detectors.Detector] = {}
        self._kept: dict[str, Detection] = {}
        self._kept_for: tuple[str, str, str] | None = None

    def detect(self, view: View, scene: str, name: str, budget: str, kind: str) -> Detection:
        """The features of a view by a detector, with one kind of degradation."""
        if kind != options.CLEAN:
            return self._detect(view, scene, name, budget, kind)
        if self._kept_for != (scene, name, budget):
            self._kept_for, self._kept = (scene, name, budget), {}
        if view.name not in self._kept:
            self._kept[view.name] = self._detect(view, scene, name, budget, kind)
        return self._kept[view.name]

    def _detect(self, view: View, scene: str, name: str, budget: str, kind: str) -> Detection:
        photograph = read_view(view, self.settings.max_side_px)
        changed = degrade(photograph.picture, kind, f"{scene}/{view.name}", self.settings.seed)
        grey = grey_of(changed.picture)
        detector = self._detector(name)
        if budget != options.AT_DEFAULTS:
            detector = detector.limited(int(budget), grey)
        start = time.perf_counter()
        found = detector.detect(grey)
        seconds = time.perf_counter() - start
        return Detection(as_rootsift(moved_back(found, changed.to_original)), photograph.camera, seconds)

    def _detector(self, name: str) -> detectors.Detector:
        if name not in self._made:
            self._made[name] = detectors.create(name, threads=1)
        return self._made[name]


def read_view(view: View, max_side_px: int) -> Photograph:
    """The photograph reduced by averaging to a longer side of at most ``max_side_px``, and its camera.

    Raises
    ------
    InputError
        If its size is not that of its camera.
    """
    with quiet_decoders():
        grey = read_image(str(view.path), exif_orientation="ignore").grey  # as COLMAP does
    height, width = grey.shape
    if (width, height) != (view.camera.width, view.camera.height):
        raise InputError(
            f"{view.path}: expected {view.camera.width} × {view.camera.height} px, as its camera says; "
            f"got {width} × {height}"
        )
    factor = min(1.0, max_side_px / max(width, height))
    size = max(round(width * factor), 1), max(round(height * factor), 1)
    if factor < 1:
        cv2 = import_cv2()
        grey = np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA))
    return Photograph(quantised(GREY_LEVELS * grey.astype(np.float64)), view.camera.resized(*size))
