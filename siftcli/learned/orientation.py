"""Keypoints to frames by the network: the stage that ``params.orientation = "learned"`` chooses.

The scores are those of ``network.forward``, computed keypoint by keypoint: the same whatever is
computed beside it, and on any number of threads. Neither probability nor logarithm is taken: the
logarithms of two probabilities differ as their scores do, so 0.8 of the largest probability is
log 0.8 below the largest score; and the parabola goes through scores, as a Gaussian answer wants it.

A quarter turn of the image permutes the samples of a ring, so it moves the scores by nine classes, up
to the rounding of the samples themselves.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..params import OrientationParams
from ..sift._jit import kernel, subroutine
from ..sift._threads import Threads
from ..sift.keypoints import Keypoints
from ..sift.scalespace import Octave
from .network import N_CLASSES, N_PLACES, RINGS_SEEN, STRIDE, Parameters
from .patches import (
    N_ANGLES,
    N_RINGS,
    RING_SPACING,
    SAMPLES_PER_PATCH,
    directions,
    normalise,
    positions,
    sample_rings,
)
from .weights import shipped_or

_SAMPLES_PER_KEYPOINT = 4 * SAMPLES_PER_PATCH
"""Work of one keypoint, in the units of ``Threads.over_rows``."""
_COLUMNS = 40
"""Columns computed of each ring of 36: whole vectors of 8, the last four again the first."""
_ROOM = _COLUMNS + N_CLASSES
"""Columns of a closed ring that the widest kernel reaches."""
_TAPS_PER_PASS = 4

Layers = tuple[NDArray[np.float32], ...]


def assign_orientations(
    octave: Octave, keypoints: Keypoints, params: OrientationParams, threads: Threads
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the orientations of keypoints, as ``sift.orientation.assign_orientations`` does.

    Parameters
    ----------
    octave
        The Gaussian levels; samples are taken from the level nearest to the keypoint's.
    keypoints
        N keypoints of this octave.
    params
        The weights, the rule for further orientations and their number.
    threads
        Where the keypoints are shared out.

    Returns
    -------
    rows
        (M,) the keypoint of each frame: keypoints in order, the most probable orientation first.
    orientation
        (M,) radians in [0, 2π), from +x towards +y.

    Raises
    ------
    InputError
        If the weights cannot be read.
    """
    if params.upright:
        return np.arange(len(keypoints)), np.zeros(len(keypoints))
    where, layers = positions(octave, keypoints), _prepared(shipped_or(params.orientation_weights).parameters)
    angles = np.empty((len(keypoints), params.max_orientations))
    n_angles = np.empty(len(keypoints), np.int64)
    margin = -math.log(params.peak_ratio)
    threads.over_rows(
        len(keypoints),
        len(keypoints) * _SAMPLES_PER_KEYPOINT,
        lambda start, stop: _orientations(
            octave.levels, *where, directions(), *layers, margin, angles, n_angles, start, stop
        ),
    )
    rows = np.repeat(np.arange(len(keypoints)), n_angles)
    return rows, angles[np.arange(angles.shape[1]) < n_angles[:, None]]


def _prepared(parameters: Parameters) -> Layers:
    """Weights (K, rows, taps) and biases of the three layers as convolutions of rings with stride 1.

    The first layer's samples are parted into those at even and at odd places, its taps likewise.
    """
    w1, w2, w3 = (np.asarray(parameters[f"weights{i}"], np.float32) for i in (1, 2, 3))
    parted = w1.reshape(len(w1), RINGS_SEEN, -1, STRIDE).swapaxes(2, 3).reshape(len(w1), RINGS_SEEN * STRIDE, -1)
    weights = parted, w2[:, :, 0], w3.reshape(1, -1, N_CLASSES)
    biases = (np.asarray(parameters[f"bias{i}"], np.float32) for i in (1, 2, 3))
    return tuple(np.ascontiguousarray(a) for pair in zip(weights, biases, strict=True) for a in pair)


@subroutine
def _part(rings, rows):
    """Samples at even and at odd places of each ring as two rows, closed."""
    for r in range(rings.shape[0]):
        for i in range(_ROOM):
            a = (STRIDE * i) % N_ANGLES
            rows[2 * r, i] = rings[r, a]
            rows[2 * r + 1, i] = rings[r, a + 1]


@subroutine
def _tap(rows, weights, k, t):
    """The t-th of all taps of a kernel: its weight, and the columns that it meets."""
    r, shift = t // weights.shape[2], t % weights.shape[2]
    return weights[k, r, shift], rows[r, shift : shift + _COLUMNS]


@subroutine
def _convolve(rows, weights, bias, out):
    """y(k,i) = Σ_r Σ_t rows(r, i + t) W_k(r,t) + b_k along the ring, for ``_COLUMNS`` places, four taps a pass."""
    for k in range(len(weights)):
        sums = out[k]
        sums[:] = bias[k]
        for t in range(0, weights.shape[1] * weights.shape[2], _TAPS_PER_PASS):
            w0, a = _tap(rows, weights, k, t)
            w1, b = _tap(rows, weights, k, t + 1)
            w2, c = _tap(rows, weights, k, t + 2)
            w3, d = _tap(rows, weights, k, t + 3)
            for i in range(_COLUMNS):
                sums[i] += (w0 * a[i] + w1 * b[i]) + (w2 * c[i] + w3 * d[i])


@subroutine
def _maxima(rows, n, out):
    """The larger of rows 2f and 2f + 1 of n, closed."""
    for f in range(n // 2):
        for i in range(N_CLASSES):
            out[f, i] = max(rows[2 * f, i], rows[2 * f + 1, i])
        for i in range(N_CLASSES, _ROOM):
            out[f, i] = out[f, i - N_CLASSES]


@subroutine
def _peaks(scores, margin, angles, heights):
    """Directions of the scores that are maxima, at most ``margin`` below the highest; how many there are."""
    n = N_CLASSES
    lowest, n_found = scores[:n].max() - margin, 0
    for i in range(n):
        before, here, after = scores[(i + n - 1) % n], scores[i], scores[(i + 1) % n]
        # Of two equal classes the first counts; its parabola peaks half-way between them.
        if here < lowest or here <= before or here < after:
            continue
        rank = n_found
        while rank > 0 and heights[rank - 1] < here:
            rank -= 1
        last = min(n_found, len(angles) - 1)
        if rank > last:
            continue
        for j in range(last, rank, -1):
            angles[j], heights[j] = angles[j - 1], heights[j - 1]
        offset = 0.5 * (before - after) / (before - 2 * here + after)
        angles[rank], heights[rank] = (i + offset) * 2 * math.pi / n % (2 * math.pi), here
        n_found = last + 1
    if n_found == 0:
        # No direction stands out (a perfectly round structure): any will do, but the keypoint stays.
        angles[0] = 0.0
        n_found = 1
    return n_found


@kernel(
    "void(float32[:, :, :], float64[::1], float64[::1], float64[::1], int64[::1], float64[:, ::1],"
    " float32[:, :, ::1], float32[::1], float32[:, :, ::1], float32[::1], float32[:, :, ::1], float32[::1],"
    " float64, float64[:, ::1], int64[::1], int64, int64)"
)
def _orientations(
    levels, x, y, sigma, level, directions, w1, b1, w2, b2, w3, b3, margin, angles, n_angles, start, stop
):
    """Directions of keypoints start to stop."""
    rings = np.empty((N_RINGS, N_ANGLES), np.float32)
    parted, sums = np.empty((STRIDE * N_RINGS, _ROOM), np.float32), np.empty((N_PLACES * len(w1), _COLUMNS), np.float32)
    maxima = np.empty((len(sums) // 2, _ROOM), np.float32)
    scores, heights = np.empty(N_CLASSES), np.empty(angles.shape[1])
    for n in range(start, stop):
        sample_rings(levels[level[n]], x[n], y[n], RING_SPACING * sigma[n], directions, rings)
        normalise(rings)
        _part(rings, parted)
        for place in range(N_PLACES):
            _convolve(parted[STRIDE * place :], w1, b1, sums[place * len(w1) :])
        _maxima(sums, len(sums), maxima)
        _convolve(maxima, w2, b2, sums)
        _maxima(sums, len(w2), maxima)
        _convolve(maxima, w3, b3, sums)
        for i in range(N_CLASSES):
            scores[i] = sums[0, i]
        n_angles[n] = _peaks(scores, margin, angles[n], heights)
