"""What the network sees of a keypoint: rings of grey values around it, in the keypoint's own scale.

The patch is polar: rings a share of σ apart, with samples at the same angles in each, the first
towards +x. So a turn of the image by 5° moves every sample to its neighbour, and a quarter turn
permutes the samples. The patch is not turned; the network tells by how much it is.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..sift._jit import kernel, subroutine
from ..sift._threads import Threads
from ..sift.keypoints import Keypoints
from ..sift.scalespace import Octave

N_RINGS = 8
N_ANGLES = 72
"""Samples of a ring, every 5°: at most 0.44 σ apart, where the blur of σ leaves nothing finer than 1 σ."""
RING_SPACING = 0.65
"""Distance of the rings in units of σ; the outermost, at 4.9 σ, is where the histogram's window ends."""
SMALLEST_DEVIATION = 1e-12
"""Grey values; a flatter patch is left flat."""
SAMPLES_PER_PATCH = 1 << 10
"""Work of one patch, in the units of ``Threads.over_rows``."""

QUARTER = N_ANGLES // 4


def directions() -> NDArray[np.float64]:
    """(2, N_ANGLES) unit vectors (x; y) of the samples; a quarter turn permutes them to the last bit."""
    angle = 2 * math.pi / N_ANGLES * np.arange(QUARTER)
    x, y = np.cos(angle), np.sin(angle)
    return np.array([np.concatenate([x, -y, -x, y]), np.concatenate([y, x, -y, -x])])


def sample_patches(octave: Octave, keypoints: Keypoints, threads: Threads) -> NDArray[np.float32]:
    """The patches of keypoints of an octave.

    Parameters
    ----------
    octave
        The Gaussian levels; samples are taken from the level nearest to the keypoint's.
    keypoints
        N keypoints of this octave.
    threads
        Where the keypoints are shared out.

    Returns
    -------
    patches
        (N, 1, N_RINGS, N_ANGLES) of mean 0 and deviation 1, from the inner ring outwards, angles from
        +x towards +y.
    """
    where, out = positions(octave, keypoints), np.empty((len(keypoints), N_RINGS, N_ANGLES), np.float32)
    threads.over_rows(
        len(keypoints),
        len(keypoints) * SAMPLES_PER_PATCH,
        lambda start, stop: _sample_patches(octave.levels, *where, directions(), out, start, stop),
    )
    return out[:, None]


Positions = tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]


def positions(octave: Octave, keypoints: Keypoints) -> Positions:
    """x, y and σ of keypoints in the samples of their octave, and the level to look at, each (N,)."""
    x, y = octave.to_samples(keypoints.xy).T.copy()
    return x, y, keypoints.sigma / octave.step, octave.nearest_level(keypoints.sigma)


@subroutine
def _inside(position, n):
    """The position, or the nearest inside n samples; its whole part, a sample with a neighbour; the rest."""
    position = min(max(position, 0.0), n - 1.0)
    whole = min(int(position), n - 2)
    return whole, position - whole


@subroutine
def sample_rings(level, x, y, spacing, directions, rings):
    """Grey values by bilinear interpolation; outside the image those of its nearest edge."""
    height, width = level.shape
    for r in range(rings.shape[0]):
        radius = (r + 0.5) * spacing
        for a in range(rings.shape[1]):
            j, right = _inside(x + radius * directions[0, a], width)
            i, down = _inside(y + radius * directions[1, a], height)
            upper = level[i, j] + right * (level[i, j + 1] - level[i, j])
            lower = level[i + 1, j] + right * (level[i + 1, j + 1] - level[i + 1, j])
            rings[r, a] = upper + down * (lower - upper)


@subroutine
def normalise(rings):
    """Bring the samples to mean 0 and deviation 1, adding up those that a quarter turn permutes first."""
    n, quarter = rings.size, rings.shape[1] // 4
    mean = _sum_of_powers(rings, 0.0, 1, quarter) / n
    deviation = math.sqrt(_sum_of_powers(rings, mean, 2, quarter) / n)
    factor = 1.0 / max(deviation, SMALLEST_DEVIATION)
    for r in range(rings.shape[0]):
        for a in range(rings.shape[1]):
            rings[r, a] = (rings[r, a] - mean) * factor


@subroutine
def _sum_of_powers(rings, mean, power, quarter):
    """Σ (sample − mean)^power in double precision: (a + c) + (b + d) is the same for b, c, d, a."""
    total = 0.0
    for r in range(rings.shape[0]):
        for i in range(quarter):
            a, b = rings[r, i] - mean, rings[r, i + quarter] - mean
            c, d = rings[r, i + 2 * quarter] - mean, rings[r, i + 3 * quarter] - mean
            if power == 2:
                a, b, c, d = a * a, b * b, c * c, d * d
            total += (a + c) + (b + d)
    return total


@kernel(
    "void(float32[:, :, :], float64[::1], float64[::1], float64[::1], int64[::1],"
    " float64[:, ::1], float32[:, :, ::1], int64, int64)"
)
def _sample_patches(levels, x, y, sigma, level, directions, out, start, stop):
    """The patches of keypoints start to stop."""
    for n in range(start, stop):
        sample_rings(levels[level[n]], x[n], y[n], RING_SPACING * sigma[n], directions, out[n])
        normalise(out[n])
