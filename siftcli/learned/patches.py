"""What the network sees of a keypoint: gradients on rings around it, in the keypoint's own scale.

The patch is polar: rings at equal distances, with samples at the same angles in each, the first towards +x.
So rotating the image by 5° shifts every sample to its neighbour, and rotating it by 90° permutes the samples.
The patch itself is not rotated; the network finds by how much it is. A gradient has a component outwards and
one along the ring, which rotate with it. (From grey values a network with a larger second layer learned no
better.)
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import kernel, subroutine
from ..kernels.threads import Threads
from ..sift.keypoints import Keypoints
from ..sift.octave import Strip

N_PARTS = 2
"""Outwards, and along the ring from +x towards +y."""
N_RINGS = 8
N_ANGLES = 72
"""Samples of a ring, every 5°: at most 0.45 σ apart, where the blur of σ leaves nothing finer than 1 σ."""
RING_SPACING = 0.65
"""Distance of the rings in units of σ; the outermost, at 5.2 σ, is where the histogram's window ends."""
SMALLEST_GRADIENT = 1e-12
"""Root of the mean square, below which a patch is left flat."""
SAMPLES_PER_PATCH = 1 << 10
"""Work of one patch, in the units of ``Threads.over_rows``."""

QUARTER = N_ANGLES // 4


def directions() -> NDArray[np.float64]:
    """(2, N_ANGLES) unit vectors (x; y) of the samples; rotation by 90° permutes them to the last bit."""
    angle = 2 * math.pi / N_ANGLES * np.arange(QUARTER)
    x, y = np.cos(angle), np.sin(angle)
    return np.array([np.concatenate([x, -y, -x, y]), np.concatenate([y, x, -y, -x])])


def sample_patches(strip: Strip, keypoints: Keypoints, threads: Threads) -> NDArray[np.float32]:
    """The patches of keypoints of a strip.

    Parameters
    ----------
    strip
        The Gaussian levels; samples are taken from the level nearest to the keypoint's.
    keypoints
        N keypoints of this strip.
    threads
        Where the keypoints are shared out.

    Returns
    -------
    patches
        (N, N_PARTS, N_RINGS, N_ANGLES) of mean square 1, from the inner ring outwards, angles from +x
        towards +y.
    """
    where = positions(strip, keypoints)
    out = np.empty((len(keypoints), N_PARTS, N_RINGS, N_ANGLES), np.float32)
    threads.over_rows(
        len(keypoints),
        len(keypoints) * SAMPLES_PER_PATCH,
        lambda start, stop: _sample_patches(strip.unpadded, *where, directions(), out, start, stop),
    )
    return out


Positions = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def positions(strip: Strip, keypoints: Keypoints) -> Positions:
    """x, y (from the strip's first row) and σ of keypoints in samples, and the level, each (N,)."""
    x, y = strip.to_samples(keypoints.xy).T.copy()
    return x, y - strip.first_row, keypoints.sigma / strip.step, strip.nearest_level(keypoints.sigma)


@subroutine
def _inside(position, n):
    """The sample before a position, which is limited to ``n`` samples, and the distance from it."""
    position = min(max(position, 0.0), n - 1.0)
    whole = min(int(position), n - 2)
    return whole, position - whole


@subroutine
def _sample_rings(level, x, y, spacing, directions, rings):
    """Sample grey values on rings, by bilinear interpolation; outside the image its edge is repeated.

    Parameters
    ----------
    level
        (R, W) float32 Gaussian level.
    x, y, spacing
        Centre and distance of the rings, in samples.
    directions
        (2, N_ANGLES) float64 unit vectors.
    rings
        (N_RINGS + 2, N_ANGLES) float32, filled; the first ring is the centre.
    """
    height, width = level.shape
    for r in range(rings.shape[0]):
        for a in range(rings.shape[1]):
            j, right = _inside(x + r * spacing * directions[0, a], width)
            i, down = _inside(y + r * spacing * directions[1, a], height)
            upper = level[i, j] + right * (level[i, j + 1] - level[i, j])
            lower = level[i + 1, j] + right * (level[i + 1, j + 1] - level[i + 1, j])
            rings[r, a] = upper + down * (lower - upper)


@subroutine
def _differentiate(rings, patch):
    """Take central differences outwards and along the rings, both in grey values over two spacings.

    Parameters
    ----------
    rings
        (N_RINGS + 2, N_ANGLES) float32 grey values.
    patch
        (2, N_RINGS, N_ANGLES) float32, filled.
    """
    for r in range(N_RINGS):
        per_spacing = N_ANGLES / (2 * math.pi * (r + 1))  # neighbours on ring r + 1 are closer than rings are
        for a in range(N_ANGLES):
            before = rings[r + 1, a - 1 if a > 0 else N_ANGLES - 1]
            after = rings[r + 1, a + 1 if a + 1 < N_ANGLES else 0]
            patch[0, r, a] = rings[r + 2, a] - rings[r, a]
            patch[1, r, a] = (after - before) * per_spacing


@subroutine
def _normalise(patch):
    """Scale a patch (2, N_RINGS, N_ANGLES) to a mean square of 1.

    Samples that a rotation by 90° permutes are summed as (a + c) + (b + d), so that it changes no bit.
    """
    total = 0.0
    for part in range(N_PARTS):
        for r in range(N_RINGS):
            for i in range(QUARTER):
                a, b = np.float64(patch[part, r, i]), np.float64(patch[part, r, i + QUARTER])
                c, d = patch[part, r, i + 2 * QUARTER], patch[part, r, i + 3 * QUARTER]
                total += (a * a + np.float64(c) * c) + (b * b + np.float64(d) * d)
    factor = np.float32(1 / max(math.sqrt(total / patch.size), SMALLEST_GRADIENT))
    for part in range(N_PARTS):
        for r in range(N_RINGS):
            for i in range(N_ANGLES):
                patch[part, r, i] *= factor


@subroutine
def take_patch(level, x, y, sigma, directions, rings, patch):
    """Sample the patch of a keypoint.

    Parameters
    ----------
    level
        (R, W) float32 Gaussian level.
    x, y, sigma
        In samples of the level.
    directions
        (2, N_ANGLES) float64, as of :func:`directions`.
    rings
        (N_RINGS + 2, N_ANGLES) float32, room for grey values.
    patch
        (2, N_RINGS, N_ANGLES) float32, filled.
    """
    _sample_rings(level, x, y, RING_SPACING * sigma, directions, rings)
    _differentiate(rings, patch)
    _normalise(patch)


@kernel(
    "void(float32[:, :, :], float64[::1], float64[::1], float64[::1], int64[::1],"
    " float64[:, ::1], float32[:, :, :, ::1], int64, int64)"
)
def _sample_patches(levels, x, y, sigma, level, directions, out, start, stop):
    """Sample the patches of the keypoints ``start`` to ``stop``.

    Parameters
    ----------
    levels
        (S + 3, R, W) float32 Gaussian levels.
    x, y, sigma
        (N,) float64 in samples, from the first row of the levels.
    level
        (N,) int64 level that samples are taken from.
    directions
        (2, N_ANGLES) float64.
    out
        (N, 2, N_RINGS, N_ANGLES) float32, filled.
    start, stop
        Rows of x, y, sigma, level and out.
    """
    rings = np.empty((N_RINGS + 2, N_ANGLES), np.float32)
    for n in range(start, stop):
        take_patch(levels[level[n]], x[n], y[n], sigma[n], directions, rings, out[n])
