"""Frames to 128-vectors (Lowe, section 6.1; IPOL, algorithm 12).

The neighbourhood is sampled on a grid that is turned with the frame and grows
with its scale, half a σ apart. Gradients are differences along that grid, so
they are relative to the orientation from the start, and the weights of the
4 × 4 cells and of the Gaussian window are the same for every frame. The cost of
a descriptor does not depend on its scale. The level is blurred by at least
1.8 samples, so bilinear sampling loses little.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..params import DescriptorParams
from ._functions import direction
from ._jit import kernel, subroutine
from ._threads import Threads
from .scalespace import Strip

N_CELLS, N_DIRECTIONS = 4, 8
SAMPLES_PER_CELL = 6
"""With cells of 3σ, samples are σ/2 apart."""
GRID = (N_CELLS + 1) * SAMPLES_PER_CELL
"""A sample is shared by the cells on either side, so half a cell beyond the outer ones still counts."""
LANES = -(-GRID // 16) * 16
"""Grid lines are filled up to whole vector registers."""
QUANTUM = 512
"""A unit descriptor is stored times 512, saturated at 255 (OpenCV's and VLFeat's convention)."""

_SAMPLES_PER_FRAME = 4096
"""Work of one descriptor, in the units of ``Threads.over_rows``."""


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
        Cell width, clip and RootSIFT.
    threads
        Where the frames are shared out.

    Returns
    -------
    (N, 128) uint8
        [row of cells][column of cells][direction], directions stepping counter-clockwise on the screen.
    """
    frames = np.column_stack((strip.to_samples(xy), sigma / strip.step, orientation)).astype(np.float64)
    level = strip.nearest_level(sigma)
    descriptors = np.empty((len(frames), N_CELLS * N_CELLS * N_DIRECTIONS), np.uint8)
    spacing, weights = params.cell_width / SAMPLES_PER_CELL, _cell_weights()
    settings = spacing, weights, params.descriptor_clip, params.rootsift
    given = strip.levels, strip.first_row, *strip.shape, frames, level, *settings
    threads.over_rows(
        len(frames),
        len(frames) * _SAMPLES_PER_FRAME,
        lambda start, stop: _describe(*given, *_workspace(), descriptors, start, stop),
    )
    return descriptors


def reach_of_descriptor(params: DescriptorParams) -> float:
    """Radius of the samples that a descriptor depends on, in units of σ, and one sample more."""
    return params.cell_width / SAMPLES_PER_CELL * (GRID + 1) / 2 * math.sqrt(2)


def _workspace() -> tuple[NDArray[Any], ...]:
    """What a thread works in. Allocated here: where LLVM knows the sizes, it unrolls beyond all measure."""
    return (
        np.zeros((2, GRID + 2, LANES + 2), np.float32),  # the patch, and which of it lies in the image
        np.zeros((4, LANES), np.float32),  # fractions of x and of y; magnitude and direction
        np.zeros((N_CELLS + 1, GRID * N_DIRECTIONS), np.float32),  # pooled columns; a line's shares
        np.zeros(GRID + 2, np.int32),  # where a line's samples lie
        np.zeros(N_CELLS * N_CELLS * N_DIRECTIONS),
    )


def _cell_weights() -> NDArray[np.float32]:
    """(4, GRID) weight of each grid line in each cell: linear interpolation times the Gaussian window.

    The window's standard deviation is half the descriptor's width: two cells (Lowe, section 6.1).
    """
    lines = (np.arange(GRID) + 0.5) / SAMPLES_PER_CELL - (N_CELLS + 1) / 2
    centres = np.arange(N_CELLS) - (N_CELLS - 1) / 2
    linear = np.maximum(0, 1 - np.abs(lines - centres[:, None]))
    window = np.exp(-0.5 * (lines / (N_CELLS / 2)) ** 2)
    return np.asarray(linear * window, np.float32)


@subroutine
def _clamp(value, low, high):
    value = value if value > low else low
    return value if value < high else high


@subroutine
def _sample_patch(level, first_row, height, width, x, y, spacing, cosine, sine, patch, inside, at, fx, fy):
    """Grey values on the turned grid and one line around it, bilinear; outside, the border is repeated."""
    pitch = level.shape[1]
    n, half = len(at), np.float32((len(at) - 1) / 2)
    # Positions are relative to a whole sample nearby: single precision is exact to 1e-5 samples there.
    reach = math.ceil(half * spacing * (abs(cosine) + abs(sine)))
    left, top = int(x) - reach, int(y) - reach
    px0, py0 = np.float32(x - left), np.float32(y - top)
    du, dv = np.float32(spacing * cosine), np.float32(spacing * sine)
    low_x, low_y, high_x, high_y = -left, -top, width - 1 - left, height - 1 - top
    samples, first, last = level.ravel(), (top - first_row) * pitch + left, np.uint64(level.size - pitch - 2)
    for row in range(n):
        v = np.float32(row) - half
        row_x, row_y = px0 - v * dv, py0 + v * du
        for i in range(n):
            u = np.float32(i) - half
            px, py = row_x + u * du, row_y + u * dv
            cx = _clamp(px, np.float32(low_x), np.float32(high_x))
            cy = _clamp(py, np.float32(low_y), np.float32(high_y))
            ix, iy = min(np.int32(cx), np.int32(high_x - 1)), min(np.int32(cy), np.int32(high_y - 1))
            fx[i], fy[i], at[i] = cx - np.float32(ix), cy - np.float32(iy), iy * np.int32(pitch) + ix
            inside[row, i] = np.float32(1) if (px == cx) & (py == cy) else np.float32(0)
        for i in range(n):
            here = np.uint64(first + at[i])
            # Never true for finite frames. It also keeps this loop from being vectorised into
            # gather instructions, which take more than twice as long.
            if here > last:
                break
            below = here + np.uint64(pitch)
            upper = samples[here] + fx[i] * (samples[here + np.uint64(1)] - samples[here])
            lower = samples[below] + fx[i] * (samples[below + np.uint64(1)] - samples[below])
            patch[row, i] = upper + fy[i] * (lower - upper)


@subroutine
def _polar_line(patch, inside, line, magnitude, position):
    """Magnitude of the gradients along a grid line and their place among the directions, in [0, 8].

    A gradient counts when the four samples it is taken from lie in the image.
    """
    above, below = patch[line, 1 : LANES + 1], patch[line + 2, 1 : LANES + 1]
    left, right = patch[line + 1, :LANES], patch[line + 1, 2 : LANES + 2]
    has_above, has_below = inside[line, 1 : LANES + 1], inside[line + 2, 1 : LANES + 1]
    has_left, has_right = inside[line + 1, :LANES], inside[line + 1, 2 : LANES + 2]
    per_radian = np.float32(N_DIRECTIONS / (2 * math.pi))
    for i in range(LANES):
        gu, gv = right[i] - left[i], below[i] - above[i]
        magnitude[i] = np.sqrt(gu * gu + gv * gv) * (has_above[i] * has_below[i] * has_left[i] * has_right[i])
        position[i] = direction(-gv, gu) * per_radian


@subroutine
def _pool(patch, inside, weights, magnitude, position, shares, columns, vector):
    """Trilinear pooling: directions first, then down the columns of the grid, then along its rows.

    Directions are the innermost axis: eight of them fill a vector register, whatever the sample.
    """
    columns[:] = 0
    for line in range(GRID):
        _polar_line(patch, inside, line, magnitude, position)
        for i in range(GRID):
            for k in range(N_DIRECTIONS):
                distance = abs(position[i] - np.float32(k))
                around = np.float32(N_DIRECTIONS) - distance
                distance = distance if distance < around else around
                share = np.float32(1) - distance
                shares[i * N_DIRECTIONS + k] = magnitude[i] * (share if share > 0 else np.float32(0))
        below = line // SAMPLES_PER_CELL
        for cell in range(max(below - 1, 0), min(below + 1, N_CELLS)):
            weight, column = weights[cell, line], columns[cell]
            for i in range(GRID * N_DIRECTIONS):
                column[i] += weight * shares[i]
    vector[:] = 0
    for row in range(N_CELLS):
        for column in range(N_CELLS):
            first = (row * N_CELLS + column) * N_DIRECTIONS
            for i in range(column * SAMPLES_PER_CELL, (column + 2) * SAMPLES_PER_CELL):
                for k in range(N_DIRECTIONS):
                    vector[first + k] += weights[column, i] * columns[row, i * N_DIRECTIONS + k]


@subroutine
def _length(vector):
    total = 0.0
    for i in range(len(vector)):
        total += vector[i] * vector[i]
    return math.sqrt(total)


@subroutine
def _quantise(vector, clip, rootsift, out):
    """Normalise, clip, normalise again (or take the root of the shares) and store as bytes."""
    n = len(vector)
    norm = _length(vector)
    if norm == 0:
        out[:] = 0
        return
    for i in range(n):
        vector[i] = min(vector[i] / norm, clip)
    if rootsift:
        total = 0.0
        for i in range(n):
            total += vector[i]
        for i in range(n):
            vector[i] = math.sqrt(vector[i] / total)
    else:
        norm = _length(vector)
        for i in range(n):
            vector[i] /= norm
    for i in range(n):
        out[i] = min(np.rint(QUANTUM * vector[i]), 255.0)


@kernel(
    "void(float32[:, :, ::1], int64, int64, int64, float64[:, ::1], int64[::1], float64, float32[:, ::1],"
    " float64, boolean,"
    " float32[:, :, ::1], float32[:, ::1], float32[:, ::1], int32[::1], float64[::1],"
    " uint8[:, ::1], int64, int64)"
)
def _describe(
    levels,
    first_row,
    height,
    width,
    frames,
    level,
    spacing,
    weights,
    clip,
    rootsift,
    patches,
    lines,
    columns,
    at,
    vector,
    descriptors,
    start,
    stop,
):
    """Descriptors of frames start to stop."""
    for n in range(start, stop):
        x, y, sigma, orientation = frames[n]
        cosine, sine = math.cos(orientation), math.sin(orientation)
        _sample_patch(
            levels[level[n]],
            first_row,
            height,
            width,
            x,
            y,
            spacing * sigma,
            cosine,
            sine,
            patches[0],
            patches[1],
            at,
            lines[0],
            lines[1],
        )
        _pool(
            patches[0], patches[1], weights, lines[2], lines[3], columns[N_CELLS], columns[:N_CELLS], vector
        )
        _quantise(vector, clip, rootsift, descriptors[n])
