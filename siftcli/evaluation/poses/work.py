"""What a worker does: one pair of views, one degradation, every detector and budget -> rows.

A worker remembers what it detected; that changes no result.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ... import detectors
from ..._cv2 import import_cv2
from ...detectors.base import Detector
from ...errors import InputError, ParameterError
from ...features import Features
from ...image import read_image
from ...image.quiet import quiet_decoders
from ...matching.cameras import Camera
from ...views.rendering import GreyBytes, grey_of, quantised
from ..work import Record
from . import options
from .degradations import degrade
from .epipolar import relative_pose
from .measure import as_rootsift, brought_back, measure
from .scenes import View

REMEMBERED_DETECTIONS = 200
"""Detections kept by a worker: those of a scene at a few budgets."""


@dataclass(frozen=True, kw_only=True)
class PoseSettings:
    """Settings of a benchmark of poses; equal settings and scenes have equal results.

    Raises
    ------
    ParameterError
        If a detector or a degradation is unknown, or a list is empty or not of different entries.
    MissingDependencyError
        If a detector is not installed.
    """

    detectors: Sequence[str]
    budgets: Sequence[str] = (*map(str, options.BUDGETS), options.AT_DEFAULTS)
    degradations: Sequence[str] = options.DEGRADATION_NAMES[:1]
    min_angle_deg: float = 0.0
    max_angle_deg: float = options.MAX_ANGLE_DEG
    max_side_px: int = options.MAX_SIDE_PX
    n_seeds: int = options.N_SEEDS
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("detectors", "budgets", "degradations"):
            entries = getattr(self, name)
            if not entries or len(set(entries)) != len(entries):
                raise ParameterError(f"expected {name}, each once; got {', '.join(entries) or 'none'}")
        options.check_degradations(tuple(self.degradations))
        if not 0 <= self.min_angle_deg <= self.max_angle_deg <= 180:
            raise ParameterError(
                "angles between directions of view must rise from 0 to 180; "
                f"got {self.min_angle_deg:g} to {self.max_angle_deg:g}"
            )
        for name in self.detectors:
            detectors.create(name)

    def to_dict(self) -> dict[str, Any]:
        """Plain values that identify the settings, with each detector's version and parameters."""
        made = [detectors.create(name) for name in self.detectors]
        values = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}
        described = {d.name: {"version": d.version, "parameters": dict(d.parameters)} for d in made}
        return {**values, "detectors": described}


@dataclass(frozen=True, eq=False)
class PoseTask:
    """Two views of a scene, and what is done to the second."""

    scene: str
    first: View
    second: View
    degradation: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What identifies the task among those of a run."""
        return self.scene, f"{self.first.name} {self.second.name}", self.degradation


@dataclass(frozen=True, eq=False)
class _Picture:
    grey: GreyBytes
    camera: Camera


class PoseTaskRunner:
    """Does tasks one after the other, on one thread."""

    def __init__(self, settings: PoseSettings) -> None:
        self.settings = settings
        self._made = {name: detectors.create(name, threads=1) for name in settings.detectors}
        self._found: OrderedDict[Any, tuple[Features, Camera, float]] = OrderedDict()
        import_cv2().setNumThreads(1)

    def run(self, task: PoseTask) -> list[Record]:
        """Rows of every detector and budget; what failed becomes a row with an ``error``."""
        scene, pair, degradation = task.key
        where = {"scene": scene, "pair": pair, "degradation": degradation}
        return [
            self._row(task, name, budget, {**where, "budget": budget, "detector": name})
            for budget in self.settings.budgets
            for name in self.settings.detectors
        ]

    def _row(self, task: PoseTask, name: str, budget: str, where: Mapping[str, Any]) -> Record:
        try:
            f, first, _ = self._features(task.first, name, budget, "clean")
            g, second, seconds = self._features(task.second, name, budget, task.degradation)
            seeds = range(self.settings.seed, self.settings.seed + self.settings.n_seeds)
            row = measure(f, g, (first, second), relative_pose(task.first, task.second), seeds)
        except Exception as error:  # a detector's failure is a result too
            return {**where, "error": " ".join(str(error).split()) or type(error).__name__}
        return {**where, **row.to_dict(), "time_s": seconds}

    def _features(
        self, view: View, name: str, budget: str, degradation: str
    ) -> tuple[Features, Camera, float]:
        """Features at their places in the unchanged view, its camera, and the seconds of detection."""
        key = view.path, name, budget, degradation
        if key not in self._found:
            self._found[key] = self._detect(view, name, budget, degradation)
            if len(self._found) > REMEMBERED_DETECTIONS * len(self.settings.budgets):
                self._found.popitem(last=False)
        self._found.move_to_end(key)
        return self._found[key]

    def _detect(self, view: View, name: str, budget: str, degradation: str) -> tuple[Features, Camera, float]:
        picture = read_view(view, self.settings.max_side_px)
        changed = degrade(
            picture.grey, degradation, f"{view.path.parent.name}/{view.name}", self.settings.seed
        )
        grey = grey_of(changed.picture)
        detector: Detector = self._made[name]
        if budget != options.AT_DEFAULTS:
            detector = detector.limited(int(budget), grey)
        start = time.perf_counter()
        features = detector.detect(grey)
        seconds = time.perf_counter() - start
        return as_rootsift(brought_back(features, changed.to_original)), picture.camera, seconds


def read_view(view: View, max_side_px: int) -> _Picture:
    """The photograph reduced by averaging to a longer side of at most ``max_side_px``, and its camera.

    Raises
    ------
    InputError
        If its size is not that of its camera.
    """
    with quiet_decoders():
        grey = read_image(str(view.path)).grey
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
    return _Picture(quantised(255.0 * grey.astype(np.float64)), view.camera.resized(*size))
