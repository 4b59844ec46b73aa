"""Frames to 128-vectors (Lowe, section 6.1; IPOL, algorithm 12).

The neighbourhood is sampled on a grid that is turned with the frame and grows
with its scale, half a σ apart. Gradients are differences along that grid, so
they are relative to the orientation from the start, and the weights of the
4 × 4 cells and of the Gaussian window are the same for every frame. The cost of
a descriptor does not depend on its scale. The level is blurred by at least
1.8 samples, so bilinear sampling loses little.

Domain-size pooling (Dong and Soatto, *Domain-Size Pooling in Local Descriptors:
DSP-SIFT*, CVPR 2015) sums the histograms of neighbourhoods of several sizes,
each from a level as much more blurred as it is larger, before they are normalised.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

from ..features import DESCRIPTOR_LENGTH
from ..kernels.decorators import inlined, kernel, subroutine
from ..kernels.parallel_for import numbers_taken
from ..kernels.prefetch import fetch_square
from ..kernels.threads import Threads
from ..kernels.vector_math import direction
from ..kernels.vectors import (
    LANES,
    absolute,
    broadcast,
    copy_two,
    even_lanes,
    fma,
    lane_numbers,
    larger,
    load,
    nearest_whole,
    odd_lanes,
    smaller,
    splat,
    square_root,
    store,
    store_index,
    store_whole,
    sum_of_lanes,
    where_larger,
    whole_part,
    zip_high,
    zip_low,
)
from ..params import DescriptorParams
from .scale_space import Strip

N_CELLS, N_DIRECTIONS = 4, 8
SAMPLES_PER_CELL = 6
"""With cells of 3σ, samples are σ/2 apart."""
GRID = (N_CELLS + 1) * SAMPLES_PER_CELL
"""A sample is shared by the cells on either side, so half a cell beyond the outer ones still counts."""
LINE = -(-(GRID + 2) // LANES) * LANES
"""Samples from a grid line to the next: a sample more on either side, whole vectors."""
QUANTUM = 512
"""A unit descriptor is stored times 512, saturated at 255 (OpenCV's and VLFeat's convention)."""

_FAR = 1 << 22
"""Samples from the image beyond which single precision does not count them: nothing is seen there."""
_SAMPLES_PER_FRAME = 4096
"""Work of one descriptor, in the units of ``Threads.over_keypoints``."""


def describe_frames(
    strip: Strip,
    xy: NDArray[np.float32],
    sigma: NDArray[np.float32],
    orientation: NDArray[np.float32],
    params: DescriptorParams,
    threads: Threads,
) -> NDArray[np.uint8]:
    """The descriptors of a strip's frames.

    Parameters
    ----------
    strip
        The Gaussian levels.
    xy, sigma
        (N, 2) positions and (N,) scales, in input pixels.
    orientation
        (N,) radians.
    params
        Cell width, clip, RootSIFT and domain-size pooling.
    threads
        Where the frames are shared out.

    Returns
    -------
    (N, 128) uint8
        [row of cells][column of cells][direction], directions stepping counter-clockwise on the screen.
    """
    frames = np.column_stack((strip.to_samples(xy), sigma / strip.step, orientation)).astype(np.float64)
    sizes = _domain_sizes(params)
    shift = np.rint(strip.n_scales * np.log2(sizes)).astype(np.int64)
    level = np.clip(strip.nearest_level(sigma)[:, None] + shift, 0, strip.n_scales + 2)
    descriptors = np.empty((len(frames), DESCRIPTOR_LENGTH), np.uint8)
    spacings, weights = sizes * params.cell_width / SAMPLES_PER_CELL, _cell_weights()
    settings = spacings, weights, params.descriptor_clip, params.rootsift
    given = strip.levels, strip.first_row, *strip.shape, frames, level, *settings
    threads.over_keypoints(
        len(frames),
        len(frames) * len(sizes) * _SAMPLES_PER_FRAME,
        lambda n_taken: _describe(*given, descriptors, n_taken),
    )
    return descriptors


def reach_of_descriptor(params: DescriptorParams) -> float:
    """Radius of the samples that a descriptor depends on, in units of σ, and one sample more."""
    spacing = max(_domain_sizes(params)) * params.cell_width / SAMPLES_PER_CELL
    return float(spacing * (GRID + 1) / 2 * math.sqrt(2))


def _domain_sizes(params: DescriptorParams) -> NDArray[np.float64]:
    """The sizes that are pooled, the largest last; 1 is Lowe's."""
    return np.array([1 / params.dsp_ratio, 1, params.dsp_ratio] if params.dsp else [1.0])


@cache
def _cell_weights() -> NDArray[np.float32]:
    """(6, LINE) weight of each grid line in each cell: linear interpolation times the Gaussian window.

    The window's standard deviation is half the descriptor's width: two cells (Lowe, section 6.1). The
    first and the last row are zero: cells beyond the four.
    """
    lines = (np.arange(LINE) + 0.5) / SAMPLES_PER_CELL - (N_CELLS + 1) / 2
    centres = np.arange(-1, N_CELLS + 1) - (N_CELLS - 1) / 2
    linear = np.maximum(0, 1 - np.abs(lines - centres[:, None]))
    linear[[0, -1]], linear[:, GRID:] = 0, 0
    window = np.exp(-0.5 * (lines / (N_CELLS / 2)) ** 2)
    return np.asarray(linear * window, np.float32)


@inlined
def _clamp(value, low, high):
    return smaller(larger(value, low), high)


@subroutine
def _sample_patch(
    level, first_row, height, width, x, y, spacing, cosine, sine, patch, inside, pairs, fractions, at
):
    """Grey values on the turned grid and one line around it, bilinear; outside, the border is repeated.

    Returns whether some lie outside; only then is ``inside`` filled, with 1 for those that do not.
    """
    n_rows, pitch = level.shape
    n, half = GRID + 2, np.float32((GRID + 1) / 2)
    # Positions are relative to a whole sample nearby: single precision is exact to 1e-5 samples there.
    reach = math.ceil(half * spacing * (abs(cosine) + abs(sine)))
    left, top = int(x) - reach, int(y) - reach
    last_x, last_y = width - 1 - left, min(height, first_row + n_rows) - 1 - top
    low_x, high_x, low_y, high_y = -left, last_x, max(0, first_row) - top, last_y
    is_clipped = low_x > 0 or low_y > 0 or high_x < 2 * reach + 1 or high_y < 2 * reach + 1
    px0, py0 = np.float32(x - left), np.float32(y - top)
    du, dv = np.float32(spacing * cosine), np.float32(spacing * sine)
    first = (top - first_row) * pitch + left
    # Pairs of neighbours are copied one by one, which gather instructions take twice as long for.
    for row in range(n):
        v = np.float32(row) - half
        row_x, row_y = splat(px0 - v * dv), splat(py0 + v * du)
        for i in range(0, n, LANES):
            u = lane_numbers() + splat(np.float32(i) - half)
            px, py = row_x + u * splat(du), row_y + u * splat(dv)
            cx = _clamp(px, splat(np.float32(low_x)), splat(np.float32(high_x)))
            cy = _clamp(py, splat(np.float32(low_y)), splat(np.float32(high_y)))
            ix = smaller(whole_part(cx), splat(np.float32(high_x - 1)))
            iy = smaller(whole_part(cy), splat(np.float32(high_y - 1)))
            to = row * LINE + i
            store(fractions, 2 * to, cx - ix)
            store(fractions, 2 * to + LANES, cy - iy)
            store_index(at, i, iy, pitch, ix)
            if is_clipped:
                away = absolute(px - cx) + absolute(py - cy)
                store(
                    inside,
                    to,
                    where_larger(away, splat(np.float32(0)), splat(np.float32(0)), splat(np.float32(1))),
                )
            for j in range(LANES):
                here = first + at[i + j]
                copy_two(level, here, pairs, 4 * to + 2 * j)
                copy_two(level, here + pitch, pairs, 4 * to + 2 * (LANES + j))
    for to in range(0, n * LINE, LANES):
        upper = _between(load(pairs, 4 * to), load(pairs, 4 * to + LANES), load(fractions, 2 * to))
        lower = _between(
            load(pairs, 4 * to + 2 * LANES), load(pairs, 4 * to + 3 * LANES), load(fractions, 2 * to)
        )
        store(patch, to, fma(load(fractions, 2 * to + LANES), lower - upper, upper))
    return is_clipped


@inlined
def _between(pairs, more_pairs, fraction):
    """Linear interpolation between the two of each pair."""
    left, right = even_lanes(pairs, more_pairs), odd_lanes(pairs, more_pairs)
    return fma(fraction, right - left, left)


@subroutine
def _polar_patch(patch, inside, is_clipped, magnitudes, positions):
    """Magnitude of the gradients on the grid and their place among the directions, in [0, 8].

    A gradient counts when the four samples it is taken from lie in the image.
    """
    for at in range(0, GRID * LINE, LANES):
        above, below, left, right = at + 1, at + 2 * LINE + 1, at + LINE, at + LINE + 2
        gu, gv = load(patch, right) - load(patch, left), load(patch, above) - load(patch, below)
        magnitude = square_root(fma(gu, gu, gv * gv))
        if is_clipped:
            sides = load(inside, left) * load(inside, right)
            magnitude = magnitude * sides * load(inside, above) * load(inside, below)
        store(magnitudes, at, magnitude)
        store(positions, at, direction(gv, gu) * splat(np.float32(N_DIRECTIONS / (2 * math.pi))))


@inlined
def _share(magnitude, position, k):
    """The part of a gradient that belongs to direction k: linear, as far as the directions beside it."""
    near = splat(np.float32(1)) - absolute(position - splat(np.float32(k)))
    if k == 0:  # which is also direction 8
        near = larger(near, position - splat(np.float32(N_DIRECTIONS - 1)))
    return magnitude * larger(near, splat(np.float32(0)))


@inlined
def _shares(magnitude, position):
    return (
        _share(magnitude, position, 0),
        _share(magnitude, position, 1),
        _share(magnitude, position, 2),
        _share(magnitude, position, 3),
        _share(magnitude, position, 4),
        _share(magnitude, position, 5),
        _share(magnitude, position, 6),
        _share(magnitude, position, 7),
    )


@inlined
def _added(totals, weight, shares):
    return (
        fma(weight, shares[0], totals[0]),
        fma(weight, shares[1], totals[1]),
        fma(weight, shares[2], totals[2]),
        fma(weight, shares[3], totals[3]),
        fma(weight, shares[4], totals[4]),
        fma(weight, shares[5], totals[5]),
        fma(weight, shares[6], totals[6]),
        fma(weight, shares[7], totals[7]),
    )


@subroutine
def _pool_down(magnitudes, positions, weights, columns):
    """Fill ``columns``, (4, 8, LINE): the shares of the directions, summed down each row of cells.

    A line lies between the centres of two rows of cells and counts for both. The sums stay in registers.
    """
    zero = splat(np.float32(0))
    none = (zero, zero, zero, zero, zero, zero, zero, zero)
    for half in range(0, LINE, LANES):
        upper, lower = none, none
        for band in range(N_CELLS + 1):
            for line in range(band * SAMPLES_PER_CELL, (band + 1) * SAMPLES_PER_CELL):
                at = line * LINE + half
                shares = _shares(load(magnitudes, at), load(positions, at))
                upper = _added(upper, broadcast(weights, band * LINE + line), shares)
                lower = _added(lower, broadcast(weights, (band + 1) * LINE + line), shares)
            if band > 0:
                to = (band - 1) * N_DIRECTIONS * LINE + half
                store(columns, to, upper[0])
                store(columns, to + LINE, upper[1])
                store(columns, to + 2 * LINE, upper[2])
                store(columns, to + 3 * LINE, upper[3])
                store(columns, to + 4 * LINE, upper[4])
                store(columns, to + 5 * LINE, upper[5])
                store(columns, to + 6 * LINE, upper[6])
                store(columns, to + 7 * LINE, upper[7])
            upper, lower = lower, none


@subroutine
def _pool_along(columns, weights, sums, vector):
    """Add to ``vector`` the columns, weighted and summed for each cell of a row, sixteen sums at once."""
    for row in range(N_CELLS):
        for cell in range(0, N_CELLS, 2):
            for i in range(2 * N_DIRECTIONS):
                at, weight = (
                    (row * N_DIRECTIONS + i % N_DIRECTIONS) * LINE,
                    (cell + i // N_DIRECTIONS + 1) * LINE,
                )
                total = load(columns, at) * load(weights, weight)
                for x in range(LANES, LINE, LANES):
                    total = fma(load(columns, at + x), load(weights, weight + x), total)
                store(sums, i * LANES, total)
            # Half as many vectors of interleaved sums, until each lane of one is a sum.
            n = 2 * N_DIRECTIONS
            while n > 1:
                n //= 2
                for i in range(n):
                    a, b = load(sums, i * LANES), load(sums, (i + n) * LANES)
                    store(sums, i * LANES, zip_low(a, b) + zip_high(a, b))
            to = (row * N_CELLS + cell) * N_DIRECTIONS
            store(vector, to, load(vector, to) + load(sums, 0))


@subroutine
def _quantise(vector, clip, rootsift, out, to):
    """Normalise, clip, normalise again (or take the root of the shares) and store as bytes."""
    squares = splat(np.float32(0))
    for i in range(0, DESCRIPTOR_LENGTH, LANES):
        v = load(vector, i)
        squares = fma(v, v, squares)
    norm = math.sqrt(sum_of_lanes(squares))
    if norm == 0:
        for i in range(0, DESCRIPTOR_LENGTH, LANES):
            store_whole(out, to + i, splat(np.float32(0)))
        return
    scale, sums = splat(np.float32(1 / norm)), splat(np.float32(0))
    for i in range(0, DESCRIPTOR_LENGTH, LANES):
        v = smaller(load(vector, i) * scale, splat(np.float32(clip)))
        store(vector, i, v)
        sums = sums + v if rootsift else fma(v, v, sums)
    total = sum_of_lanes(sums)
    scale = splat(np.float32(1 / total if rootsift else 1 / math.sqrt(total)))
    for i in range(0, DESCRIPTOR_LENGTH, LANES):
        v = load(vector, i) * scale
        v = (square_root(v) if rootsift else v) * splat(np.float32(QUANTUM))
        store_whole(out, to + i, smaller(nearest_whole(v), splat(np.float32(255))))


@kernel(
    "void(float32[:, :, ::1], int64, int64, int64, float64[:, ::1], int64[:, ::1], float64[::1],"
    " float32[:, ::1], float64, boolean, uint8[:, ::1], int64[::1])"
)
def _describe(
    levels,
    first_row,
    height,
    width,
    frames,
    level,
    spacings,
    weights,
    clip,
    rootsift,
    descriptors,
    n_taken,
):
    """Descriptors of frames, as many as are left."""
    line = weights.shape[1]  # LINE, but where LLVM knows the sizes, it unrolls beyond all measure
    n_samples = (GRID + 2) * line
    # A line more, for what is read beyond the last and not used.
    patch, inside = np.zeros(n_samples + line, np.float32), np.zeros(n_samples + line, np.float32)
    # The samples around each of the patch, where it lies between them, and where a line's lie in the level.
    pairs, fractions, at = (
        np.empty(4 * n_samples, np.float32),
        np.empty(2 * n_samples, np.float32),
        np.empty(line, np.int32),
    )
    magnitudes, positions = np.empty(GRID * line, np.float32), np.empty(GRID * line, np.float32)
    # Shares, pooled down the columns; sums of two cells; the descriptor.
    columns, sums, vector = (
        np.empty(N_CELLS * N_DIRECTIONS * line, np.float32),
        np.empty(2 * N_DIRECTIONS * LANES, np.float32),
        np.empty(N_CELLS**2 * N_DIRECTIONS, np.float32),
    )
    for n in numbers_taken(n_taken, len(frames)):
        if n + 1 < len(frames):
            x, y, sigma, _ = frames[n + 1]
            for i in range(len(spacings)):
                reach = GRID / 2 * spacings[i] * sigma
                fetch_square(levels, level[n + 1, i], first_row, height, width, x, y, reach)
        x, y, sigma, orientation = frames[n]
        if not abs(x) + abs(y) + 2 * GRID * spacings[-1] * sigma < _FAR:
            descriptors[n] = 0
            continue
        cosine, sine = math.cos(orientation), math.sin(orientation)
        vector[:] = 0
        for i in range(len(spacings)):
            is_clipped = _sample_patch(
                levels[level[n, i]],
                first_row,
                height,
                width,
                x,
                y,
                spacings[i] * sigma,
                cosine,
                sine,
                patch,
                inside,
                pairs,
                fractions,
                at,
            )
            _polar_patch(patch, inside, is_clipped, magnitudes, positions)
            _pool_down(magnitudes, positions, weights, columns)
            _pool_along(columns, weights, sums, vector)
        _quantise(vector, clip, rootsift, descriptors, n * DESCRIPTOR_LENGTH)
