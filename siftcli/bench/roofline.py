"""The roofline of the pyramid: the minimum time of its multiply-adds on one thread of this machine."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from statistics import median

import numpy as np

from ..image import read_image
from ..kernels.decorators import kernel
from ..kernels.threads import Threads
from ..kernels.vectors import LANES, fma, load, splat, store
from ..params import ScaleSpaceParams, SiftParams
from ..sift.gaussian import Taps, first_taps, later_taps
from ..sift.octave import octaves_of
from ..sift.scale_space import gaussian_strips
from .cases import Bytes
from .worker import milliseconds

_N_VALUES, _N_ROUNDS, _N_REPEATS, _CHAIN = 1024, 1000, 5, 32
"""4 KB of values fit the first-level cache; a chain of multiply-adds makes loads and stores rare."""


@dataclass(frozen=True)
class Roofline:
    """The minimum time of the arithmetic for one image, and the times of siftcli on one thread."""

    image: str
    way: str
    size: tuple[int, int]
    """(width, height)."""
    multiply_adds: int
    peak_per_s: float
    """Multiply-adds of float32 per second on one thread."""
    pyramid_ms: float
    """Median time of the pyramid alone."""
    both_ms: float | None
    """Detection and description; None if they were not timed on one thread."""

    @property
    def floor_ms(self) -> float:
        """``multiply_adds`` at ``peak_per_s``."""
        return 1e3 * self.multiply_adds / self.peak_per_s

    @property
    def share_of_pyramid(self) -> float:
        """Minimum time divided by the time of the pyramid."""
        return self.floor_ms / self.pyramid_ms

    @property
    def share_of_both(self) -> float | None:
        """Minimum time divided by the time of detection and description."""
        return self.floor_ms / self.both_ms if self.both_ms else None


def multiply_adds(shape: tuple[int, ...], params: ScaleSpaceParams) -> int:
    """Count the multiply-adds of the Gaussian levels of an image (H, W).

    Mirrored samples are added before they are multiplied. Rows are filtered first, then columns.
    Downsampling is not counted; it is less than 1 %.
    """
    taps, n = first_taps(params), 0
    for octave in octaves_of(shape, params):
        (height, width), doubled = octave.shape, octave.number < 0
        n_rows = shape[0] if doubled else height
        for level in taps:
            n += n_rows * _of_line(width, level, doubled) + width * _of_line(height, level, doubled)
        taps = later_taps(params)
    return n


def _of_line(n_samples: int, level: Taps, doubled: bool) -> int:
    """Multiply-adds of a line; if it is doubled, every other sample lies between source samples."""
    n_between = n_samples // 2 if doubled else 0
    return (n_samples - n_between) * len(level.at_integers) + n_between * len(level.at_halves)


def pyramid_ms(grey: Bytes, n_runs: int = 3) -> float:
    """Milliseconds of siftcli's pyramid on one thread: the median of a few runs after a warm-up."""
    image, params = read_image(grey).grey, SiftParams()

    def work() -> None:
        with Threads(1) as pool:
            for strips in gaussian_strips(image, params, pool, halo=0):
                deque(strips, maxlen=0)

    return median([milliseconds(work) for _ in range(1 + n_runs)][1:])


def peak() -> float:
    """Measure the multiply-adds of float32 per second on one thread: the best of a few runs."""
    values = np.ones(_N_VALUES, np.float32)
    times = [milliseconds(_multiply_add, values, _N_ROUNDS) for _ in range(_N_REPEATS)]
    return 1e3 * _N_VALUES * _N_ROUNDS * _CHAIN / min(times)


@kernel("void(float32[::1], int64)")
def _multiply_add(values, n_rounds):
    """Compute chains of multiply-adds on four independent vectors, so that latency is hidden.

    Parameters
    ----------
    values
        (N,) float32, N a multiple of 64; overwritten.
    n_rounds
        Number of passes over the values.
    """
    half, one = splat(np.float32(0.5)), splat(np.float32(1))
    for _ in range(n_rounds):
        for at in range(0, len(values), 4 * LANES):
            a, b = load(values, at), load(values, at + LANES)
            c, d = load(values, at + 2 * LANES), load(values, at + 3 * LANES)
            for _ in range(_CHAIN):
                a, b, c, d = fma(a, half, one), fma(b, half, one), fma(c, half, one), fma(d, half, one)
            store(values, at, a)
            store(values, at + LANES, b)
            store(values, at + 2 * LANES, c)
            store(values, at + 3 * LANES, d)
