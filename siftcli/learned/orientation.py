"""Keypoints to frames by the network: the stage that ``params.orientation = "learned"`` chooses.

The scores are those of ``network.forward``, computed keypoint by keypoint, so they depend neither on the
other keypoints nor on the number of threads. Neither probabilities nor logarithms are computed: the
logarithms of two probabilities differ as their scores do, so 0.8 of the largest probability is log 0.8 below
the largest score; and the parabola goes through scores, since the answers in training are Gaussians.

Rotating the image by 90° permutes the samples of a ring, so it shifts the scores by nine classes, up to the
rounding of the samples themselves.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import kernel, subroutine
from ..kernels.threads import Threads
from ..params import OrientationParams
from ..sift.histogram_peaks import insert_peak
from ..sift.keypoints import Keypoints, OrientationStage
from ..sift.octave import Strip
from ..sift.strips import Strips, as_strips
from .network import N_CLASSES, STRIDE, Parameters
from .patches import (
    N_ANGLES,
    N_PARTS,
    N_RINGS,
    RING_SPACING,
    SAMPLES_PER_PATCH,
    directions,
    positions,
    take_patch,
)
from .weights import shipped_or

_SAMPLES_PER_KEYPOINT = 4 * SAMPLES_PER_PATCH
"""Work of one keypoint, in the units of ``Threads.over_rows``."""
_COLUMNS = 40
"""Columns that are computed of each ring of 36: whole vectors of 8; the last four repeat the first."""
_ROOM = _COLUMNS + N_CLASSES
"""Columns of a closed ring that the widest kernel reaches."""

_KERNELS_AT_ONCE = 4
"""The number of kernels of both convolutions is a multiple of it."""

RADIUS = (N_RINGS + 1) * RING_SPACING
"""Radius of the samples that an orientation depends on, in units of σ, and one sample more."""

Layers = tuple[NDArray[np.float32], ...]


def network_stage() -> OrientationStage:
    """The network, as a stage of the pipeline."""
    return OrientationStage(assign_orientations, RADIUS)


def assign_orientations(
    strip: Strip | Strips, keypoints: Keypoints, params: OrientationParams, threads: Threads
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Find the orientations of keypoints, as ``sift.orientation.assign_orientations`` does.

    Parameters
    ----------
    strip
        The Gaussian levels; samples are taken from the level nearest to the keypoint's.
    keypoints
        N keypoints of this strip, or of strips of several octaves.
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
    layers = _prepared(shipped_or(params.orientation_weights).parameters)
    angles = np.empty((len(keypoints), params.max_orientations))
    n_angles = np.empty(len(keypoints), np.int64)
    for one, rows in as_strips(strip, len(keypoints)).one_by_one():
        angles[rows], n_angles[rows] = _of_strip(one, keypoints.select(rows), layers, params, threads)
    rows = np.repeat(np.arange(len(keypoints)), n_angles)
    return rows, angles[np.arange(angles.shape[1]) < n_angles[:, None]]


def _of_strip(
    strip: Strip, keypoints: Keypoints, layers: Layers, params: OrientationParams, threads: Threads
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """(N, K) angles of keypoints of one strip, and (N,) how many each has."""
    where, n = positions(strip, keypoints), len(keypoints)
    angles, n_angles = np.empty((n, params.max_orientations)), np.empty(n, np.int64)
    margin = -math.log(params.peak_ratio)
    threads.over_rows(
        n,
        n * _SAMPLES_PER_KEYPOINT,
        lambda start, stop: _orientations(
            strip.unpadded, *where, directions(), *layers, margin, angles, n_angles, start, stop
        ),
    )
    return angles, n_angles


def _prepared(parameters: Parameters) -> Layers:
    """Weights and biases of the layers: (K, rows, taps) of the convolutions, (rows, classes) of the last.

    The first layer's samples are separated into those at even and at odd places, and its taps likewise.
    """
    w1, w2, w3 = (np.asarray(parameters[f"weights{i}"], np.float32) for i in (1, 2, 3))
    parted = w1.reshape(len(w1), N_PARTS, -1, STRIDE).swapaxes(2, 3).reshape(len(w1), N_PARTS * STRIDE, -1)
    weights = parted, w2[:, :, 0], w3.reshape(-1, N_CLASSES)
    biases = (np.asarray(parameters[f"bias{i}"], np.float32) for i in (1, 2, 3))
    return tuple(np.ascontiguousarray(a) for pair in zip(weights, biases, strict=True) for a in pair)


@subroutine
def _separate(patch, ring, rows):
    """Separate the samples of a ring into those at even and at odd places.

    Parameters
    ----------
    patch
        (2, N_RINGS, N_ANGLES) float32.
    ring
        Index of the ring.
    rows
        (4, 76) float32, filled: outwards and along, each even and odd; the beginning repeated at the end.
    """
    for part in range(N_PARTS):
        for i in range(_ROOM):
            a = STRIDE * (i % N_CLASSES)
            for odd in range(STRIDE):
                rows[STRIDE * part + odd, i] = patch[part, ring, a + odd]


@subroutine
def _convolve(rows, weights, bias, out):
    """y(k,i) = Σ_r Σ_t rows(r, i + t) W_k(r,t) + b_k along the ring, for ``_COLUMNS`` places i.

    Four kernels and two taps at a time, so that each column that is loaded serves four sums. (With the
    inner loop in a function of its own it took twice as long.)

    Parameters
    ----------
    rows
        (R, 76) float32, closed rings.
    weights, bias
        (K, R, T) and (K,) float32, K a multiple of 4.
    out
        (K, 40) float32, filled.
    """
    for k in range(0, weights.shape[0], _KERNELS_AT_ONCE):
        s0, s1, s2, s3 = out[k], out[k + 1], out[k + 2], out[k + 3]
        for i in range(_COLUMNS):
            s0[i], s1[i], s2[i], s3[i] = bias[k], bias[k + 1], bias[k + 2], bias[k + 3]
        for r in range(weights.shape[1]):
            row = rows[r]
            for t in range(0, weights.shape[2], 2):
                a, b = row[t : t + _COLUMNS], row[t + 1 : t + 1 + _COLUMNS]
                u0, u1 = weights[k, r, t], weights[k, r, t + 1]
                v0, v1 = weights[k + 1, r, t], weights[k + 1, r, t + 1]
                w0, w1 = weights[k + 2, r, t], weights[k + 2, r, t + 1]
                x0, x1 = weights[k + 3, r, t], weights[k + 3, r, t + 1]
                for i in range(_COLUMNS):
                    s0[i] += u0 * a[i] + u1 * b[i]
                    s1[i] += v0 * a[i] + v1 * b[i]
                    s2[i] += w0 * a[i] + w1 * b[i]
                    s3[i] += x0 * a[i] + x1 * b[i]


@subroutine
def _connect(rows, weights, bias, scores):
    """y(c) = Σ_f Σ_j rows(f, c + j) W(f,j) + b: the fully connected layer, seen from each direction c.

    Parameters
    ----------
    rows
        (F, 76) float32, closed rings.
    weights, bias
        (F, 36) and (1,) float32.
    scores
        (40,) float32, filled.
    """
    for c in range(_COLUMNS):
        scores[c] = bias[0]
    for f in range(weights.shape[0]):
        for j in range(0, N_CLASSES, 2):
            w0, w1 = weights[f, j], weights[f, j + 1]
            a, b = rows[f, j : j + _COLUMNS], rows[f, j + 1 : j + 1 + _COLUMNS]
            for c in range(_COLUMNS):
                scores[c] += w0 * a[c] + w1 * b[c]


@subroutine
def _maxima(rows, n, out):
    """Take the maximum of each two rows, 2f and 2f + 1.

    Parameters
    ----------
    rows
        (n or more, 40) float32.
    n
        How many count, an even number.
    out
        (n / 2 or more, 76) float32, filled; closed rings.
    """
    for f in range(n // 2):
        for i in range(N_CLASSES):
            out[f, i] = max(rows[2 * f, i], rows[2 * f + 1, i])
        for i in range(N_CLASSES, _ROOM):
            out[f, i] = out[f, i - N_CLASSES]


@subroutine
def _peaks(scores, margin, angles, heights):
    """Find the directions of the scores' maxima.

    Parameters
    ----------
    scores
        (36 or more,) float32.
    margin
        How far below the highest a maximum may be.
    angles, heights
        (K,) float64, filled: radians in [0, 2π) and scores, the highest first, at most K.

    Returns
    -------
    How many there are; at least 1.
    """
    n, n_found, highest = N_CLASSES, 0, scores[0]
    for i in range(1, n):
        highest = max(highest, scores[i])
    lowest = highest - margin
    for i in range(n):
        before, here = np.float64(scores[(i + n - 1) % n]), np.float64(scores[i])
        after = np.float64(scores[(i + 1) % n])
        if here >= lowest and here > before and here >= after:  # of two equal classes the first counts
            n_found = insert_peak(i, n, (before, here, after), n_found, angles, heights)
    if n_found == 0:
        # No direction stands out (a perfectly round structure): any will do, but the keypoint is kept.
        angles[0] = 0.0
        n_found = 1
    return n_found


@kernel(
    "void(float32[:, :, :], float64[::1], float64[::1], float64[::1], int64[::1], float64[:, ::1],"
    " float32[:, :, ::1], float32[::1], float32[:, :, ::1], float32[::1], float32[:, ::1], float32[::1],"
    " float64, float64[:, ::1], int64[::1], int64, int64)"
)
def _orientations(
    levels, x, y, sigma, level, directions, w1, b1, w2, b2, w3, b3, margin, angles, n_angles, start, stop
):
    """Assign orientations to the keypoints ``start`` to ``stop``.

    Parameters
    ----------
    levels
        (S + 3, R, W) float32 Gaussian levels.
    x, y, sigma
        (N,) float64 in samples, from the first row of the levels.
    level
        (N,) int64 level that samples are taken from.
    directions
        (2, N_ANGLES) float64, as of ``patches.directions``.
    w1, b1, w2, b2, w3, b3
        Float32 weights and biases of the layers, as of :func:`_prepared`.
    margin
        How far below the highest a score may be.
    angles
        (N, K) float64, filled: radians, the most probable first.
    n_angles
        (N,) int64, filled: how many each has.
    start, stop
        Rows of x, y, sigma, level, angles and n_angles.
    """
    rings, patch = (
        np.empty((N_RINGS + 2, N_ANGLES), np.float32),
        np.empty((N_PARTS, N_RINGS, N_ANGLES), np.float32),
    )
    parted = np.empty((N_PARTS * STRIDE, _ROOM), np.float32)
    sums = np.empty((N_RINGS * len(w1), _COLUMNS), np.float32)
    maxima = np.empty((len(sums) // 2, _ROOM), np.float32)
    scores, heights = np.empty(_COLUMNS, np.float32), np.empty(angles.shape[1])
    for n in range(start, stop):
        take_patch(levels[level[n]], x[n], y[n], sigma[n], directions, rings, patch)
        for ring in range(N_RINGS):
            _separate(patch, ring, parted)
            _convolve(parted, w1, b1, sums[ring * len(w1) :])
        _maxima(sums, len(sums), maxima)
        _convolve(maxima, w2, b2, sums)
        _maxima(sums, len(w2), maxima)
        _connect(maxima, w3, b3, scores)
        n_angles[n] = _peaks(scores, margin, angles[n], heights)
