"""Base classes of detectors, and the search for a threshold that gives a number of features."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from importlib import metadata
from importlib.util import find_spec
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..errors import MissingDependencyError
from ..features import Features

Grey = NDArray[np.float32]
"""(H, W) float32 in [0, 1]."""

COUNT_TOLERANCE = 0.02
"""A threshold search stops at a number of features with at most this relative error."""
FIRST_THRESHOLD = 0.1
"""First threshold to try for a detector whose default is 0 (VLFeat, in grey levels)."""
MAX_THRESHOLD_STEPS = 12
"""Maximum number of detections in a threshold search, after the first."""


class Detector(ABC):
    """One SIFT implementation at its own defaults.

    Parameters
    ----------
    threads
        Number of threads per image, if the implementation supports it; by default its own choice.

    Raises
    ------
    MissingDependencyError
        If its package is not installed.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    """Name of the distribution on PyPI, whose version is reported."""
    module: ClassVar[str]
    """Name of the module that is imported."""
    extra: ClassVar[str] = ""
    """Extra of siftcli that installs it; empty if it is always installed."""
    ranked: ClassVar[bool] = True
    """Whether its features have a response, which ranks them."""

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads
        if not self.installed():
            raise MissingDependencyError.of_extra(f"detector {self.name!r}", self.package, self.extra)

    @classmethod
    def installed(cls) -> bool:
        """Whether its package is installed; does not import it."""
        return find_spec(cls.module) is not None

    @property
    def version(self) -> str:
        """Version of the implementation."""
        return metadata.version(self.package)

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Any]:
        """Its settings, as plain values with the implementation's own names."""

    @abstractmethod
    def detect(self, grey: Grey) -> Features:
        """Detect and describe all features of a grey image, (H, W) float32 in [0, 1]; there may be none."""

    def limited(self, n: int, grey: Grey) -> Detector:
        """A copy of the detector that keeps ``n`` features per image.

        These are the strongest ``n`` of each image. A detector without a response instead adjusts its
        threshold so that about ``n`` features remain in ``grey``.
        """
        return _Strongest(self, n)


class _Strongest(Detector):
    """Another detector's ``n`` strongest features."""

    name = "strongest"

    def __init__(self, whole: Detector, n: int) -> None:
        self.whole, self.n, self.threads = whole, n, whole.threads

    @property
    def parameters(self) -> Mapping[str, Any]:
        return {**self.whole.parameters, "strongest": self.n}

    def detect(self, grey: Grey) -> Features:
        return self.whole.detect(grey).select(slice(self.n))


class ThresholdedDetector(Detector):
    """A detector without a response, whose contrast threshold controls the number of features."""

    ranked = False
    default_threshold: ClassVar[float]

    def __init__(self, threads: int | None = None, threshold: float | None = None) -> None:
        super().__init__(threads)
        self.threshold = self.default_threshold if threshold is None else threshold
        self._counts: dict[bytes, dict[float, int]] = {}
        """Digest of an image -> counts at thresholds tried, which searches for other numbers share."""

    def count(self, grey: Grey) -> int:
        """The number of features, computed as cheaply as the implementation allows."""
        return len(self.detect(grey))

    def limited(self, n: int, grey: Grey) -> Detector:
        """A copy of the detector, with its threshold raised until about ``n`` features remain in ``grey``."""
        digest = hashlib.blake2b(repr(grey.shape).encode() + grey.tobytes(), digest_size=16).digest()
        known = self._counts.setdefault(digest, {})

        def count(threshold: float) -> int:
            if threshold not in known:
                known[threshold] = type(self)(self.threads, threshold).count(grey)
            return known[threshold]

        return type(self)(self.threads, threshold_for_count(count, n, self.threshold))


def threshold_for_count(count: Callable[[float], int], n: int, start: float) -> float:
    """Find a threshold, at least ``start``, at which about ``n`` features remain.

    ``count`` must decrease with the threshold. The search doubles the threshold until fewer than ``n``
    features remain, then bisects. It returns the threshold whose count was closest to ``n``.
    """
    low, tried = start, {start: count(start)}
    high = float("inf")
    while len(tried) <= MAX_THRESHOLD_STEPS and tried[low] > n:
        threshold = (2 * low or FIRST_THRESHOLD) if high == float("inf") else (low + high) / 2
        tried[threshold] = count(threshold)
        if abs(tried[threshold] - n) <= COUNT_TOLERANCE * n:
            return threshold
        if tried[threshold] > n:
            low = threshold
        else:
            high = threshold
    return min(tried, key=lambda t: (abs(tried[t] - n), t))
