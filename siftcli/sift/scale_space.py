"""Image to Gaussian octaves (Lowe, section 3; Rey-Otero and Delbracio, section 2.2), strip by strip.

Every level is computed from the octave's source (the image, or level 0 of the octave as halved from the
octave before) by one separable Gaussian, evaluated directly on the grid of the result. Presets differ in its
taps only. Levels do not depend on each other, so any rows of them can be computed from the source: an octave
is processed in horizontal strips, whose height bounds the memory and changes no bit.

A strip's samples go one way: blurred into the strip's levels, halved into the next octave's source, handed to
the stages. Of what large octaves are made from, a window of rows is held (``rows.py``).
"""

from __future__ import annotations

import math
import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..kernels.buffers import borrowed
from ..kernels.threads import Threads
from ..kernels.vectors import LANES
from ..params import ScaleSpaceParams
from .blur import Source, blur, changed_side, rows_read, take_every_other
from .blur_lines import DOUBLE, HALVE, KEEP
from .gaussian import Taps, first_taps, halving_taps, later_taps
from .octave import Octave, Strip, all_octaves
from .rows import Grey, Window, window_on

STRIP_BYTES = 96 << 20
"""Size of an octave's levels up to which it is one strip; where no octave of the image is larger than
``_WHOLE_SHARE`` times that, all are."""
_WHOLE_SHARE = 5 / 3
"""Strips are often made twice, to describe the keypoints that are chosen; whole octaves stay."""
_SHARE = 3
"""A larger one has strips of a third of that, or as high as their halos ask for."""
_HALOS, _MOST_HALOS = 6, 8
"""Halos in a strip, and up to how many while it is no larger than two whole octaves: the higher it is, the
smaller the part that is kept for the next."""


class _Work(NamedTuple):
    """How the strips of an octave are made."""

    octave: Octave
    source: Window
    """On the image, or on level 0 of the octave."""
    change: int
    """How the octave's grid relates to the source's: ``DOUBLE`` or ``KEEP``."""
    taps: Sequence[Taps]
    """From the source to each level."""
    halving: Taps
    """From level S − 1 to level 0 of the next octave."""
    halved: Window
    """On level 0 of the next octave, which is brought strip by strip."""
    halo: int
    n_rows: int
    """Rows of the levels, halo included."""
    threads: Threads
    filled_levels: slice

    @property
    def is_whole(self) -> bool:
        """Whether the octave is one strip."""
        return self.n_rows == self.octave.shape[0]


def gaussian_strips(
    image: Grey,
    params: ScaleSpaceParams,
    threads: Threads,
    *,
    halo: int,
    strip_bytes: int = STRIP_BYTES,
    only_described: bool = False,
) -> Iterator[Generator[Strip, None, None]]:
    """Yield the strips of an image's octaves: first those of the large octaves, then each that is one strip.

    Large octaves are made in turns, each from top to bottom, a strip as soon as what it is made from is
    there; so of none of them more than a strip is held.

    Parameters
    ----------
    image
        (H, W) float32 grey values in [0, 1], C-contiguous; or their rows.
    params
        Levels per octave S, σ₀, first octave, assumed variance and doubling.
    threads
        Where the rows are shared out.
    halo
        Rows of the levels that are wanted above and below the rows of a strip.
    strip_bytes
        Size of an octave's levels up to which it is one strip. No sample depends on it.
    only_described
        Fill only those levels from which frames are described; the others have any content.

    Yields
    ------
    Generator[Strip]
        The large octaves, if there are any, then one octave each, until the smaller side falls below
        ``octave.MIN_SIDE`` samples. The next may be asked for, by another thread too, as soon as the last
        strip of this one is there.
    """
    large: Generator[Strip, None, None] | None = None
    for work in _works(image, params, threads, halo, strip_bytes, only_described):
        strips = _strips(work)
        if not work.is_whole:
            large = work.halved.supply = strips
            continue
        if large is not None:  # they bring all of this octave's source
            work.source.supply = None
            yield _from_octave(params.first_octave, large)
            large = None
        if work.octave.number >= params.first_octave:
            yield strips
        else:
            deque(strips, maxlen=0)
    if large is not None:
        yield _from_octave(params.first_octave, large)


def _from_octave(number: int, strips: Generator[Strip, None, None]) -> Generator[Strip, None, None]:
    """Those strips that are of this octave or a coarser one."""
    with closing(strips):
        yield from (strip for strip in strips if strip.number >= number)


def _works(
    image: Grey, params: ScaleSpaceParams, threads: Threads, halo: int, strip_bytes: int, only_described: bool
) -> Iterator[_Work]:
    """How each octave is made, finest first; the arguments are those of :func:`gaussian_strips`."""
    change, taps = DOUBLE if params.first_octave < 0 else KEEP, first_taps(params)
    halving, later = halving_taps(params), later_taps(params)
    halo = max(halo, len(halving.at_integers) + 1)
    octaves = all_octaves(image.shape, params)
    n_rows = [n for _, n, _ in strip_shapes(octaves, halo, strip_bytes)] + [0]
    source = window_on(image, n_rows[0] + 2 * halo)
    for i, octave in enumerate(octaves):
        height, width = (changed_side(n, HALVE) for n in octave.shape)
        # Room for a strip with what is blurred into its ends, and what a strip of this octave brings.
        n_halved = height if n_rows[i + 1] == height else n_rows[i + 1] + n_rows[i] // 2 + 2 * halo
        halved = Window((height, width), np.empty((min(n_halved, height), _pitch(width)), np.float32))
        yield _Work(
            octave=octave,
            source=source,
            change=change,
            taps=taps,
            halving=halving,
            halved=halved,
            halo=halo,
            n_rows=n_rows[i],
            threads=threads,
            filled_levels=_described_levels(octave) if only_described else slice(None),
        )
        source, change, taps = halved, KEEP, later


def gaussian_octaves(
    image: NDArray[np.float32], params: ScaleSpaceParams, threads: Threads
) -> Iterator[Strip]:
    """Yield whole octaves, each a strip with levels of its own, to look at or to keep."""
    octaves = gaussian_strips(image, params, threads, halo=0, strip_bytes=sys.maxsize)
    for strip in chain.from_iterable(octaves):
        yield replace(strip, levels=strip.levels[:, : strip.shape[0]].copy())


def strip_shapes(
    octaves: Sequence[Octave], halo: int, strip_bytes: int = STRIP_BYTES
) -> list[tuple[int, int, int]]:
    """The shape of the levels of each octave's strips: levels, rows, and samples from a row to the next."""
    whole = [(octave.n_scales + 3, octave.shape[0], _pitch(octave.shape[1])) for octave in octaves]
    n_bytes = [math.prod(shape) * np.dtype(np.float32).itemsize for shape in whole]
    if max(n_bytes, default=0) <= _WHOLE_SHARE * strip_bytes:
        return whole
    shapes = []
    for (n_levels, height, pitch), size in zip(whole, n_bytes, strict=True):
        row_bytes = size // height
        halos = max(_HALOS * halo, min(_MOST_HALOS * halo, 2 * strip_bytes // row_bytes))
        n_rows = max(halos, strip_bytes // _SHARE // row_bytes) if size > strip_bytes else height
        shapes.append((n_levels, min(n_rows, height), pitch))
    return shapes


def strips_bytes(shape: tuple[int, ...], params: ScaleSpaceParams, halo: int) -> int:
    """Bytes of the strips of all octaves of an image (H, W), with the rows that they are made from."""
    n_samples, n_brought, octaves = 0, 0, all_octaves(shape, params)
    for octave, (n_levels, n_rows, _) in zip(octaves, strip_shapes(octaves, halo), strict=True):
        n_source = min(octave.shape[0], n_rows + n_brought + 2 * halo)
        n_samples += (n_levels * n_rows + n_source) * octave.shape[1]
        n_brought = n_rows // 2
    return n_samples * np.dtype(np.float32).itemsize


def _described_levels(octave: Octave) -> slice:
    """Levels 1 to S, and level S − 1, from which the next octave is made."""
    return slice(min(1, octave.n_scales - 1), octave.n_scales + 1)


def _strips(work: _Work) -> Generator[Strip, None, None]:
    """The strips of an octave: each keeps those rows of the strip before that it needs again.

    Before each come the strips of finer octaves that its source is made from, unless they were there before.
    """
    octave, halo, height = work.octave, work.halo, work.octave.shape[0]
    chosen = work.filled_levels
    with closing(work.source), borrowed(octave.n_scales + 3, work.n_rows, _pitch(octave.shape[1])) as levels:
        first = start = filled = 0
        while start < height:
            end = min(height, first + work.n_rows)
            made = levels[chosen], first, (filled, end)
            taps = work.taps[chosen]
            yield from work.source.until(*rows_read(work.source.height, work.change, taps, (filled, end)))
            blur(work.source.rows, work.change, taps, *made, work.threads)
            stop = height if end == height else end - halo
            strip = Strip(**vars(octave), levels=levels, first_row=first, rows=(start, stop))
            _halve(strip, work)
            yield strip
            if end < height:
                _move_to_top(levels, 2 * halo, work.threads)  # what the next strip needs again
            first, start, filled = end - 2 * halo, stop, end


def _move_to_top(levels: NDArray[np.float32], n_rows: int, threads: Threads) -> None:
    """Copy the last rows of all levels (L, R, P) over the first."""

    def move(start: int, stop: int) -> None:
        for level in levels[start:stop]:  # one by one: of all at once NumPy would make another copy first
            level[:n_rows] = level[-n_rows:]

    threads.over_rows(len(levels), levels[:, :n_rows].size, move)


def _halve(strip: Strip, work: _Work) -> None:
    """Bring the rows of the next octave's level 0 that lie in a strip.

    Where both sides are odd these are the even samples of level S, which has twice the blur of level 0 (Lowe,
    section 3). Midpoints are computed from level S − 1, on both axes alike so that the blur stays isotropic.
    """
    rows = strip.rows[0] // 2, work.halved.height if strip.is_last else strip.rows[1] // 2
    to = work.halved.make_room(rows[1] - rows[0])
    if strip.shape[0] % 2 and strip.shape[1] % 2:
        source = Source(strip.levels[strip.n_scales], strip.first_row, strip.shape)
        take_every_other(source, to.samples, to.first_row, rows, work.threads)
    else:
        source = Source(strip.levels[strip.n_scales - 1], strip.first_row, strip.shape)
        blur(source, HALVE, [work.halving], to.samples[None], to.first_row, rows, work.threads)


def _pitch(width: int) -> int:
    """Samples from a row to the next: room for whole vectors, but no power of two.

    Rows a power of two apart would compete for the same lines of the cache.
    """
    pitch = (-(-width // LANES) + 1) * LANES
    return pitch + LANES if pitch % 512 == 0 else pitch
