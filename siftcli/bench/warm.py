"""Detectors in one process, taking turns on an image that each has met before."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np

from .. import api
from .._cv2 import import_cv2
from ..detectors import REGISTRY, create
from ..detectors.opencv import OpenCV
from ..detectors.own import Siftcli
from ..params import SiftParams
from .cases import Bytes, Case
from .options import DEFAULT_PAIRS, SECONDS_A_ROW

_Find = Callable[[Bytes], int]
"""Finds features and returns how many."""


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of what was measured repeatedly."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The quartiles, between which the middle half of the values lies."""
        low, high = np.quantile(values, (0.25, 0.75))
        return cls(median(values), float(low), float(high))


@dataclass(frozen=True)
class Row:
    """One detector on one image."""

    image: str
    way: str
    size: tuple[int, int]
    """(width, height)."""
    threads: int
    detector: str
    n_features: int
    n_pairs: int
    """Runs of each, taking turns."""
    detect_ms: Spread | None
    """Without descriptors; None where a detector cannot leave them out."""
    both_ms: Spread
    """Detection and description."""
    ratio: Spread
    """Time of both divided by the first detector's, pair by pair: above 1, the first is faster."""

    @property
    def megapixels(self) -> float:
        """Size of the image."""
        return self.size[0] * self.size[1] / 1e6

    @property
    def megapixels_per_s(self) -> float:
        """Of detection and description."""
        return 1e3 * self.megapixels / self.both_ms.median

    @property
    def us_per_feature(self) -> float | None:
        """Time of both divided by the features; None without any."""
        return 1e3 * self.both_ms.median / self.n_features if self.n_features else None


@dataclass(frozen=True)
class Finder:
    """A detector as its own users would call it, on grey bytes."""

    both: _Find
    detect: _Find | None = None


def finder(name: str, threads: int) -> Finder:
    """What is timed of a detector of the registry.

    Raises
    ------
    ParameterError
        If the name is unknown.
    MissingDependencyError
        If its package is not installed.
    """
    detector, cls = create(name, threads), REGISTRY[name]
    if issubclass(cls, OpenCV):
        sift = import_cv2().SIFT_create(**cls.options)
        return Finder(lambda g: len(sift.detectAndCompute(g, None)[0]), lambda g: len(sift.detect(g, None)))
    if issubclass(cls, Siftcli):
        params = SiftParams.preset(cls.preset, **cls.options)
        return Finder(
            lambda g: len(api.detect(g, params, threads=threads)),
            lambda g: len(api.detect(g, params, threads=threads, with_descriptors=False)),
        )
    return Finder(lambda g: len(detector.detect(np.divide(g, 255, dtype=np.float32))))


@contextmanager
def opencv_threads(n: int) -> Iterator[None]:
    """OpenCV's number of threads is the process's; it is put back."""
    cv2 = import_cv2()
    before = cv2.getNumThreads()
    cv2.setNumThreads(n)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def compare(
    case: Case, grey: Bytes, detectors: Sequence[str], *, threads: int, n_pairs: int | None
) -> list[Row]:
    """Time the detectors on an image, after one run of each that is not counted.

    Parameters
    ----------
    case, grey
        The image and its pixels.
    detectors
        Names; ratios are to the first.
    threads
        For all that can be told.
    n_pairs
        Runs of each; when None, ``DEFAULT_PAIRS`` or as many as fit in ``SECONDS_A_ROW``.

    Returns
    -------
    list of Row
        One a detector.
    """
    finders = [finder(name, threads) for name in detectors]
    with opencv_threads(threads):
        counts = [find.both(grey) for find in finders]
        detect_ms, both_ms = _take_turns(finders, grey, n_pairs)
    return [
        Row(
            image=case.path.name,
            way=case.way,
            size=(grey.shape[1], grey.shape[0]),
            threads=threads,
            detector=name,
            n_features=count,
            n_pairs=len(both),
            detect_ms=Spread.of(alone) if alone else None,
            both_ms=Spread.of(both),
            ratio=Spread.of([b / a for a, b in zip(both_ms[0], both, strict=True)]),
        )
        for name, count, alone, both in zip(detectors, counts, detect_ms, both_ms, strict=True)
    ]


def _take_turns(finders: list[Finder], grey: Bytes, n_pairs: int | None) -> Any:
    """Milliseconds of detection, and of detection and description: a list a detector."""
    detect_ms: list[list[float]] = [[] for _ in finders]
    both_ms: list[list[float]] = [[] for _ in finders]
    start = time.perf_counter()
    for n_done in range(n_pairs or DEFAULT_PAIRS):
        if n_pairs is None and n_done and time.perf_counter() - start > SECONDS_A_ROW:
            break
        for find, times in zip(finders, detect_ms, strict=True):
            if find.detect:
                times.append(milliseconds(find.detect, grey))
        for find, times in zip(finders, both_ms, strict=True):
            times.append(milliseconds(find.both, grey))
    return detect_ms, both_ms


def milliseconds(work: Callable[..., object], *arguments: object) -> float:
    """The time of a call."""
    start = time.perf_counter()
    work(*arguments)
    return 1000 * (time.perf_counter() - start)
