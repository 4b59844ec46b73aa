"""A roofline for each stage: what it must compute and move, and how near it comes to the machine's limit.

Operations and bytes are counted by construction, from below. An operation is one lane of one vector
instruction of arithmetic; each is taken to cost as much as a multiply-add. Bytes are those of the levels
that a stage must write or read at least once, as if they came from memory, though some are in a cache.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from statistics import median

import numpy as np
from numpy.typing import NDArray

from .. import detection
from ..image import read_image
from ..kernels.threads import Threads
from ..kernels.vectors import HALF, LANES
from ..params import SiftParams
from ..sift.candidates import MOST_STEPS, STEP_COLUMNS
from ..sift.descriptor import describe_frames
from ..sift.extrema import find_extrema
from ..sift.frame_columns import frames_of
from ..sift.local_filters import SIDE
from ..sift.noise import params_for
from ..sift.octave import Strip, octaves_of
from ..sift.orientation import histogram_stage
from ..sift.patch import GRID, LINE, SAMPLES_PER_CELL
from ..sift.pipeline import strip_halo
from ..sift.refinement import refine, refine_each
from ..sift.scale_space import gaussian_strips
from .cases import Bytes
from .roofline import multiply_adds, peak
from .worker import milliseconds

PYRAMID, EXTREMA, REFINEMENT, ORIENTATIONS, DESCRIPTORS, WHOLE = STAGES = (
    "pyramid", "extrema", "refinement", "orientations", "descriptors", "whole",
)  # fmt: skip
"""The last is a detection, with noise, selection and what Python does between the kernels."""

_FIT = SIDE * (6 + 9) * HALF + (2 * 27 + 3 * 22) * LANES
"""Operations of a fit: rows of the patch, filters along both axes, and the three sums of products."""
_GRADIENT = 47
"""Operations of a sample of an orientation: its gradient, magnitude, direction, weight and two bins."""
_DESCRIPTOR = (GRID + 2) * LINE * 25 + GRID * LINE * (35 + 56)
"""Operations of a descriptor: its points are sampled; then gradients are computed and pooled."""
_LINE_BYTES, _SAMPLE_BYTES = 64, 4
_N_COPIED, _N_REPEATS = 1 << 24, 5


@dataclass(frozen=True)
class Stage:
    """One stage on one image and number of threads."""

    image: str
    way: str
    size: tuple[int, int]
    """(width, height)."""
    threads: int
    stage: str
    """One of ``STAGES``."""
    operations: int
    bytes_moved: int
    ms: float
    """Median time, the stage alone."""
    operations_per_s: float
    """Multiply-adds of float32 that this machine does on so many threads, as measured."""
    bytes_per_s: float
    """Bytes that it copies, read and written, as measured."""

    @property
    def limit_ms(self) -> float:
        """The time of the operations, or of the bytes, whichever is longer."""
        return 1e3 * max(self.operations / self.operations_per_s, self.bytes_moved / self.bytes_per_s)

    @property
    def limit(self) -> str:
        """What binds: ``arithmetic`` or ``memory``."""
        is_memory = self.bytes_moved / self.bytes_per_s > self.operations / self.operations_per_s
        return "memory" if is_memory else "arithmetic"

    @property
    def share(self) -> float:
        """The time at the limit divided by the time taken."""
        return self.limit_ms / self.ms


class _Clock:
    """Adds up the time of each stage."""

    def __init__(self) -> None:
        self.ms = dict.fromkeys(STAGES, 0.0)

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        start = time.perf_counter()
        yield
        self.ms[stage] += 1e3 * (time.perf_counter() - start)


def time_stages(
    image: tuple[str, str, tuple[int, int]], grey: Bytes, thread_counts: Sequence[int], n_runs: int = 5
) -> list[Stage]:
    """Time each stage of the default preset alone, all keypoints described.

    Parameters
    ----------
    image
        Name, way and size, for the records.
    grey
        (H, W) uint8.
    thread_counts
        Numbers of threads; a record of each stage for each.
    n_runs
        Runs after a warm-up, of which the median is told.
    """
    samples, stages = read_image(grey).grey, []
    for n in thread_counts:
        with Threads(n) as pool:
            limits = peak_of(n, pool), bandwidth_of(n, pool)
            params = params_for(samples, SiftParams(), pool)
            runs = [_run(samples, params, pool, _no_count) for _ in range(1 + n_runs)][1:]
            amounts = _Amounts(params)
            _run(samples, params, pool, amounts.add)
        whole = [
            milliseconds(lambda: detection.detect(samples, SiftParams(), threads=n))  # noqa: B023 (called now)
            for _ in range(1 + n_runs)
        ][1:]
        for stage, (operations, n_bytes) in amounts.of(grey.shape).items():
            ms = median(whole if stage == WHOLE else [run[stage] for run in runs])
            stages.append(Stage(*image, n, stage, operations, n_bytes, ms, *limits))
    return stages


_Count = Callable[[Strip, NDArray[np.int32], NDArray[np.float64], int, Threads], None]
"""Told a strip, its candidates, the σ of its keypoints in samples, and how many frames were described."""


def _no_count(*_: object) -> None:
    pass


def _run(samples: NDArray[np.float32], params: SiftParams, pool: Threads, count: _Count) -> dict[str, float]:
    """The milliseconds of each stage, one after the other."""
    clock, stage = _Clock(), histogram_stage(params)
    strips = chain.from_iterable(gaussian_strips(samples, params, pool, halo=strip_halo(params, stage)))
    while True:
        with clock.of(PYRAMID):
            strip = next(strips, None)
        if strip is None:
            return clock.ms
        with clock.of(EXTREMA):
            candidates = find_extrema(strip, params, pool)
        with clock.of(REFINEMENT):
            keypoints, _, _ = refine(strip, candidates, params, pool)
        with clock.of(ORIENTATIONS):
            rows, angles = stage.assign(strip, keypoints, params, pool)
        frames = frames_of(keypoints, rows, angles)
        with clock.of(DESCRIPTORS):
            given = frames["xy"], frames["scale"], frames["orientation"]
            describe_frames(strip, *given, params, pool)
        count(strip, candidates, keypoints.sigma / strip.step, len(rows), pool)


class _Amounts:
    """Counts what the stages that depend on the image must do."""

    def __init__(self, params: SiftParams) -> None:
        self.params = params
        self.operations = dict.fromkeys(STAGES, 0.0)
        self.n_bytes = dict.fromkeys(STAGES, 0.0)

    def add(
        self,
        strip: Strip,
        candidates: NDArray[np.int32],
        sigma: NDArray[np.float64],
        n_frames: int,
        pool: Threads,
    ) -> None:
        """Count a strip."""
        params = self.params
        n_samples, n_scales = (strip.rows[1] - strip.rows[0]) * strip.shape[1], strip.n_scales
        self.operations[EXTREMA] += n_samples * (n_scales + 2 + 2 * n_scales)
        self.n_bytes[EXTREMA] += n_samples * (n_scales + 3) * _SAMPLE_BYTES
        trace = np.full((max(1, len(candidates)), MOST_STEPS, len(STEP_COLUMNS)), np.nan)
        refine_each(strip, candidates, params, pool, trace)
        self.operations[REFINEMENT] += int(np.sum(~np.isnan(trace[:, :, 0]))) * _FIT
        self.n_bytes[REFINEMENT] += len(candidates) * 4 * SIDE * 2 * _LINE_BYTES
        side = 2 * params.orientation_window * params.orientation_radius * sigma + 1
        self.operations[ORIENTATIONS] += float(np.sum(side**2)) * _GRADIENT
        self.n_bytes[ORIENTATIONS] += float(np.sum((side + 2) ** 2)) * _SAMPLE_BYTES
        self.operations[DESCRIPTORS] += n_frames * _DESCRIPTOR
        grid = (GRID + 1) * params.cell_width / SAMPLES_PER_CELL * sigma
        self.n_bytes[DESCRIPTORS] += float(np.mean(grid**2) if len(sigma) else 0) * n_frames * _SAMPLE_BYTES

    def of(self, shape: tuple[int, ...]) -> dict[str, tuple[int, int]]:
        """Operations and bytes of each stage, those of the pyramid and of the whole too."""
        n_levels = self.params.levels_per_octave + 3
        octaves = [math.prod(octave.shape) for octave in octaves_of(shape, self.params)]
        self.operations[PYRAMID] = multiply_adds(shape, self.params)
        self.n_bytes[PYRAMID] = (math.prod(shape) + sum(octaves) * n_levels) * _SAMPLE_BYTES
        for amounts in (self.operations, self.n_bytes):
            amounts[WHOLE] = sum(amounts[stage] for stage in STAGES[:-1])
        return {stage: (int(self.operations[stage]), int(self.n_bytes[stage])) for stage in STAGES}


def peak_of(threads: int, pool: Threads) -> float:
    """Multiply-adds of float32 a second on so many threads."""
    return float(sum(pool.over_rows(threads, 1 << 30, lambda _start, _stop: peak())))


def bandwidth_of(threads: int, pool: Threads) -> float:
    """Bytes a second, read and written, of a copy by so many threads: the best of a few."""
    source, target = np.zeros(_N_COPIED, np.float32), np.empty(_N_COPIED, np.float32)

    def copy(start: int, stop: int) -> None:
        part = slice(start * _N_COPIED // threads, stop * _N_COPIED // threads)
        np.copyto(target[part], source[part])

    times = [milliseconds(pool.over_rows, threads, 1 << 30, copy) for _ in range(_N_REPEATS)]
    return 1e3 * 2 * source.nbytes / min(times)
