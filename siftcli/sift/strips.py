"""Strips of several octaves as one, so that a stage works all their keypoints in one call of its kernel.

Kernels get a table with a row for each strip, and the number of its strip for each keypoint.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import inlined
from ..kernels.vectors import levels_at
from .octave import Strip


class Strips:
    """One or more strips of an image, and the one that each of N rows belongs to.

    Parameters
    ----------
    strips
        At least one. Their levels must stay as they are while a kernel works on them.
    of
        (N,) which of them.
    """

    def __init__(self, strips: Sequence[Strip], of: NDArray[np.int64]) -> None:
        self.strips, self.of = strips, of
        self.n_scales = strips[0].n_scales
        self.step: NDArray[np.float64] = np.array([strip.step for strip in strips])[of]
        """(N,) of each row's octave."""
        self._origin = np.array([strip.origin for strip in strips])[of]

    @property
    def table(self) -> NDArray[np.int64]:
        """(K, 7), a row for each strip, as :func:`strip_at` reads it.

        Where its levels begin in memory, their shape, the first of the octave's rows that is there, and the
        octave's height and width. Kernels see addresses only: whoever calls one holds the strips meanwhile.

        Raises
        ------
        ValueError
            If levels are not float32 and C-contiguous.
        """
        for strip in self.strips:
            if strip.levels.dtype != np.float32 or not strip.levels.flags.c_contiguous:
                raise ValueError(f"expected C-contiguous float32 levels, got {strip.levels.dtype}")
        rows = [(s.levels.ctypes.data, *s.levels.shape, s.first_row, *s.shape) for s in self.strips]
        return np.array(rows, np.int64)

    @property
    def number(self) -> NDArray[np.int16]:
        """(N,) that of each row's octave."""
        return np.array([strip.number for strip in self.strips], np.int16)[self.of]

    def to_input(self, samples: NDArray[np.float64]) -> NDArray[np.float64]:
        """Positions (N, 2), x and y, from samples of each row's octave to input pixels."""
        xy: NDArray[np.float64] = self.step[:, None] * samples + self._origin
        return xy

    def to_samples(self, xy: NDArray[np.floating]) -> NDArray[np.float64]:
        """Positions (N, 2), x and y, from input pixels to samples of each row's octave."""
        samples: NDArray[np.float64] = (xy - self._origin) / self.step[:, None]
        return samples

    def distance_to_border(self, xy: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :meth:`Strip.distance_to_border`, which is the same in all octaves of an image."""
        return self.strips[0].distance_to_border(xy)

    def sigma_of(self, level: NDArray[np.float64]) -> NDArray[np.float64]:
        """As :meth:`Strip.sigma_of`, of levels (N,) of each row's octave."""
        return self.strips[0].sigma_of(level, self.step)

    def nearest_level(self, sigma: NDArray[np.floating]) -> NDArray[np.int64]:
        """As :meth:`Strip.nearest_level`, of σ (N,) of each row."""
        return self.strips[0].nearest_level(sigma, self.step)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Strips:
        """The same strips, of these rows."""
        return Strips(self.strips, self.of[rows])

    def one_by_one(self) -> Iterator[tuple[Strip, NDArray[np.intp]]]:
        """Each strip, and which rows belong to it."""
        for i, strip in enumerate(self.strips):
            yield strip, np.flatnonzero(self.of == i)


def as_strips(strip: Strip | Strips, n: int) -> Strips:
    """A strip alone, to which ``n`` rows belong; or strips as they are."""
    return strip if isinstance(strip, Strips) else Strips([strip], np.zeros(n, np.int64))


@inlined
def strip_at(table, i):
    """Strip ``i`` of a table, as of :attr:`Strips.table`.

    Returns
    -------
    Its levels, (S + 3, R, P) float32; the first of the octave's rows that is there; the octave's height and
    width.
    """
    levels = levels_at(table[i, 0], table[i, 1], table[i, 2], table[i, 3])
    return levels, table[i, 4], table[i, 5], table[i, 6]
