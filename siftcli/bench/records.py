"""What is measured of an image: plain records."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np


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
class FirstImage:
    """Detection and description of an image by a process that has met no other."""

    image: str
    way: str
    size: tuple[int, int]
    """(width, height)."""
    threads: int
    detector: str
    seconds: float
    peak_mb: float
    """Memory at its most, above that of the process with its libraries loaded, in 10⁶ bytes."""
    n_features: int
