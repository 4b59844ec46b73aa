"""The noise of an image, and how much contrast a keypoint of it therefore needs.

The difference of Gaussians of noise is in proportion to the noise, so what it must exceed to be a structure
is too. A fixed threshold is either one for noisy images, and drops most of what a clean one shows, or one for
clean images, and takes noise for structure.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import kernel
from ..kernels.threads import Threads
from ..params import SiftParams
from .rows import Grey

FULL_NOISE = 1 / 255
"""Standard deviation of the noise, for grey values in [0, 1], from which the whole contrast threshold
applies: that of a good 8-bit camera."""

_N_BINS = 512
"""Of the histogram up to ``FULL_NOISE``."""

_MEDIAN_OF_NORMAL = 0.6745
"""Median of |x| for a standard normal distribution."""

_LEAST_STEP = 3
"""Only every third value of every third row is looked at, or fewer. Of an odd step there is one grid that is
symmetric about the image's centre, so a rotated or mirrored image has the same values."""

_ENOUGH = 1 << 17
"""Values looked at, from which on fewer are taken: their median has an error of a third of a percent."""

_NORM = 6
"""Standard deviation of the mask's values for noise of standard deviation 1: √(Σ of its squares)."""


def params_for(image: Grey, params: SiftParams, threads: Threads) -> SiftParams:
    """The parameters with the contrast threshold that suits the image's noise (``clean_contrast``)."""
    if params.clean_contrast == 1:
        return params
    share = max(noise_share(image, threads), params.clean_contrast)
    return params.override(contrast_threshold=params.contrast_threshold * share)


def noise_share(image: Grey, threads: Threads) -> float:
    """The noise's standard deviation divided by ``FULL_NOISE``, at most 1.

    It is the median of the absolute values of Immerkær's mask (*Fast Noise Variance Estimation*, CVIU 1996),
    which is blind to planes and straight edges; a median, because structures change it little. A rotated or
    mirrored image has the same: sums of so few values are exact in double precision.

    Parameters
    ----------
    image
        (H, W) float32, grey values in [0, 1]; or their rows.
    threads
        Where the rows are shared out.
    """
    if min(image.shape) < 5:
        return 1.0
    step = _step(image.shape[0], image.shape[1])
    first_row, first_column = (_first(n, step) for n in image.shape)
    counts = np.zeros(_N_BINS + 1, np.int64)
    for top, rows in _parts(image):
        counts += _counts_in(rows, step, 1 + (first_row - top - 1) % step, first_column, threads)
    # Of the bins before the last, the one up to which half of the values lie.
    below = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
    return min(below / _N_BINS, 1.0)


def _counts_in(
    rows: NDArray[np.float32], step: int, first_row: int, first_column: int, threads: Threads
) -> NDArray[np.int64]:
    """The histogram of the mask's absolute values in some rows, on the grid from these on."""
    width = _NORM * FULL_NOISE * _MEDIAN_OF_NORMAL / _N_BINS

    def count(start: int, stop: int) -> NDArray[np.int64]:
        counts = np.zeros(_N_BINS + 1, np.int64)
        first, last = (first_row + step * n for n in (start, stop))
        _count(rows, width, step, first, last, first_column, counts)
        return counts

    n_rows = max(0, -(-(len(rows) - 1 - first_row) // step))
    return np.asarray(np.sum(threads.over_rows(n_rows, rows.size // step, count), axis=0))


def _parts(image: Grey) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Rows of the image, and which of them is the first; the last two of a part come again in the next."""
    if isinstance(image, np.ndarray):
        yield 0, image
        return
    top, kept = 0, np.empty((0, image.shape[1]), np.float32)
    for block in image.blocks():
        rows = np.concatenate((kept, block))
        yield top, rows
        kept = rows[-2:]
        top += len(rows) - len(kept)


def _step(height: int, width: int) -> int:
    """The grid's step, an odd number; so small that neither side has no place on the grid."""
    wanted = min(math.isqrt(height * width // _ENOUGH), min(height, width) - 3)
    return max(_LEAST_STEP, wanted - 1 + wanted % 2)


def _first(n: int, step: int) -> int:
    """The first place, not at the border, of the grid that is symmetric about the centre of n places."""
    return next(i for i in range(1, n - 1) if (2 * i - (n - 1)) % (2 * step) == (0 if n % 2 else step))


@kernel("void(float32[:, ::1], float64, int64, int64, int64, int64, int64[::1])")
def _count(image, width, step, start, stop, first_column, counts):
    """Count the mask's absolute values on a grid.

    Parameters
    ----------
    image
        (H, W) float32 grey values.
    width
        Of a bin.
    step
        Of the grid, in samples.
    start, stop, first_column
        The rows and the first column of the grid, none at the border.
    counts
        (B + 1,) int64, added to; the last bin takes all larger values.
    """
    n_columns, last = image.shape[1], len(counts) - 1
    bins = np.empty(n_columns, np.int64)
    for y in range(start, min(stop, image.shape[0] - 1), step):
        above, row, below = image[y - 1], image[y], image[y + 1]
        n = 0
        for x in range(first_column, n_columns - 1, step):
            corners = (np.float64(above[x - 1]) + above[x + 1]) + (np.float64(below[x - 1]) + below[x + 1])
            sides = (np.float64(above[x]) + below[x]) + (np.float64(row[x - 1]) + row[x + 1])
            value = abs(corners - 2 * sides + 4 * np.float64(row[x]))
            bins[n] = min(int(value / width), last)
            n += 1
        for i in range(n):  # by itself: one count may have to wait for the one before
            counts[bins[i]] += 1
