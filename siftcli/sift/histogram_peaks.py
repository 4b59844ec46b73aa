"""Peaks of a histogram of directions (Lowe, section 5; IPOL, algorithm 11)."""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import subroutine
from ..kernels.vectors import LANES, broadcast, count_trailing_zeros, fma, ge_mask, load, store


@cache
def smoothing_taps(n_bins: int, n_passes: int) -> NDArray[np.float32]:
    """(n_bins,) weights, by distance along the circle, that equal so many passes of averaging three bins.

    Of an even number of bins, that at half the circle is its own mirror bin, and is halved.
    """
    taps = np.zeros(n_bins)
    taps[0] = 1.0
    for _ in range(n_passes):
        taps = (np.roll(taps, 1) + taps + np.roll(taps, -1)) / 3
    taps[n_bins // 2] /= 2 - n_bins % 2
    return taps.astype(np.float32)


@subroutine
def smooth(histogram, taps, n_taps, wrapped, out):
    """Average the bins circularly; bins on either side are summed first.

    Parameters
    ----------
    histogram
        (bins or more,) float64.
    taps
        (bins,) float32, as of :func:`smoothing_taps`.
    n_taps
        How many of them are to be used.
    wrapped
        (3·bins + 16,) float32, room for the histogram three times.
    out
        (bins + 32,) float32, filled: a vector whose last sample is the last bin, the bins, and the first bin.
    """
    n = len(taps)
    for i in range(n):
        wrapped[i] = wrapped[n + i] = wrapped[2 * n + i] = histogram[i]
    for i in range(n, 2 * n, LANES):
        total = broadcast(taps, 0) * load(wrapped, i)
        for j in range(1, n_taps):
            total = fma(broadcast(taps, j), load(wrapped, i - j) + load(wrapped, i + j), total)
        store(out, LANES + i - n, total)
    out[LANES - 1], out[LANES + n] = out[LANES + n - 1], out[LANES]


@subroutine
def _maxima(histogram, n, maxima):
    """Find the bins that are higher than the bin before and no lower than the next.

    Parameters
    ----------
    histogram
        (bins + 32,) float32, as filled by :func:`smooth`.
    n
        Number of bins.
    maxima
        (bins,) int64, filled.

    Returns
    -------
    How many there are, and the height of the highest; of two equal bins the first counts.
    """
    n_found, highest = 0, np.float32(0)
    for i in range(0, n, LANES):
        here = load(histogram, LANES + i)
        before, after = load(histogram, LANES + i - 1), load(histogram, LANES + i + 1)
        flags = ge_mask(here, after) & ~ge_mask(before, here) & ((1 << min(LANES, n - i)) - 1)
        while flags:
            maxima[n_found] = i + count_trailing_zeros(flags)
            highest = max(highest, histogram[LANES + maxima[n_found]])
            n_found += 1
            flags &= flags - 1
    return n_found, highest


@subroutine
def insert_peak(i, n, around, n_found, angles, heights):
    """Enter the peak at a bin among those found, by a parabola through three bins.

    Parameters
    ----------
    i, n
        The bin, and number of bins.
    around
        Float64 heights of the bin before, of the bin and of the next. Where the last two are equal, the peak
        is half-way between them.
    n_found
        Peaks found before.
    angles, heights
        (K,) float64: radians in [0, 2π) and heights, the highest first, at most K.

    Returns
    -------
    How many there are now.
    """
    before, here, after = around
    rank = n_found
    while rank > 0 and heights[rank - 1] < here:
        rank -= 1
    last = min(n_found, len(angles) - 1)
    if rank > last:
        return n_found
    for j in range(last, rank, -1):
        angles[j], heights[j] = angles[j - 1], heights[j - 1]
    offset = 0.5 * (before - after) / (before - 2 * here + after)
    angles[rank], heights[rank] = (i + offset) * 2 * math.pi / n % (2 * math.pi), here
    return last + 1


@subroutine
def peaks(histogram, maxima, peak_ratio, angles, heights):
    """Find the directions of the peaks.

    Parameters
    ----------
    histogram
        (bins + 32,) float32, as filled by :func:`smooth`.
    maxima
        (bins,) int64, room for those of :func:`_maxima`.
    peak_ratio
        Least height, as a share of the largest.
    angles, heights
        (K,) float64, filled: radians in [0, 2π) and heights, the highest first, at most K.

    Returns
    -------
    How many there are; at least 1.
    """
    n, n_found = len(maxima), 0
    n_maxima, highest = _maxima(histogram, n, maxima)
    lowest = peak_ratio * np.float64(highest)
    for number in range(n_maxima):
        i = maxima[number]
        here = np.float64(histogram[LANES + i])
        if here < lowest:
            continue
        around = np.float64(histogram[LANES + i - 1]), here, np.float64(histogram[LANES + i + 1])
        n_found = insert_peak(i, n, around, n_found, angles, heights)
    if n_found == 0:
        # No direction stands out (a perfectly round structure): any will do, but the keypoint is kept.
        angles[0] = 0.0
        n_found = 1
    return n_found
