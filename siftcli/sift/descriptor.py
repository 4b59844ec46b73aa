"""Frames to 128-vectors (Lowe, section 6.1; IPOL, algorithm 12).

The neighbourhood is sampled on a grid that is rotated and scaled with the frame (``patch.py``); its gradients
are summed in 4 × 4 cells of 8 directions (``cells.py``); the sums are normalised and stored as bytes.

Domain-size pooling (Dong and Soatto, *Domain-Size Pooling in Local Descriptors: DSP-SIFT*, CVPR 2015) adds
the sums of neighbourhoods of three sizes, each from a level that is blurred in proportion, before they are
normalised.
"""

from __future__ import annotations

import math
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from ..features import DESCRIPTOR_LENGTH
from ..kernels.decorators import kernel, subroutine
from ..kernels.parallel_for import parallel_for
from ..kernels.prefetch import prefetch_square
from ..kernels.threads import Threads
from ..kernels.vectors import (
    LANES,
    fma,
    load,
    minimum,
    rint,
    splat,
    sqrt,
    store,
    store_integers,
    sum_of_lanes,
)
from ..params import DescriptorParams
from .cells import cell_weights, pool_along, pool_down
from .octave import Strip
from .patch import GRID, LINE, N_CELLS, N_DIRECTIONS, SAMPLES_PER_CELL, differentiate, sample_patch
from .strips import Strips, as_strips, strip_at

QUANTUM = 512
"""A unit descriptor is stored times 512, saturated at 255 (OpenCV's and VLFeat's convention)."""
DSP_RATIO = 1.7
"""Ratio r of the pooled sizes: 1/r, 1 and r."""

_FAR = 1 << 22
"""Samples from the image beyond which single precision cannot tell neighbours apart; nothing is there."""
_SAMPLES_PER_FRAME = 4096
"""Work of one descriptor, in the units of ``Threads.over_keypoints``."""


class DescriptorTrace(NamedTuple):
    """What :func:`describe_frames` fills in for the first N frames; none when not asked."""

    grids: NDArray[np.float32]
    """(N, D, 3, (GRID + 2)·LINE) for each of D sizes: the patch, (GRID + 2) × LINE, and magnitudes and
    directions, GRID × LINE, as of ``patch.py``."""
    vectors: NDArray[np.float32]
    """(N, 512), four vectors of 128: the sums, of unit length, clipped, and as stored but not yet rounded."""

    @classmethod
    def room_for(cls, n: int, params: DescriptorParams) -> Self:
        """Room for ``n`` frames."""
        grids = np.zeros((n, len(_domain_sizes(params)), 3, (GRID + 2) * LINE), np.float32)
        return cls(grids, np.zeros((max(n, 1), 4 * DESCRIPTOR_LENGTH if n else 0), np.float32))


def describe_frames(
    strip: Strip | Strips,
    xy: NDArray[np.float32],
    sigma: NDArray[np.float32],
    orientation: NDArray[np.float32],
    params: DescriptorParams,
    threads: Threads,
    trace: DescriptorTrace | None = None,
) -> NDArray[np.uint8]:
    """The descriptors of the frames of a strip, or of strips of several octaves.

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
    trace
        Filled, with room for all frames.

    Returns
    -------
    (N, 128) uint8
        [row of cells][column of cells][direction], directions stepping counter-clockwise on the screen.
    """
    strips = as_strips(strip, len(xy))
    frames = np.column_stack((strips.to_samples(xy), sigma / strips.step, orientation)).astype(np.float64)
    sizes = _domain_sizes(params)
    shift = np.rint(strips.n_scales * np.log2(sizes)).astype(np.int64)
    level = np.clip(strips.nearest_level(sigma)[:, None] + shift, 0, strips.n_scales + 2)
    descriptors = np.empty((len(frames), DESCRIPTOR_LENGTH), np.uint8)
    spacings, weights = sizes * params.cell_width / SAMPLES_PER_CELL, cell_weights()
    settings = spacings, weights, params.descriptor_clip, params.rootsift
    given = frames, level, *settings
    asked = trace or DescriptorTrace.room_for(0, params)
    threads.over_keypoints(
        len(frames),
        len(frames) * len(sizes) * _SAMPLES_PER_FRAME,
        # Within the call, so that the strips live as long as a thread that an interrupt leaves behind.
        lambda counter: _describe(
            strips.table, strips.of, *given, descriptors, asked.grids, asked.vectors, counter
        ),
    )
    return descriptors


def descriptor_radius(params: DescriptorParams) -> float:
    """Radius of the samples that a descriptor depends on, in units of σ, and one sample more."""
    spacing = max(_domain_sizes(params)) * params.cell_width / SAMPLES_PER_CELL
    return float(spacing * (GRID + 1) / 2 * math.sqrt(2))


def _domain_sizes(params: DescriptorParams) -> NDArray[np.float64]:
    """The sizes that are pooled, the largest last; 1 is Lowe's."""
    return np.array([1 / DSP_RATIO, 1, DSP_RATIO] if params.dsp else [1.0])


@subroutine
def _quantise(vector, clip, rootsift, out, to, trace):
    """Normalise, clip, normalise again (or take the square root of the shares) and store a descriptor.

    Parameters
    ----------
    vector
        (128,) float32 sums; overwritten.
    clip
        Largest component of the unit vector.
    rootsift
        Whether to take the square root of the shares, L1 normalisation, instead.
    out
        (N, 128) uint8, filled from the flat index ``to`` on.
    to
        Where the descriptor begins.
    trace
        (512,) float32, filled as of :class:`DescriptorTrace`; empty when not wanted.
    """
    squares = splat(np.float32(0))
    for i in range(0, DESCRIPTOR_LENGTH, LANES):
        v = load(vector, i)
        squares = fma(v, v, squares)
    norm = math.sqrt(sum_of_lanes(squares))
    if norm == 0:
        for i in range(0, DESCRIPTOR_LENGTH, LANES):
            store_integers(out, to + i, splat(np.float32(0)))
        return
    scale, sums = splat(np.float32(1 / norm)), splat(np.float32(0))
    is_traced = len(trace) > 0
    for i in range(0, DESCRIPTOR_LENGTH, LANES):
        unit = load(vector, i) * scale
        v = minimum(unit, splat(np.float32(clip)))
        if is_traced:
            store(trace, i, load(vector, i))
            store(trace, DESCRIPTOR_LENGTH + i, unit)
            store(trace, 2 * DESCRIPTOR_LENGTH + i, v)
        store(vector, i, v)
        sums = sums + v if rootsift else fma(v, v, sums)
    total = sum_of_lanes(sums)
    scale = splat(np.float32(1 / total if rootsift else 1 / math.sqrt(total)))
    for i in range(0, DESCRIPTOR_LENGTH, LANES):
        v = load(vector, i) * scale
        v = (sqrt(v) if rootsift else v) * splat(np.float32(QUANTUM))
        if is_traced:
            store(trace, 3 * DESCRIPTOR_LENGTH + i, v)
        store_integers(out, to + i, minimum(rint(v), splat(np.float32(255))))


@kernel(
    "void(int64[:, ::1], int64[::1], float64[:, ::1], int64[:, ::1], float64[::1],"
    " float32[:, ::1], float64, boolean, uint8[:, ::1], float32[:, :, :, ::1], float32[:, ::1], int64[::1])"
)
def _describe(
    table,
    of,
    frames,
    level,
    spacings,
    weights,
    clip,
    rootsift,
    descriptors,
    grids,
    vectors,
    counter,
):
    """Describe frames, as many as are left.

    Parameters
    ----------
    table, of
        (K, 7) int64 strips, as of :attr:`Strips.table`; (N,) int64 that of each frame.
    frames
        (N, 4) float64 x, y and σ in samples, and orientation in radians.
    level
        (N, D) int64 level for each of D sizes of the neighbourhood.
    spacings
        (D,) float64 distance of grid points in units of σ, the largest last.
    weights
        (6, LINE) float32, as of :func:`cells.cell_weights`.
    clip, rootsift
        As for :func:`_quantise`.
    descriptors
        (N, 128) uint8, filled.
    grids, vectors
        Of :class:`DescriptorTrace`, filled for as many frames as there is room for.
    counter
        (1,) int64 of the parallel for loop.
    """
    line = weights.shape[1]  # LINE; as a constant it would let LLVM unroll without limit
    n_samples = (GRID + 2) * line
    # One line more, since vectors are read beyond the last; what is there is not used.
    patch, inside = np.zeros(n_samples + line, np.float32), np.zeros(n_samples + line, np.float32)
    # Room for sampling: the samples around each point, the position between them, and their flat indices.
    pairs, fractions, at = (
        np.empty(4 * n_samples, np.float32),
        np.empty(2 * n_samples, np.float32),
        np.empty(line, np.int32),
    )
    magnitudes, positions = np.empty(GRID * line, np.float32), np.empty(GRID * line, np.float32)
    # Shares, summed down the columns; sums of two cells; the descriptor.
    columns, sums, vector = (
        np.empty(N_CELLS * N_DIRECTIONS * line, np.float32),
        np.empty(2 * N_DIRECTIONS * LANES, np.float32),
        np.empty(N_CELLS**2 * N_DIRECTIONS, np.float32),
    )
    for n in parallel_for(counter, len(frames)):
        if n + 1 < len(frames):
            x, y, sigma = frames[n + 1, 0], frames[n + 1, 1], frames[n + 1, 2]
            levels, first_row, height, width = strip_at(table, of[n + 1])
            for i in range(len(spacings)):
                radius = GRID / 2 * spacings[i] * sigma
                prefetch_square(levels, level[n + 1, i], first_row, height, width, x, y, radius)
        levels, first_row, height, width = strip_at(table, of[n])
        x, y, sigma, orientation = frames[n, 0], frames[n, 1], frames[n, 2], frames[n, 3]
        if not abs(x) + abs(y) + 2 * GRID * spacings[-1] * sigma < _FAR:
            descriptors[n] = 0
            continue
        cosine, sine = math.cos(orientation), math.sin(orientation)
        vector[:] = 0
        for i in range(len(spacings)):
            is_clipped = sample_patch(
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
            differentiate(patch, inside, is_clipped, magnitudes, positions)
            if n < len(grids):
                for k in range(n_samples):  # a copy of slices would compile the error of unlike shapes
                    grids[n, i, 0, k] = patch[k]
                for k in range(GRID * line):
                    grids[n, i, 1, k], grids[n, i, 2, k] = magnitudes[k], positions[k]
            pool_down(magnitudes, positions, weights, columns)
            pool_along(columns, weights, sums, vector)
        own = vectors[n if n < len(vectors) else 0]
        _quantise(vector, clip, rootsift, descriptors, n * DESCRIPTOR_LENGTH, own)
