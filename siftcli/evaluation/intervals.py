"""Intervals of means, and which differences are marked: the one place that decides.

The unit is the image. What was measured on one image is averaged before; pairs of images that share one are
not independent, so of pairs it is images that are left out in turn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

VALUES, T, JACKKNIFE, BOOTSTRAP = "values", "t", "jackknife", "bootstrap"
"""Methods. With ``VALUES`` there is no interval, as there are too few images for one."""
MIN_IMAGES = 6
"""Fewest images with an interval."""
MIN_BOOTSTRAP_IMAGES = 16
"""Fewest images from which the bootstrap covers what it says."""
CONFIDENCE = 0.95
BOOTSTRAP_SAMPLES = 10_000
_BLOCK = 1000
"""Samples that are drawn at once, which bounds the memory."""

Floats = NDArray[np.float64]
Columns = Mapping[str, Sequence[float] | Floats]


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % interval."""

    mean: float
    low: float
    """NaN without an interval, as ``high`` and ``p``."""
    high: float
    p: float
    """Probability of a mean at least as far from zero if the true one is zero, by the t distribution."""
    method: str
    n_images: int
    values: tuple[float, ...] = ()
    """What was averaged, where there is no interval."""

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval lies on one side of zero."""
        return self.low > 0 or self.high < 0


def over_images(columns: Columns, seed: int = 0) -> dict[str, Interval]:
    """Intervals of the means of some columns, each with a value for every image; empty ones are left out.

    Parameters
    ----------
    columns
        Name -> (N,) values, one for each image.
    seed
        Seed of the bootstrap.
    """
    by_length: dict[int, list[str]] = {}
    for name, values in columns.items():
        by_length.setdefault(len(values), []).append(name)
    found: dict[str, Interval] = {}
    for n in by_length.keys() - {0}:
        names = by_length[n]
        table = np.column_stack([np.asarray(columns[name], np.float64) for name in names])
        found |= dict(zip(names, _of_table(table, seed), strict=True))
    return {name: found[name] for name in columns if name in found}


def _of_table(table: Floats, seed: int) -> list[Interval]:
    """The interval of each column of a table with a row for each image."""
    n = len(table)
    if n < MIN_IMAGES:
        return [_without(column, n) for column in table.T]
    spread = table.std(axis=0, ddof=1) / np.sqrt(n)
    found = [_by_t(float(m), float(s), n, T) for m, s in zip(table.mean(axis=0), spread, strict=True)]
    if n < MIN_BOOTSTRAP_IMAGES:
        return found
    ends = np.quantile(resampled_means(table, seed), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return [
        Interval(t.mean, float(low), float(high), t.p, BOOTSTRAP, n)
        for t, low, high in zip(found, *ends, strict=True)
    ]


def over_pairs(values: Sequence[float] | Floats, pairs: Sequence[tuple[str, str]]) -> Interval:
    """The interval of the mean over pairs of images.

    Every image is left out in turn, with all its pairs (the jackknife of a U-statistic).

    Parameters
    ----------
    values
        (N,) values, N > 0.
    pairs
        The two images of each.
    """
    table = np.asarray(values, np.float64)
    names = sorted({name for pair in pairs for name in pair})
    numbers = {name: k for k, name in enumerate(names)}
    ends = np.array([[numbers[a], numbers[b]] for a, b in pairs])
    n = len(names)
    left = len(table) - np.bincount(ends.ravel(), minlength=n)
    if n < MIN_IMAGES or not left.all():  # an image that is part of every pair cannot be left out
        return _without(table, n)
    without = (table.sum() - np.bincount(ends.ravel(), np.repeat(table, 2), n)) / left
    spread = np.sqrt((n - 1) / n * np.square(without - without.mean()).sum())
    return _by_t(float(table.mean()), float(spread), n, JACKKNIFE)


def _without(values: Floats, n_images: int) -> Interval:
    nan = float("nan")
    return Interval(float(values.mean()), nan, nan, nan, VALUES, n_images, tuple(values.tolist()))


def _by_t(mean: float, standard_error: float, n: int, method: str) -> Interval:
    reach = float(stdtrit(n - 1, (1 + CONFIDENCE) / 2)) * standard_error
    distance = abs(mean) / standard_error if standard_error else (np.inf if mean else 0.0)
    p = 2 * float(stdtr(n - 1, -distance))
    return Interval(mean, mean - reach, mean + reach, p, method, n)


def resampled_means(table: Floats, seed: int) -> Floats:
    """(samples, columns) the means of samples of the rows, drawn with replacement."""
    rng = np.random.default_rng(seed)
    n = len(table)
    offsets = n * np.arange(_BLOCK)[:, None]
    means = []
    for _ in range(BOOTSTRAP_SAMPLES // _BLOCK):
        drawn = rng.integers(n, size=(_BLOCK, n)) + offsets
        counts = np.bincount(drawn.ravel(), minlength=_BLOCK * n).reshape(_BLOCK, n)
        # Column by column: no value may depend on which others are summed with it.
        means.append(np.column_stack([(counts * column).sum(axis=1) / n for column in table.T]))
    return np.concatenate(means)


@dataclass(frozen=True)
class Mark:
    """What is said of a difference."""

    p_adjusted: float
    """NaN without an interval, or if neither direction is better."""
    text: str
    """``"better"``, ``"worse"`` or empty."""


def marks(found: Sequence[tuple[Interval, bool | None]]) -> list[Mark]:
    """Which of some differences are marked, corrected for their number.

    Of all marks at most 5 % are expected to be false: the method of Benjamini and Hochberg (1995), over all
    differences that are given.

    Parameters
    ----------
    found
        The interval of each, and whether higher is better; None if neither direction is.
    """
    from scipy.stats import false_discovery_control

    tested = [k for k, (interval, higher) in enumerate(found) if higher is not None and interval.p >= 0]
    adjusted = [float("nan")] * len(found)
    if tested:
        for k, p in zip(tested, false_discovery_control([found[k][0].p for k in tested]), strict=True):
            adjusted[k] = float(p)
    return [
        Mark(p, _direction(interval, higher) if p <= 1 - CONFIDENCE and interval.excludes_zero else "")
        for p, (interval, higher) in zip(adjusted, found, strict=True)
    ]


def _direction(interval: Interval, higher_is_better: bool | None) -> str:
    return "better" if (interval.mean > 0) == higher_is_better else "worse"


def described(method: str, n_images: int) -> str:
    """How the intervals of a table were found, as part of its title."""
    return {
        VALUES: f"values, too few for intervals ({n_images} {'image' if n_images == 1 else 'images'})",
        T: f"95 % t intervals over {n_images} images",
        JACKKNIFE: f"95 % intervals by a jackknife over {n_images} images",
        BOOTSTRAP: f"95 % bootstrap intervals over {n_images} images",
    }[method]
