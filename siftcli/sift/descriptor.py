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

import numpy as np
from numpy.typing import NDArray

from ..params import DescriptorParams
from ._arctangent import direction
from ._jit import kernel, subroutine
from ._threads import Threads
from .scalespace import Octave

N_CELLS, N_DIRECTIONS = 4, 8
SAMPLES_PER_CELL = 6
"""With cells of 3σ, samples are σ/2 apart."""
GRID = (N_CELLS + 1) * SAMPLES_PER_CELL
"""A sample is shared by the cells on either side, so half a cell beyond the outer ones still counts."""
QUANTUM = 512
"""A unit descriptor is stored times 512, saturated at 255 (OpenCV's and VLFeat's convention)."""

_SAMPLES_PER_FRAME = 4096
"""Work of one descriptor, in the units of ``Threads.over_rows``."""


def describe_frames(
    octave: Octave,
    xy: NDArray[np.float32],
    sigma: NDArray[np.float32],
    orientation: NDArray[np.float32],
    params: DescriptorParams,
    threads: Threads,
) -> NDArray[np.uint8]:
    """The descriptors of an octave's frames.

    Parameters
    ----------
    octave
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
    frames = np.column_stack((octave.to_samples(xy), sigma / octave.step, orientation)).astype(np.float64)
    level = octave.nearest_level(sigma)
    descriptors = np.empty((len(frames), N_CELLS * N_CELLS * N_DIRECTIONS), np.uint8)
    spacing, weights = params.cell_width / SAMPLES_PER_CELL, _cell_weights()
    threads.over_rows(
        len(frames),
        len(frames) * _SAMPLES_PER_FRAME,
        lambda start, stop: _describe(
            octave.levels, frames, level, spacing, weights, params.descriptor_clip, params.rootsift, descriptors, start, stop
        ),
    )
    return descriptors


def _cell_weights() -> NDArray[np.float32]:
    """(GRID, 4) weight of each grid line in each cell: linear interpolation times the Gaussian window.

    The window's standard deviation is half the descriptor's width: two cells (Lowe, section 6.1).
    """
    lines = (np.arange(GRID) + 0.5) / SAMPLES_PER_CELL - (N_CELLS + 1) / 2
    centres = np.arange(N_CELLS) - (N_CELLS - 1) / 2
    linear = np.maximum(0, 1 - np.abs(lines[:, None] - centres))
    window = np.exp(-0.5 * (lines / (N_CELLS / 2)) ** 2)
    return (linear * window[:, None]).astype(np.float32)


@subroutine
def _sample_patch(level, x, y, spacing, cosine, sine, patch, inside):  # type: ignore[no-untyped-def]
    """Grey values on the turned grid and one line around it, bilinear; returns whether all lie inside."""
    height, width = level.shape
    n = patch.shape[0]
    all_inside = True
    for row in range(n):
        v = (row - (n - 1) / 2) * spacing
        for column in range(n):
            u = (column - (n - 1) / 2) * spacing
            px, py = x + (u * cosine - v * sine), y + (u * sine + v * cosine)
            if 0 <= px <= width - 1 and 0 <= py <= height - 1:
                left, top = min(int(px), width - 2), min(int(py), height - 2)
                fx, fy = np.float32(px - left), np.float32(py - top)
                upper = level[top, left] + fx * (level[top, left + 1] - level[top, left])
                lower = level[top + 1, left] + fx * (level[top + 1, left + 1] - level[top + 1, left])
                patch[row, column] = upper + fy * (lower - upper)
                inside[row, column] = 1
            else:
                patch[row, column] = 0
                inside[row, column] = 0
                all_inside = False
    return all_inside


@subroutine
def _polar_line(patch, inside, all_inside, line, magnitude, position):  # type: ignore[no-untyped-def]
    """Magnitude of the gradients along a grid line and their place among the directions, in [0, 8]."""
    n = len(magnitude)
    above, below = patch[line, 1 : n + 1], patch[line + 2, 1 : n + 1]
    left, right = patch[line + 1, :n], patch[line + 1, 2 : n + 2]
    per_radian = np.float32(N_DIRECTIONS / (2 * math.pi))
    for i in range(n):
        gu, gv = right[i] - left[i], below[i] - above[i]
        magnitude[i] = np.sqrt(gu * gu + gv * gv)
        position[i] = direction(-gv, gu) * per_radian
    if not all_inside:
        for i in range(n):
            magnitude[i] *= inside[line, i + 1] * inside[line + 2, i + 1] * inside[line + 1, i] * inside[line + 1, i + 2]


@subroutine
def _pool(patch, inside, all_inside, weights, magnitude, position, row_cells, cells):  # type: ignore[no-untyped-def]
    """Trilinear pooling into 4 × 4 cells of 8 directions (a ninth entry wraps to the first)."""
    cells[:] = 0
    for line in range(GRID):
        _polar_line(patch, inside, all_inside, line, magnitude, position)
        row_cells[:] = 0
        for i in range(GRID):
            lower = min(int(position[i]), N_DIRECTIONS - 1)
            upper_share = magnitude[i] * (position[i] - lower)
            lower_share = magnitude[i] - upper_share
            right = i // SAMPLES_PER_CELL
            for cell in range(max(right - 1, 0), min(right + 1, N_CELLS)):
                row_cells[cell, lower] += weights[i, cell] * lower_share
                row_cells[cell, lower + 1] += weights[i, cell] * upper_share
        for cell in range(N_CELLS):
            if weights[line, cell] > 0:
                for i in range(N_CELLS):
                    for k in range(N_DIRECTIONS + 1):
                        cells[cell, i, k] += weights[line, cell] * row_cells[i, k]


@subroutine
def _quantise(cells, clip, rootsift, vector, out):  # type: ignore[no-untyped-def]
    """Normalise, clip, normalise again (or take the root of the shares) and store as bytes."""
    n = 0
    for row in range(N_CELLS):
        for column in range(N_CELLS):
            cells[row, column, 0] += cells[row, column, N_DIRECTIONS]
            for k in range(N_DIRECTIONS):
                vector[n] = cells[row, column, k]
                n += 1
    norm = math.sqrt((vector * vector).sum())
    if norm == 0:
        out[:] = 0
        return
    for i in range(n):
        vector[i] = min(vector[i] / norm, clip)
    if rootsift:
        total = vector.sum()
        for i in range(n):
            vector[i] = math.sqrt(vector[i] / total)
    else:
        norm = math.sqrt((vector * vector).sum())
        for i in range(n):
            vector[i] /= norm
    for i in range(n):
        out[i] = min(np.rint(QUANTUM * vector[i]), 255.0)


@kernel(
    "void(float32[:, :, ::1], float64[:, ::1], int64[::1], float64, float32[:, ::1], float64, boolean,"
    " uint8[:, ::1], int64, int64)"
)
def _describe(levels, frames, level, spacing, weights, clip, rootsift, descriptors, start, stop):  # type: ignore[no-untyped-def]
    """Descriptors of frames start to stop."""
    patch, inside = np.empty((GRID + 2, GRID + 2), np.float32), np.empty((GRID + 2, GRID + 2), np.float32)
    magnitude, position = np.empty(GRID, np.float32), np.empty(GRID, np.float32)
    row_cells = np.empty((N_CELLS, N_DIRECTIONS + 1), np.float32)
    cells = np.empty((N_CELLS, N_CELLS, N_DIRECTIONS + 1), np.float32)
    vector = np.empty(N_CELLS * N_CELLS * N_DIRECTIONS)
    for n in range(start, stop):
        x, y, sigma, orientation = frames[n]
        cosine, sine = math.cos(orientation), math.sin(orientation)
        all_inside = _sample_patch(levels[level[n]], x, y, spacing * sigma, cosine, sine, patch, inside)
        _pool(patch, inside, all_inside, weights, magnitude, position, row_cells, cells)
        _quantise(cells, clip, rootsift, vector, descriptors[n])
