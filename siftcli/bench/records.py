"""Records of measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of repeated measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Compute the median and the quartiles of some values."""
        low, high = np.quantile(values, (0.25, 0.75))
        return cls(median(values), float(low), float(high))


@dataclass(frozen=True)
class Row:
    """Warm runs of one detector on one image at one number of threads."""

    image: str
    way: str
    size: tuple[int, int]
    """(width, height)."""
    threads: int
    detector: str
    n_features: int
    n_pairs: int
    """Number of runs of each detector."""
    detect_ms: Spread | None
    """Detection without description; None if the detector does not support it."""
    both_ms: Spread
    """Detection and description."""
    ratio: Spread
    """``both_ms`` divided by that of the first detector, run by run. Above 1, the first is faster."""

    @property
    def megapixels(self) -> float:
        """Size of the image in 10⁶ pixels."""
        return self.size[0] * self.size[1] / 1e6

    @property
    def megapixels_per_s(self) -> float:
        """Throughput of detection and description."""
        return 1e3 * self.megapixels / self.both_ms.median

    @property
    def us_per_feature(self) -> float | None:
        """Time of detection and description per feature; None if there are no features."""
        return 1e3 * self.both_ms.median / self.n_features if self.n_features else None


@dataclass(frozen=True)
class FirstImage:
    """Detection and description of the first image of a process."""

    image: str
    way: str
    size: tuple[int, int]
    """(width, height)."""
    threads: int
    detector: str
    seconds: float
    peak_mb: float
    """Peak memory in 10⁶ bytes, minus that of the process after loading its libraries."""
    n_features: int
