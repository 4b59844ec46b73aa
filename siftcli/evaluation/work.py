"""Run one task: every detector on one image and one transform.

A worker caches the last image and the features it detected, so the reference of a sweep is
processed only once. The cache does not change any result.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from .. import detectors
from ..features import Features
from ..image import read_image
from ..image.quiet import quiet_decoders
from ..io.work_list import ImageFile
from ..views.pairs import Pair, Transform
from ..views.rendering import GreyBytes, Interpolated, grey_of
from .measure import measure
from .settings import Settings

AT_DEFAULTS, AT_EQUAL_COUNT = "default", "equal"
"""Values of a row's ``budget``: each detector's own number of features, or the same number for all."""
CACHED_DETECTIONS = 32
"""Detections cached by a worker: enough for both views at both budgets with several detectors."""

Record = dict[str, Any]


@dataclass(frozen=True)
class Task:
    """One image and one transform, for every detector of the settings."""

    image: ImageFile
    transform: Transform

    @property
    def key(self) -> tuple[str, str, float]:
        """Identifies the task within a run."""
        return self.image.name, self.transform.sweep, self.transform.value


class TaskRunner:
    """Runs tasks one after the other, on one thread."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._source: tuple[str, Interpolated, int] | None = None
        """The path of the last image, the image, and the number of pages in its file."""
        self._detections: OrderedDict[Any, tuple[Features, float]] = OrderedDict()
        self._limited: dict[str, tuple[Any, detectors.Detector]] = {}
        self._made: dict[str, detectors.Detector] = {}

    def run(self, task: Task) -> list[Record]:
        """The rows of every detector and budget; a failure becomes a row with an ``error``."""
        where: Record = dict(zip(("image", "sweep", "value"), task.key, strict=True))
        try:
            pair = task.transform.pair(self._read(task.image.path), self.settings.seed)
        except Exception as error:  # one bad image must not stop the others
            return [{**where, "detector": None, "error": reason_of(error)}]
        where["source_px"] = pair.source_px
        if self._source is not None and (n_pages := self._source[2]) > 1:
            where["n_pages"] = n_pages
        rows = self._default_rows(pair, where)
        return rows + self._equal_rows(pair, where) if task.transform.equal_counts else rows

    def detect_pair(self, task: Task, name: str) -> tuple[Pair, Features, Features]:
        """The views of a task, and a detector's features of the reference and of the view."""
        pair = task.transform.pair(self._read(task.image.path), self.settings.seed)
        detector = self._detector(name)
        return pair, self._detect(detector, pair.reference)[0], self._detect(detector, pair.view)[0]

    def _default_rows(self, pair: Pair, where: Record) -> list[Record]:
        return [
            self._row(pair, self._detector(name), {**where, "detector": name, "budget": AT_DEFAULTS})
            for name in self.settings.detectors
        ]

    def _equal_rows(self, pair: Pair, where: Record) -> list[Record]:
        """Rows at the same number of features, for every detector that did not fail on the reference."""
        counts = {}
        for name in self.settings.detectors:
            try:
                counts[name] = len(self._detect(self._detector(name), pair.reference)[0])
            except Exception:  # noqa: S112  already recorded in the rows at default parameters
                continue
        n = self.settings.max_features or min(counts.values(), default=0)
        if n == 0:
            return []
        where = {**where, "budget": AT_EQUAL_COUNT, "max_features": n}
        return [
            self._row(pair, self._detector(name), {**where, "detector": name}, limit=n) for name in counts
        ]

    def _row(
        self, pair: Pair, detector: detectors.Detector, where: Record, limit: int | None = None
    ) -> Record:
        try:
            if limit is not None and not detector.ranked:
                detector = self._adjusted(detector, limit, pair.reference)
            reference, _ = self._detect(detector, pair.reference)
            view, seconds = self._detect(detector, pair.view)
            if limit is not None and detector.ranked:
                reference, view = reference.select(slice(limit)), view.select(slice(limit))
            row = measure(pair, reference, view, self.settings.ratio)
        except Exception as error:  # a failure is recorded as a result
            return {**where, "error": reason_of(error)}
        return {**where, **row.to_dict(), "time_s": seconds}

    def _read(self, path: str) -> Interpolated:
        if self._source is None or self._source[0] != path:
            with quiet_decoders():
                picture = read_image(path, **self.settings.reading)
            self._source = (path, Interpolated(picture.grey), picture.n_pages)
        return self._source[1]

    def _detector(self, name: str) -> detectors.Detector:
        if name not in self._made:
            self._made[name] = detectors.create(name, threads=1)
        return self._made[name]

    def _adjusted(self, detector: detectors.Detector, n: int, reference: GreyBytes) -> detectors.Detector:
        """A detector without a response, with its threshold adjusted once, on the reference."""
        key = (n, reference.shape, reference.tobytes())
        if self._limited.get(detector.name, (None,))[0] != key:
            self._limited[detector.name] = (key, detector.limited(n, grey_of(reference)))
        return self._limited[detector.name][1]

    def _detect(self, detector: detectors.Detector, picture: GreyBytes) -> tuple[Features, float]:
        """The features of an image and the seconds it took, from the cache if possible."""
        key = (detector, picture.shape, picture.tobytes())
        if key not in self._detections:
            grey = grey_of(picture)
            start = time.perf_counter()
            features = detector.detect(grey)
            self._detections[key] = (features, time.perf_counter() - start)
            if len(self._detections) > CACHED_DETECTIONS:
                self._detections.popitem(last=False)
        self._detections.move_to_end(key)
        return self._detections[key]


def reason_of(error: Exception) -> str:
    """The error message as one line."""
    return " ".join(str(error).split()) or type(error).__name__
