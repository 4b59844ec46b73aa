"""Image to Gaussian octaves (Lowe, section 3; Rey-Otero and Delbracio, section 2.2), strip by strip.

Every level is computed from the octave's source (the image, or level 0 of the octave as halved from the
octave before) by one separable Gaussian, evaluated directly on the grid of the result. Presets differ in its
taps only. Levels do not depend on each other, so any rows of them can be computed from the source: an octave
is processed in horizontal strips, whose height bounds the memory and changes no bit.

A strip's samples go one way: blurred into the strip's levels, halved into the next octave's source, handed to
the stages.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from ..kernels.buffers import borrowed
from ..kernels.threads import Threads
from ..kernels.vectors import LANES
from ..params import ScaleSpaceParams
from .blur import Source, blur, take_every_other
from .blur_lines import DOUBLE, HALVE, KEEP
from .gaussian import Taps, first_taps, halving_taps, later_taps
from .octave import Octave, Strip, all_octaves, next_octave

STRIP_BYTES = 96 << 20
"""Size of a strip's levels: an octave of this size and less is one strip."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Work:
    """How the strips of an octave are made."""

    octave: Octave
    source: Source
    change: int
    """How the octave's grid relates to the source's: ``DOUBLE`` or ``KEEP``."""
    taps: Sequence[Taps]
    """From the source to each level."""
    halving: Taps
    """From level S − 1 to level 0 of the next octave."""
    halved: NDArray[np.float32]
    """(rows of the next octave, padded) its level 0, which is filled strip by strip."""
    halo: int
    n_rows: int
    """Rows of the levels, halo included."""
    threads: Threads
    filled_levels: slice


def gaussian_strips(
    image: NDArray[np.float32],
    params: ScaleSpaceParams,
    threads: Threads,
    *,
    halo: int,
    strip_bytes: int = STRIP_BYTES,
    only_described: bool = False,
) -> Iterator[Generator[Strip, None, None]]:
    """Yield the octaves of an image, finest first, each from top to bottom in strips.

    Parameters
    ----------
    image
        (H, W) float32 grey values in [0, 1], C-contiguous.
    params
        Levels per octave S, σ₀, first octave, assumed variance and doubling.
    threads
        Where the rows are shared out.
    halo
        Rows of the levels that are wanted above and below the rows of a strip.
    strip_bytes
        Size of a strip's levels, as far as ``halo`` allows. No sample depends on it.
    only_described
        Fill only those levels from which frames are described; the others have any content.

    Yields
    ------
    Generator[Strip]
        An octave, until the smaller side falls below ``octave.MIN_SIDE`` samples. The next may be asked
        for, by another thread too, as soon as the last strip of this one is there.
    """
    source = Source(image, 0, image.shape)
    change, taps = DOUBLE if params.first_octave < 0 else KEEP, first_taps(params)
    halving = halving_taps(params)
    halo = max(halo, len(halving.at_integers) + 1)
    for octave in all_octaves(image.shape, params):
        halved_shape = next_octave(octave).shape
        halved = np.empty((halved_shape[0], _pitch(halved_shape[1])), np.float32)
        strips = _strips(
            _Work(
                octave=octave,
                source=source,
                change=change,
                taps=taps,
                halving=halving,
                halved=halved,
                halo=halo,
                n_rows=strip_shape(octave, halo, strip_bytes)[1],
                threads=threads,
                filled_levels=_described_levels(octave) if only_described else slice(None),
            )
        )
        if octave.number >= params.first_octave:
            yield strips
        else:
            deque(strips, maxlen=0)
        source, change, taps = Source(halved, 0, halved_shape), KEEP, later_taps(params)


def gaussian_octaves(
    image: NDArray[np.float32], params: ScaleSpaceParams, threads: Threads
) -> Iterator[Strip]:
    """Yield whole octaves, each a strip with levels of its own, to look at or to keep."""
    octaves = gaussian_strips(image, params, threads, halo=0, strip_bytes=sys.maxsize)
    for strip in chain.from_iterable(octaves):
        yield replace(strip, levels=strip.levels[:, : strip.shape[0]].copy())


def strip_shape(octave: Octave, halo: int, strip_bytes: int = STRIP_BYTES) -> tuple[int, int, int]:
    """The shape of the levels of an octave's strips: levels, rows, and samples from a row to the next."""
    n_levels, pitch = octave.n_scales + 3, _pitch(octave.shape[1])
    n_rows = max(6 * halo, strip_bytes // (n_levels * pitch * np.dtype(np.float32).itemsize))
    return n_levels, min(octave.shape[0], n_rows), pitch


def _described_levels(octave: Octave) -> slice:
    """Levels 1 to S, and level S − 1, from which the next octave is made."""
    return slice(min(1, octave.n_scales - 1), octave.n_scales + 1)


def _strips(work: _Work) -> Generator[Strip, None, None]:
    """The strips of an octave: each keeps those rows of the strip before that it needs again."""
    octave, halo, height = work.octave, work.halo, work.octave.shape[0]
    with borrowed(octave.n_scales + 3, work.n_rows, _pitch(octave.shape[1])) as levels:
        first = start = filled = 0
        while start < height:
            end = min(height, first + work.n_rows)
            chosen = work.filled_levels
            blur(
                work.source,
                work.change,
                work.taps[chosen],
                levels[chosen],
                first,
                (filled, end),
                work.threads,
            )
            stop = height if end == height else end - halo
            strip = Strip(**vars(octave), levels=levels, first_row=first, rows=(start, stop))
            _halve(strip, work)
            yield strip
            if end < height:  # what the next strip needs again moves to the top
                levels[:, : 2 * halo] = levels[:, work.n_rows - 2 * halo :]
            first, start, filled = end - 2 * halo, stop, end


def _halve(strip: Strip, work: _Work) -> None:
    """Fill the rows of the next octave's level 0 that lie in a strip.

    Where both sides are odd these are the even samples of level S, which has twice the blur of level 0 (Lowe,
    section 3). Midpoints are computed from level S − 1, on both axes alike so that the blur stays isotropic.
    """
    rows = strip.rows[0] // 2, len(work.halved) if strip.is_last else strip.rows[1] // 2
    if strip.shape[0] % 2 and strip.shape[1] % 2:
        source = Source(strip.levels[strip.n_scales], strip.first_row, strip.shape)
        take_every_other(source, work.halved, rows, work.threads)
    else:
        source = Source(strip.levels[strip.n_scales - 1], strip.first_row, strip.shape)
        blur(source, HALVE, [work.halving], work.halved[None], 0, rows, work.threads)


def _pitch(width: int) -> int:
    """Samples from a row to the next: room for whole vectors, but no power of two.

    Rows a power of two apart would compete for the same lines of the cache.
    """
    pitch = (-(-width // LANES) + 1) * LANES
    return pitch + LANES if pitch % 512 == 0 else pitch
