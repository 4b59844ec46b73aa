"""All candidates of a picture, octave by octave, and what became of each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..kernels.threads import Threads
from ..params import SiftParams
from ..sift.candidates import KEPT
from ..sift.duplicates import grouped, merge_duplicates
from ..sift.extrema import find_extrema, least_samples
from ..sift.keypoints import Keypoints
from ..sift.octave import Strip
from ..sift.refinement import least_stability, refine_each, scored
from ..sift.scale_space import gaussian_octaves

SEARCH_PX = 20.0
"""A candidate that is farther from a place than this is not meant."""


@dataclass(frozen=True, eq=False)
class OctaveFound:
    """The candidates of an octave; its levels are not kept."""

    strip: Strip
    """Without its levels."""
    candidates: NDArray[np.int32]
    refined: NDArray[np.float64]
    fate: NDArray[np.uint8]
    keypoints: Keypoints
    """Those that are stable."""
    weak: Keypoints
    """Those that are not."""

    @property
    def xy(self) -> NDArray[np.float64]:
        """(N, 2) pixels: where each ended, or else its sample."""
        samples = np.where((self.fate == KEPT)[:, None], self.refined[:, :2], self.candidates[:, 2:0:-1])
        return self.strip.to_input(samples)

    @property
    def sigma(self) -> NDArray[np.float64]:
        """(N,) pixels, likewise."""
        return self.strip.sigma_of(np.where(self.fate == KEPT, self.refined[:, 2], self.candidates[:, 0]))

    def group_of(self, row: int, distance: float) -> NDArray[np.intp]:
        """The kept candidates that are merged with one of them."""
        kept = np.flatnonzero(self.fate == KEPT)
        order, first = grouped(self.refined[kept], distance)
        rows = kept[order]
        return np.asarray(rows[first == first[rows == row]])


@dataclass(frozen=True)
class Chosen:
    """A candidate: its octave's place in the list, and its row."""

    octave: int
    row: int
    distance: float | None = None


def find_all(grey: NDArray[np.float32], params: SiftParams, threads: Threads) -> list[OctaveFound]:
    """The candidates of every octave, by the stages of the pipeline."""
    return [_found(strip, params, threads) for strip in gaussian_octaves(grey, params, threads)]


def _found(strip: Strip, params: SiftParams, threads: Threads) -> OctaveFound:
    candidates = find_extrema(strip, params, threads)
    refined = refine_each(strip, candidates, params, threads)
    places, fate = refined.places, refined.fate
    unique, _ = merge_duplicates(places[fate == KEPT], params.merge_distance, math.inf)
    keypoints, stability = scored(strip, unique, params)
    is_stable = stability >= least_stability(strip, params)
    kept, weak = keypoints.select(is_stable), keypoints.select(~is_stable)
    return OctaveFound(replace(strip, levels=strip.levels[:, :0, :0]), candidates, places, fate, kept, weak)


def strip_of(grey: NDArray[np.float32], number: int, params: SiftParams, threads: Threads) -> Strip:
    """An octave with its levels."""
    return next(strip for strip in gaussian_octaves(grey, params, threads) if strip.number == number)


def nearest_to(
    xy: tuple[float, float],
    grey: NDArray[np.float32],
    octaves: list[OctaveFound],
    params: SiftParams,
    threads: Threads,
) -> Chosen:
    """The candidate or keypoint that is nearest to a place.

    Raises
    ------
    InputError
        If none is near; the message says what the difference of Gaussians lacks there.
    """
    best = Chosen(0, 0, math.inf)
    for i, found in enumerate(octaves):
        if len(found.candidates):
            distance = np.hypot(*(found.xy - xy).T)
            # Of places that are equally near, one that is kept.
            row = int(np.lexsort((found.fate, distance))[0])
            if distance[row] < (best.distance or 0):
                best = Chosen(i, row, float(distance[row]))
    if not (best.distance or 0) <= SEARCH_PX:
        why = _strongest_near(xy, grey, params, threads)
        raise InputError(
            f"no candidate within {SEARCH_PX:g} px of ({xy[0]:g}, {xy[1]:g}){why}; "
            "choose another place, or lower --contrast-threshold"
        )
    return best


def _strongest_near(
    xy: tuple[float, float], grey: NDArray[np.float32], params: SiftParams, threads: Threads
) -> str:
    """Which sample near a place comes nearest to what a candidate needs."""
    best, text = 0.0, "; the image is flat there"
    for strip in gaussian_octaves(grey, params, threads):
        x, y = strip.to_samples(np.array([xy]))[0]
        reach = math.ceil(SEARCH_PX / strip.step)
        rows = slice(max(0, round(y) - reach), round(y) + reach + 1)
        columns = slice(max(0, round(x) - reach), round(x) + reach + 1)
        dogs = np.abs(np.diff(strip.unpadded[:, rows, columns], axis=0))[1:-1]
        for value, needed in zip(
            dogs.max(axis=(1, 2), initial=0).tolist(), least_samples(strip, params).tolist(), strict=True
        ):
            if needed > 0 and value / needed > best:
                best = value / needed
                text = f"; the largest |DoG| there for its scale is {value:.2g}, needed {needed:.2g}"
    return text if best < 1 else "; what is strong there is an edge, or exceeded by a neighbour"


def candidate_of(
    keypoint: tuple[NDArray[np.float32], np.float32, int], octaves: list[OctaveFound], params: SiftParams
) -> Chosen:
    """A candidate that a feature of the output, (xy, scale, octave number), comes from."""
    xy, scale, number = keypoint
    i = next(i for i, found in enumerate(octaves) if found.strip.number == number)
    found = octaves[i]
    near = np.flatnonzero((found.fate == KEPT) & (np.hypot(*(found.xy - xy).T) <= 8 * found.strip.step))
    distance = np.hypot(*(found.xy[near] - xy).T) + np.abs(found.sigma[near] - scale)
    for row in near[np.argsort(distance, kind="stable")].tolist():
        rows = found.group_of(row, params.merge_distance)
        mean, _ = merge_duplicates(found.refined[rows], params.merge_distance, math.inf)
        place = found.strip.to_input(mean[:, :2]).astype(np.float32)
        sigma = found.strip.sigma_of(mean[:, 2]).astype(np.float32)
        if len(mean) and (place[0] == xy).all() and sigma[0] == scale:
            return Chosen(i, row)
    raise AssertionError("a feature of the output has no candidate")  # the stages are the pipeline's own
