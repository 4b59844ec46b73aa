"""Keypoints to frames: one or more orientations each (Lowe, section 5; IPOL, algorithms 10 and 11).

The window is centred on the sub-pixel position, so a rotated image has the rotated histogram. For rotations
by other angles than 90° gradients must be as exact along the diagonals as along the axes. Central differences
are not: of a wave (kx, ky) they give sin kx and sin ky, each too small by another factor, and the direction
is off by up to k² / 24: 0.6° for a structure of σ = 2 samples (k = 1/2). Averaged over three rows with
weights 1 4 1, the first is sin kx (2 + cos ky) / 3 ≈ kx (1 − (kx² + ky²) / 6), and the second likewise: both
are too small by the same factor.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import inlined, kernel, subroutine
from ..kernels.parallel_for import parallel_for
from ..kernels.prefetch import prefetch_square
from ..kernels.threads import Threads
from ..kernels.vector_math import direction, gaussian
from ..kernels.vectors import (
    LANES,
    accumulate,
    fma,
    lane_numbers,
    load,
    splat,
    sqrt,
    store,
    store_integers,
    trunc,
)
from ..params import OrientationParams
from .keypoints import Keypoints, OrientationStage
from .octave import Strip
from .orientation_trace import OrientationTrace

_WEIGHT_OF_NEIGHBOURS = 1 / 4
"""Of the neighbouring rows, relative to the middle one; a common factor changes no direction."""
_HISTOGRAMS = 4
"""Histograms that are filled in turn."""
_SAMPLES_PER_KEYPOINT = 1024
"""Work of one histogram, in the units of ``Threads.over_keypoints``."""


def histogram_stage(params: OrientationParams) -> OrientationStage:
    """The orientation histogram, as a stage of the pipeline."""
    radius = 0.0 if params.upright else params.orientation_window * params.orientation_radius
    return OrientationStage(assign_orientations, radius)


def assign_orientations(
    strip: Strip,
    keypoints: Keypoints,
    params: OrientationParams,
    threads: Threads,
    trace: OrientationTrace | None = None,
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the dominant gradient directions around each keypoint.

    Parameters
    ----------
    strip
        The Gaussian levels; gradients are taken at the level nearest to the keypoint's.
    keypoints
        N keypoints of this strip.
    params
        Gradients, window, bins, smoothing and the rule for further peaks.
    threads
        Where the keypoints are shared out.
    trace
        Filled, with room for all keypoints; none with ``params.upright``.

    Returns
    -------
    rows
        (M,) the keypoint of each frame: keypoints in order, the strongest peak of each first.
    orientation
        (M,) radians in [0, 2π), from +x towards +y.
    """
    if params.upright:
        return np.arange(len(keypoints)), np.zeros(len(keypoints))
    places = np.column_stack((strip.to_samples(keypoints.xy), keypoints.sigma / strip.step))
    level = strip.nearest_level(keypoints.sigma)
    angles = np.empty((len(keypoints), params.max_orientations))
    n_angles = np.empty(len(keypoints), np.int64)
    settings = (
        params.orientation_window,
        params.orientation_radius,
        _smoothing_taps(params.orientation_bins, params.orientation_smoothing),
        params.peak_ratio,
        np.float32(_WEIGHT_OF_NEIGHBOURS if params.isotropic_gradients else 0),
    )
    image = strip.levels, strip.first_row, *strip.shape
    asked = trace or OrientationTrace.room_for(0, params)
    traces = asked.histograms, asked.smoothed, asked.fields
    threads.over_keypoints(
        len(keypoints),
        len(keypoints) * _SAMPLES_PER_KEYPOINT,
        lambda counter: _orientations(*image, places, level, *settings, angles, n_angles, *traces, counter),
    )
    rows = np.repeat(np.arange(len(keypoints)), n_angles)
    return rows, angles[np.arange(angles.shape[1]) < n_angles[:, None]]


@cache
def _smoothing_taps(n_bins: int, n_passes: int) -> NDArray[np.float32]:
    """(n_bins,) weights, by distance along the circle, that equal so many passes of averaging three bins."""
    taps = np.zeros(n_bins)
    taps[0] = 1.0
    for _ in range(n_passes):
        taps = (np.roll(taps, 1) + taps + np.roll(taps, -1)) / 3
    return taps.astype(np.float32)


@inlined
def _share_row(level, at, n, neighbours, row_weight, weights, bins_per_radian, bins, lower, upper):
    """Share each of a row's gradients between two bins.

    Parameters
    ----------
    level
        (R, P) float32 Gaussian level.
    at, n
        Flat index of the first sample, and how many.
    neighbours
        Float32 weight of the two neighbouring rows of a gradient.
    row_weight, weights
        Float32 and (n or more,) float32: the Gaussian window along y and along x.
    bins_per_radian
        Float32.
    bins
        (n or more,) int32, filled: the lower bin of each gradient.
    lower, upper
        (n or more,) float32, filled: what it and the next bin get.
    """
    pitch = level.shape[1]
    for i in range(0, n, LANES):
        here = at + i
        above, below = here - pitch, here + pitch
        falling = load(level, below + 1) - load(level, above - 1)
        rising = load(level, above + 1) - load(level, below - 1)
        gx = fma(splat(neighbours), falling + rising, load(level, here + 1) - load(level, here - 1))
        gy = fma(splat(neighbours), falling - rising, load(level, below) - load(level, above))
        share = splat(row_weight) * load(weights, i) * sqrt(fma(gx, gx, gy * gy))
        position = direction(gy, gx) * splat(bins_per_radian)
        whole = trunc(position)
        next_share = share * (position - whole)
        store_integers(bins, i, whole)
        store(lower, i, share - next_share)
        store(upper, i, next_share)


@subroutine
def _fill_window(start, n, inverse, weights):
    """Fill ``weights`` (n or more,) with a Gaussian at ``n`` samples, the first at ``start`` from its centre.

    ``inverse`` is 1 / its standard deviation, a float32 as ``start``, in samples.
    """
    for i in range(0, n, LANES):
        distance = (lane_numbers() + splat(start + np.float32(i))) * splat(inverse)
        store(weights, i, gaussian(distance * distance))


@subroutine
def _histogram(
    level, first_row, height, width, neighbours, x, y, window, radius, histogram, bins, lines, field
):
    """Fill the histogram of gradient directions in a disc, weighted by magnitude and a Gaussian.

    Each gradient is shared between two bins. Only samples with a neighbour on every side count, so the
    image's border is left out all round. Neighbouring samples go to four histograms in turn, which are added
    in the end: they often share a bin, and the second would wait for the first.

    Parameters
    ----------
    level
        (R, P) float32 Gaussian level, rows of the octave from ``first_row`` on.
    first_row, height, width
        The first of the octave's rows that is there, and its size in samples.
    neighbours
        Float32 weight of the two neighbouring rows of a gradient.
    x, y
        Centre, in samples.
    window, radius
        Standard deviation of the Gaussian, and where it is cut, in samples.
    histogram
        (4, bins + 2) float64; the first row is filled.
    bins, lines
        (N,) int32 and (4, N) float32, room for a row of samples.
    field
        (rows, columns, 2) float32, filled as of :class:`OrientationTrace`; of no rows when not wanted.
    """
    size = histogram.shape[1]
    n_bins = size - 2
    bins_per_radian, inverse = np.float32(n_bins / (2 * math.pi)), np.float32(1 / window)
    histogram[:] = 0
    first, last = max(1, math.ceil(x - radius)), min(width - 2, math.floor(x + radius))
    # Whole vectors are computed; the samples beyond n are not counted.
    n = last + 1 - first
    weights, row_weights, lower, upper = lines
    top, bottom = max(1, math.ceil(y - radius)), min(height - 2, math.floor(y + radius))
    _fill_window(np.float32(first - x), n, inverse, weights)
    _fill_window(np.float32(top - y), bottom + 1 - top, inverse, row_weights)
    for row in range(top, bottom + 1):
        reach = math.sqrt(max(0.0, radius**2 - (row - y) ** 2))
        left, right = max(1, math.ceil(x - reach)), min(width - 2, math.floor(x + reach)) + 1
        row_weight = row_weights[row - top]
        at = (row - first_row) * level.shape[1] + first
        _share_row(level, at, n, neighbours, row_weight, weights, bins_per_radian, bins, lower, upper)
        for i in range(left - first, right - first):
            own = (i & (_HISTOGRAMS - 1)) * size + bins[i]
            accumulate(histogram, own, lower[i])
            accumulate(histogram, own + 1, upper[i])
        if row - top < len(field):
            for i in range(left - first, right - first):
                share = lower[i] + upper[i]
                field[row - top, i, 0] = share
                field[row - top, i, 1] = bins[i] + (upper[i] / share if share > 0 else 0)
    for i in range(size):
        for other in range(1, _HISTOGRAMS):
            histogram[0, i] += histogram[other, i]
    # The two bins after the last are the first two.
    histogram[0, 0] += histogram[0, n_bins]
    histogram[0, 1] += histogram[0, n_bins + 1]


@subroutine
def _smooth(histogram, taps, wrapped, out):
    """Average the bins circularly; bins on either side are summed first.

    Parameters
    ----------
    histogram
        (bins or more,) float64.
    taps
        (bins,) float32 weights by distance along the circle.
    wrapped
        (3·bins + 16,) float32, room for the histogram three times.
    out
        (bins + 16,) float32, filled.
    """
    n = len(taps)
    for i in range(n):
        wrapped[i] = wrapped[n + i] = wrapped[2 * n + i] = histogram[i]
    for i in range(0, n, LANES):
        total = splat(taps[0]) * load(wrapped, n + i)
        for j in range(1, n // 2 + 1):
            if taps[j] == 0:
                break
            tap = taps[j] if 2 * j < n else taps[j] / 2
            total = fma(splat(np.float32(tap)), load(wrapped, n + i - j) + load(wrapped, n + i + j), total)
        store(out, i, total)


@subroutine
def _peaks(histogram, peak_ratio, angles, heights):
    """Find the directions of the peaks by a parabola through three bins.

    Parameters
    ----------
    histogram
        (bins,) float32.
    peak_ratio
        Least height, as a share of the largest.
    angles, heights
        (K,) float64, filled: radians in [0, 2π) and heights, the highest first, at most K.

    Returns
    -------
    How many there are; at least 1.
    """
    n, n_found, highest = len(histogram), 0, histogram[0]
    for i in range(1, n):
        highest = max(highest, histogram[i])
    lowest = peak_ratio * highest
    for i in range(n):
        before, here = np.float64(histogram[i - 1]), np.float64(histogram[i])
        after = np.float64(histogram[i + 1 if i + 1 < n else 0])
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
        # No direction stands out (a perfectly round structure): any will do, but the keypoint is kept.
        angles[0] = 0.0
        n_found = 1
    return n_found


@kernel(
    "void(float32[:, :, ::1], int64, int64, int64, float64[:, ::1], int64[::1], float64, float64,"
    " float32[::1], float64, float32, float64[:, ::1], int64[::1], float64[:, ::1], float32[:, ::1],"
    " float32[:, :, :, ::1], int64[::1])"
)
def _orientations(
    levels,
    first_row,
    height,
    width,
    places,
    level,
    window,
    radius,
    taps,
    peak_ratio,
    neighbours,
    angles,
    n_angles,
    histograms,
    smoothed_histograms,
    fields,
    counter,
):
    """Assign orientations to keypoints, as many as are left.

    Parameters
    ----------
    levels
        (S + 3, R, P) float32 Gaussian levels, rows of the octave from ``first_row`` on.
    first_row, height, width
        The first of the octave's rows that is there, and its size in samples.
    places
        (N, 3) float64 x, y and σ, in samples.
    level
        (N,) int64 level that gradients are taken from.
    window, radius
        Standard deviation of the Gaussian in units of σ, and where it is cut, in units of the window.
    taps
        (bins,) float32, of the smoothing.
    peak_ratio
        Least height of a peak, as a share of the largest.
    neighbours
        Float32 weight of the two neighbouring rows of a gradient.
    angles
        (N, K) float64, filled: radians, the strongest first.
    n_angles
        (N,) int64, filled: how many each has.
    histograms, smoothed_histograms, fields
        Of :class:`OrientationTrace`, filled for as many keypoints as there is room for.
    counter
        (1,) int64 of the parallel for loop.
    """
    n_bins, n_samples = len(taps), max(levels.shape[1:]) + LANES
    lines, bins = np.empty((4, n_samples), np.float32), np.empty(n_samples, np.int32)
    histogram, smoothed, heights = (
        np.empty((_HISTOGRAMS, n_bins + 2)),
        np.empty(n_bins + LANES, np.float32),
        np.empty(angles.shape[1]),
    )
    wrapped = np.zeros(3 * n_bins + LANES, np.float32)
    for n in parallel_for(counter, len(places)):
        if n + 1 < len(places):
            x, y, sigma = places[n + 1]
            reach = radius * window * sigma
            prefetch_square(levels, level[n + 1], first_row, height, width, x, y, reach + 1)
        x, y, sigma = places[n]
        spread = window * sigma
        _histogram(
            levels[level[n]],
            first_row,
            height,
            width,
            neighbours,
            x,
            y,
            spread,
            radius * spread,
            histogram,
            bins,
            lines,
            fields[n if n < len(fields) else 0],
        )
        _smooth(histogram[0], taps, wrapped, smoothed)
        if n < len(histograms):
            histograms[n], smoothed_histograms[n] = histogram[0, :n_bins], smoothed[:n_bins]
        n_angles[n] = _peaks(smoothed[:n_bins], peak_ratio, angles[n], heights)
