"""What a detector is, and how it is brought to a number of features."""

from __future__ import annotations

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
"""(H, W), in [0, 1]."""

COUNT_TOLERANCE = 0.02
"""How near, relatively, a threshold search must come to the number of features asked for."""
FIRST_THRESHOLD = 0.1
"""First threshold tried for a detector whose default is 0 (VLFeat; in grey levels)."""
MAX_THRESHOLD_STEPS = 12
"""Detections that a threshold search may cost after the first."""


class Detector(ABC):
    """One SIFT implementation at its own defaults.

    Parameters
    ----------
    threads
        Threads inside an image where the implementation can be told; its own choice when not given.
    """

    name: ClassVar[str]
    package: ClassVar[str]
    """Distribution whose version is reported."""
    module: ClassVar[str]
    """Module that must be importable."""
    extra: ClassVar[str] = ""
    """Extra of siftcli that installs it; empty when it is always there."""
    ranked: ClassVar[bool] = True
    """Whether its features carry a response by which the strongest can be told."""

    def __init__(self, threads: int | None = None) -> None:
        self.threads = threads
        if not self.installed():
            raise MissingDependencyError(
                f"detector {self.name!r} needs the Python package {self.package}, which is not installed; "
                f"install it with: pip install 'siftcli[{self.extra}]'"
            )

    @classmethod
    def installed(cls) -> bool:
        """Whether its package is there (it is not imported to find out)."""
        return find_spec(cls.module) is not None

    @property
    def version(self) -> str:
        """Version of the implementation."""
        return metadata.version(self.package)

    @property
    @abstractmethod
    def parameters(self) -> Mapping[str, Any]:
        """The settings it runs with, as plain values under the implementation's own names."""

    @abstractmethod
    def detect(self, grey: Grey) -> Features:
        """All features of a grey image (H, W) in [0, 1], in the project's conventions; possibly none."""

    def limited(self, n: int, grey: Grey) -> Detector:
        """The same detector, keeping ``n`` features an image.

        The strongest ``n`` of each image; a detector without a response overrides this to adjust
        its threshold until about ``n`` remain in ``grey``.
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
    """A detector without a response: equal counts come from its contrast threshold."""

    ranked = False
    default_threshold: ClassVar[float]

    def __init__(self, threads: int | None = None, threshold: float | None = None) -> None:
        super().__init__(threads)
        self.threshold = self.default_threshold if threshold is None else threshold

    def count(self, grey: Grey) -> int:
        """The number of features, as cheaply as the implementation allows."""
        return len(self.detect(grey))

    def limited(self, n: int, grey: Grey) -> Detector:
        """The same detector, its threshold raised until about ``n`` features remain in ``grey``."""

        def count(threshold: float) -> int:
            return type(self)(self.threads, threshold).count(grey)

        return type(self)(self.threads, threshold_for_count(count, n, self.threshold))


def threshold_for_count(count: Callable[[float], int], n: int, start: float) -> float:
    """The threshold, at least ``start``, at which about ``n`` features remain.

    ``count`` falls as the threshold rises. The search doubles until fewer than ``n`` remain, then
    bisects; the threshold whose count came nearest to ``n`` is returned.
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
