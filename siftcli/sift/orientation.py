"""Keypoints to frames: one or more orientations each (Lowe, section 5; IPOL, algorithms 10 and 11).

The window is centred on the sub-pixel position, so a turned image has the turned histogram.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..params import OrientationParams
from ._arctangent import direction
from ._jit import kernel, subroutine
from ._threads import Threads
from .keypoints import Keypoints
from .scalespace import Octave

_SAMPLES_PER_KEYPOINT = 1024
"""Work of one histogram, in the units of ``Threads.over_rows``."""


def assign_orientations(
    octave: Octave, keypoints: Keypoints, params: OrientationParams, threads: Threads
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the dominant gradient directions around each keypoint.

    Parameters
    ----------
    octave
        The Gaussian levels; gradients are taken at the level nearest to the keypoint's.
    keypoints
        N keypoints of this octave.
    params
        Window, bins, smoothing and the rule for further peaks.
    threads
        Where the keypoints are shared out.

    Returns
    -------
    rows
        (M,) the keypoint of each frame: keypoints in order, the strongest peak of each first.
    orientation
        (M,) radians in [0, 2π), from +x towards +y.
    """
    if params.upright:
        return np.arange(len(keypoints)), np.zeros(len(keypoints))
    x, y = octave.to_samples(keypoints.xy).T.copy()
    sigma, level = keypoints.sigma / octave.step, octave.nearest_level(keypoints.sigma)
    angles = np.empty((len(keypoints), params.max_orientations))
    n_angles = np.empty(len(keypoints), np.int64)
    settings = (
        params.orientation_bins,
        params.orientation_window,
        params.orientation_radius,
        params.orientation_smoothing,
        params.peak_ratio,
    )
    threads.over_rows(
        len(keypoints),
        len(keypoints) * _SAMPLES_PER_KEYPOINT,
        lambda start, stop: _orientations(
            octave.levels, x, y, sigma, level, *settings, angles, n_angles, start, stop
        ),
    )
    rows = np.repeat(np.arange(len(keypoints)), n_angles)
    return rows, angles[np.arange(angles.shape[1]) < n_angles[:, None]]


@subroutine
def _polar_row(above, row, below, left, right, magnitude, angle):
    """Gradient magnitude and direction of samples left to right of a row."""
    n = right - left
    up, down = above[left:right], below[left:right]
    west, east = row[left - 1 : right - 1], row[left + 1 : right + 1]
    for x in range(n):
        gx, gy = east[x] - west[x], down[x] - up[x]
        magnitude[x] = np.sqrt(gx * gx + gy * gy)
        angle[x] = direction(gy, gx)


@subroutine
def _histogram(level, x, y, window, radius, histogram, magnitude, angle, weight):
    """Gradient directions in a disc, weighted by magnitude and a Gaussian, shared between two bins each."""
    height, width = level.shape
    n_bins = len(histogram)
    bins_per_radian = n_bins / (2 * math.pi)
    histogram[:] = 0
    # The Gaussian is separable: one exponential a column and one a row. Only samples with a
    # central difference count, so the image's own border is left out on every side alike.
    first, last = max(1, math.ceil(x - radius)), min(width - 2, math.floor(x + radius))
    for column in range(first, last + 1):
        weight[column - first] = math.exp(-0.5 * ((column - x) / window) ** 2)
    for row in range(max(1, math.ceil(y - radius)), min(height - 2, math.floor(y + radius)) + 1):
        reach = math.sqrt(max(0.0, radius**2 - (row - y) ** 2))
        left, right = max(1, math.ceil(x - reach)), min(width - 2, math.floor(x + reach)) + 1
        if right <= left:
            continue
        _polar_row(level[row - 1], level[row], level[row + 1], left, right, magnitude, angle)
        row_weight = math.exp(-0.5 * ((row - y) / window) ** 2)
        for i in range(right - left):
            share = row_weight * weight[left - first + i] * magnitude[i]
            position = angle[i] * bins_per_radian
            lower = int(position)
            upper_share = share * (position - lower)
            lower = lower if lower < n_bins else lower - n_bins
            upper = lower + 1 if lower + 1 < n_bins else 0
            histogram[lower] += share - upper_share
            histogram[upper] += upper_share


@subroutine
def _smooth(histogram, n_passes):
    """Circular averaging of three bins, several times."""
    n = len(histogram)
    for _ in range(n_passes):
        first, before = histogram[0], histogram[n - 1]
        for i in range(n):
            here, after = histogram[i], (histogram[i + 1] if i + 1 < n else first)
            histogram[i] = (before + here + after) / 3
            before = here


@subroutine
def _peaks(histogram, peak_ratio, angles, heights):
    """Directions of the peaks, highest first, by a parabola through three bins; returns their number."""
    n = len(histogram)
    lowest, n_found = peak_ratio * histogram.max(), 0
    for i in range(n):
        before, here, after = histogram[i - 1], histogram[i], histogram[i + 1 if i + 1 < n else 0]
        # Of two equal bins the first counts; its parabola peaks half-way between them.
        if here < lowest or here <= before or here < after:
            continue
        offset = 0.5 * (before - after) / (before - 2 * here + after)
        rank = n_found
        while rank > 0 and heights[rank - 1] < here:
            rank -= 1
        last = min(n_found, len(angles) - 1)
        if rank > last:
            continue
        for j in range(last, rank, -1):
            angles[j], heights[j] = angles[j - 1], heights[j - 1]
        angles[rank], heights[rank] = (i + offset) * 2 * math.pi / n % (2 * math.pi), here
        n_found = last + 1
    if n_found == 0:
        # No direction stands out (a perfectly round structure): any will do, but the keypoint stays.
        angles[0] = 0.0
        n_found = 1
    return n_found


@kernel(
    "void(float32[:, :, ::1], float64[::1], float64[::1], float64[::1], int64[::1],"
    " int64, float64, float64, int64, float64, float64[:, ::1], int64[::1], int64, int64)"
)
def _orientations(
    levels, x, y, sigma, level, n_bins, window, radius, n_passes, peak_ratio, angles, n_angles, start, stop
):
    """Directions of keypoints start to stop."""
    width = levels.shape[2]
    magnitude, angle, weight = np.empty(width, np.float32), np.empty(width, np.float32), np.empty(width)
    histogram, heights = np.empty(n_bins), np.empty(angles.shape[1])
    for n in range(start, stop):
        spread = window * sigma[n]
        _histogram(levels[level[n]], x[n], y[n], spread, radius * spread, histogram, magnitude, angle, weight)
        _smooth(histogram, n_passes)
        n_angles[n] = _peaks(histogram, peak_ratio, angles[n], heights)
