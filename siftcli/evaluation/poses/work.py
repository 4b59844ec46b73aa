"""Run one task: the pairs of a scene with one degradation, detector and budget -> rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ..work import Record, reason_of
from . import options
from .detection import Detection, ViewDetector
from .measure import measure
from .scenes import Scene, View
from .settings import PoseSettings


@dataclass(frozen=True)
class Pair:
    """Two views of a scene, by their numbers."""

    first: int
    second: int
    view_angle_deg: float
    overlap: float | None
    """None if the model has no points."""


@dataclass(frozen=True, eq=False)
class PoseTask:
    """The pairs of a scene, what is done to their second views, a detector and a budget."""

    scene: str
    views: Sequence[View]
    pairs: Sequence[Pair]
    degradation: str
    budget: str
    detector: str

    @property
    def key(self) -> tuple[str, ...]:
        """Identifies the task within a run."""
        return self.scene, self.degradation, self.budget, self.detector

    @property
    def where(self) -> Record:
        """What its rows have in common."""
        return dict(zip(("scene", "degradation", "budget", "detector"), self.key, strict=True))


def plan_tasks(scene: Scene, settings: PoseSettings) -> list[PoseTask]:
    """Tasks for every detector, budget and degradation of a scene.

    Raises
    ------
    InputError
        If the scene has no pair within the limits.
    """
    views = scene.views
    pairs = [
        Pair(i, j, round(views[i].angle_to(views[j]), 3), views[i].overlap_with(views[j]))
        for i, j in scene.pairs(settings.limits)
    ]
    # Their points are not needed any more, and every task is sent to a process.
    plain = [replace(view, points=np.empty(0, np.int64)) for view in views]
    return [
        PoseTask(scene.name, plain, pairs, degradation, budget, detector)
        for detector in settings.detectors
        for budget in settings.budgets
        for degradation in settings.degradations
    ]


class PoseTaskRunner:
    """Runs tasks one after the other, on one thread."""

    def __init__(self, settings: PoseSettings, detector: ViewDetector) -> None:
        self.settings, self.detector = settings, detector

    def run(self, task: PoseTask) -> list[Record]:
        """The rows of every pair and geometry; a failure becomes a row with an ``error``."""
        seconds: dict[int, Detection | Exception] = {}
        rows = []
        for pair in task.pairs:
            if pair.second not in seconds:
                seconds[pair.second] = self._try(task, pair.second, task.degradation)
            rows += self._rows(task, pair, seconds[pair.second])
        return rows

    def _try(self, task: PoseTask, number: int, degradation: str) -> Detection | Exception:
        """The features of a view, or why there are none: the other pairs of the scene go on."""
        try:
            return self.detector.detect(
                task.views[number], task.scene, task.detector, task.budget, degradation
            )
        except Exception as error:
            return error

    def _rows(self, task: PoseTask, pair: Pair, second: Detection | Exception) -> list[Record]:
        a, b = task.views[pair.first], task.views[pair.second]
        where = {
            **task.where,
            "image_a": a.name,
            "image_b": b.name,
            "view_angle_deg": pair.view_angle_deg,
            "overlap": pair.overlap,
        }
        first = self._try(task, pair.first, options.CLEAN)
        try:
            if isinstance(first, Exception):
                raise first
            if isinstance(second, Exception):
                raise second
            cameras = first.camera, second.camera
            found = measure(
                first.features,
                second.features,
                cameras,
                a.pose_of(b),
                self.settings.seeds,
                self.settings.geometries,
            )
        except Exception as error:  # a failure is recorded as a result
            return [{**where, "error": reason_of(error)}]
        return [{**where, **row.to_dict(), "time_s": second.time_s} for row in found]
