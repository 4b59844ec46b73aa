"""Keypoints to frames: one or more orientations each (Lowe, section 5; IPOL, algorithms 10 and 11).

The histogram of gradients around a keypoint (``gradient_histogram.py``) is smoothed, and its peaks become
orientations (``histogram_peaks.py``).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import kernel
from ..kernels.parallel_for import parallel_for
from ..kernels.prefetch import prefetch_square
from ..kernels.threads import Threads
from ..kernels.vectors import LANES
from ..params import OrientationParams
from .gradient_histogram import HISTOGRAMS, SAMPLES_AT_ONCE, fill_histogram
from .histogram_peaks import peaks, smooth, smoothing_taps
from .keypoints import Keypoints, OrientationStage
from .octave import Strip
from .orientation_trace import OrientationTrace
from .strips import Strips, as_strips, strip_at

_WEIGHT_OF_NEIGHBOURS = 1 / 4
"""Of the neighbouring rows, relative to the middle one; a common factor changes no direction."""
_SAMPLES_PER_KEYPOINT = 1024
"""Work of one histogram, in the units of ``Threads.over_keypoints``."""


def histogram_stage(params: OrientationParams) -> OrientationStage:
    """The orientation histogram, as a stage of the pipeline."""
    radius = 0.0 if params.upright else params.orientation_window * params.orientation_radius
    return OrientationStage(assign_orientations, radius)


def assign_orientations(
    strip: Strip | Strips,
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
        N keypoints of this strip, or of strips of several octaves.
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
    strips = as_strips(strip, len(keypoints))
    places = np.column_stack((strips.to_samples(keypoints.xy), keypoints.sigma / strips.step))
    level = strips.nearest_level(keypoints.sigma)
    angles = np.empty((len(keypoints), params.max_orientations))
    n_angles = np.empty(len(keypoints), np.int64)
    settings = (
        params.orientation_window,
        params.orientation_radius,
        smoothing_taps(params.orientation_bins, params.orientation_smoothing),
        params.peak_ratio,
        np.float32(_WEIGHT_OF_NEIGHBOURS if params.isotropic_gradients else 0),
    )
    asked = trace or OrientationTrace.room_for(0, params)
    traces = asked.histograms, asked.smoothed, asked.fields
    threads.over_keypoints(
        len(keypoints),
        len(keypoints) * _SAMPLES_PER_KEYPOINT,
        # Within the call, so that the strips live as long as a thread that an interrupt leaves behind.
        lambda counter: _orientations(
            strips.table, strips.of, places, level, *settings, angles, n_angles, *traces, counter
        ),
    )
    rows = np.repeat(np.arange(len(keypoints)), n_angles)
    return rows, angles[np.arange(angles.shape[1]) < n_angles[:, None]]


@kernel(
    "void(int64[:, ::1], int64[::1], float64[:, ::1], int64[::1], float64, float64,"
    " float32[::1], float64, float32, float64[:, ::1], int64[::1], float64[:, ::1], float32[:, ::1],"
    " float32[:, :, :, ::1], int64[::1])"
)
def _orientations(
    table,
    of,
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
    table, of
        (K, 7) int64 strips, as of :attr:`Strips.table`; (N,) int64 that of each keypoint.
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
    n_bins, n_samples = len(taps), 0
    for i in range(len(table)):
        n_samples = max(n_samples, table[i, 2] + LANES, table[i, 3] + LANES)
    lines = np.empty((2, n_samples), np.float32)
    n_samples += SAMPLES_AT_ONCE
    gradients, bins = np.empty((3, n_samples), np.float32), np.empty(n_samples, np.int32)
    shares = np.empty((2, n_samples))
    histogram, smoothed = np.empty((HISTOGRAMS, n_bins + 2)), np.empty(n_bins + 2 * LANES, np.float32)
    maxima, heights = np.empty(n_bins, np.int64), np.empty(angles.shape[1])
    wrapped = np.zeros(3 * n_bins + LANES, np.float32)
    n_taps = 1
    while n_taps <= n_bins // 2 and taps[n_taps] > 0:
        n_taps += 1
    for n in parallel_for(counter, len(places)):
        if n + 1 < len(places):
            x, y, sigma = places[n + 1, 0], places[n + 1, 1], places[n + 1, 2]
            reach = radius * window * sigma
            levels, first_row, height, width = strip_at(table, of[n + 1])
            prefetch_square(levels, level[n + 1], first_row, height, width, x, y, reach + 1)
        levels, first_row, height, width = strip_at(table, of[n])
        x, y, sigma = places[n, 0], places[n, 1], places[n, 2]
        spread = window * sigma
        fill_histogram(
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
            gradients,
            shares,
            fields[n if n < len(fields) else 0],
        )
        smooth(histogram[0], taps, n_taps, wrapped, smoothed)
        if n < len(histograms):
            for i in range(n_bins):  # a copy of slices would compile the error of unlike shapes
                histograms[n, i], smoothed_histograms[n, i] = histogram[0, i], smoothed[LANES + i]
        n_angles[n] = peaks(smoothed, maxima, peak_ratio, angles[n], heights)
