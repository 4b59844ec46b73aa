"""Run one detector on one image in its own process.

The speed of a detector depends on the other allocations of its process. The C library may keep freed
memory, or return it to the system and request it again, which makes OpenCV up to 1.8 times slower.
Therefore each detector has its own process.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from multiprocessing import get_context
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from .. import api
from .._cv2 import import_cv2
from ..detectors import REGISTRY, create
from ..detectors.base import Detector
from ..detectors.opencv import OpenCV
from ..detectors.own import Siftcli
from ..params import SiftParams
from ..system.memory import peak_memory, resident_memory
from .cases import Bytes

_Find = Callable[[Bytes], int]
"""Finds features and returns their number."""


@dataclass(frozen=True)
class Finder:
    """A detector called as its users would call it, on (H, W) uint8 grey values."""

    both: _Find
    """Detection and description."""
    detect: _Find | None = None
    """Detection without description; None if the detector does not support it."""


def finder(name: str, threads: int, limit: int | None = None) -> Finder:
    """The functions of a detector that are timed, each with at most ``limit`` features.

    OpenCV's threads are set for the whole process. Other programs than OpenCV and siftcli find all, and keep
    the strongest, or have a threshold at which they find so many of this process's image.

    Raises
    ------
    ParameterError
        If the name is unknown.
    MissingDependencyError
        If its package is not installed.
    """
    detector, cls = _kept(name, threads, limit), REGISTRY[name]
    if issubclass(cls, OpenCV):
        import_cv2().setNumThreads(threads)
        sift = import_cv2().SIFT_create(nfeatures=limit or 0, **cls.options)
        return Finder(lambda g: len(sift.detectAndCompute(g, None)[0]), lambda g: len(sift.detect(g, None)))
    if issubclass(cls, Siftcli):
        params = SiftParams.preset(cls.preset, max_features=limit, **cls.options)
        return Finder(
            lambda g: len(api.detect(g, params, threads=threads)),
            lambda g: len(api.detect(g, params, threads=threads, with_descriptors=False)),
        )
    return Finder(lambda g: len(detector.detect(_samples(g))))


class Worker:
    """The process of one detector and one image, as a context manager."""

    def __init__(self, detector: str, grey: Bytes) -> None:
        self.detector = detector
        self._pool = ProcessPoolExecutor(
            1, mp_context=get_context("spawn"), initializer=_begin, initargs=(detector, grey)
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown()

    def first(self, threads: int) -> tuple[float, float, int]:
        """Time in seconds, peak memory in 10⁶ bytes and number of features of the first run."""
        return self._pool.submit(_first, threads).result()

    def limit(self, n: int, threads: int) -> int:
        """Keep at most ``n`` features from now on; return how many it finds."""
        return self._pool.submit(_limit, n, threads).result()

    def detect_ms(self, threads: int) -> list[float]:
        """Milliseconds of one detection without description; empty if the detector does not support it."""
        return self._pool.submit(_detect_ms, threads).result()

    def both_ms(self, threads: int) -> list[float]:
        """Milliseconds of one detection and description."""
        return self._pool.submit(_both_ms, threads).result()


# --- in the worker's process -----------------------------------------------------------------------------

_state: dict[str, tuple[str, Bytes, int | None]] = {}
"""The detector, the image and the most features of this process, under the key ``work``."""


def _begin(detector: str, grey: Bytes) -> None:
    _state["work"] = detector, grey, None


def _limit(n: int, threads: int) -> int:
    detector, grey, _ = _state["work"]
    _state["work"] = detector, grey, n
    return finder(detector, threads, n).both(grey)


@cache  # memory is kept as a program would, and a threshold is not searched for while the detector is timed
def _kept(name: str, threads: int, limit: int | None) -> Detector:
    detector = create(name, threads)
    return detector if limit is None else detector.limited(limit, _samples(_state["work"][1]))


def _samples(grey: Bytes) -> NDArray[np.float32]:
    return np.divide(grey, 255, dtype=np.float32)


def _first(threads: int) -> tuple[float, float, int]:
    detector, grey, limit = _state["work"]
    find = finder(detector, threads, limit)
    find.both(grey[:64, :64].copy())  # loads libraries and kernels
    before, counts = resident_memory(), list[int]()
    seconds = milliseconds(lambda: counts.append(find.both(grey))) / 1000
    return seconds, (peak_memory() - before) / 1e6, counts[0]


def _detect_ms(threads: int) -> list[float]:
    detector, grey, limit = _state["work"]
    detect = finder(detector, threads, limit).detect
    return [milliseconds(detect, grey)] if detect else []


def _both_ms(threads: int) -> list[float]:
    detector, grey, limit = _state["work"]
    return [milliseconds(finder(detector, threads, limit).both, grey)]


def milliseconds(work: Callable[..., object], *arguments: object) -> float:
    """The duration of a call in milliseconds."""
    start = time.perf_counter()
    work(*arguments)
    return 1000 * (time.perf_counter() - start)
