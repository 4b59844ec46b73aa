"""One candidate through the stages of the pipeline, each with its trace."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..api import detect_in_picture
from ..features import DESCRIPTOR_LENGTH, Features
from ..image import Picture
from ..image.stretch import distance_to
from ..kernels.threads import Threads
from ..params import SiftParams
from ..sift.candidates import KEPT, MOST_STEPS, STEP_COLUMNS
from ..sift.descriptor import DescriptorTrace, describe_frames, descriptor_radius
from ..sift.duplicates import merge_duplicates
from ..sift.extrema import least_samples
from ..sift.frame_columns import frames_of
from ..sift.keypoints import Keypoints
from ..sift.masking import allowance, least_around
from ..sift.noise import params_for
from ..sift.octave import Strip
from ..sift.orientation import assign_orientations
from ..sift.orientation_trace import OrientationTrace, first_sample
from ..sift.patch import GRID, LINE
from ..sift.refinement import refine_each, scored
from ..sift.response import border_factor
from ..sift.selection import rank
from . import verdicts
from .octaves import Chosen, OctaveFound, find_all, strip_of
from .records import Candidate, Description, Histogram, Place, Surroundings, Verdict, View

_AROUND = 12
"""Samples shown on either side of the candidate, at least; and for each σ two more."""


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture with all its candidates and the features of the output."""

    picture: Picture
    params: SiftParams
    """Adapted to the noise."""
    mask: NDArray[np.bool_] | None
    octaves: list[OctaveFound]
    features: Features

    @classmethod
    def of(
        cls, picture: Picture, params: SiftParams, mask: NDArray[np.bool_] | None, threads: Threads
    ) -> Scene:
        """Detect in a picture."""
        features = detect_in_picture(picture, params, mask=mask, threads=threads.n)
        adapted = params_for(picture.grey, params, threads)
        return cls(picture, adapted, mask, find_all(picture.grey, adapted, threads), features)


def view_of(scene: Scene, chosen: Chosen, threads: Threads, orientation: float | None = None) -> View:
    """Everything about one candidate; ``orientation``, in radians, says which frame is shown first."""
    params, found = scene.params, scene.octaves[chosen.octave]
    strip = strip_of(scene.picture.grey, found.strip.number, params, threads)
    index = found.candidates[chosen.row]
    candidate = _candidate(strip, index)
    steps, refined, fate = _refined(strip, index, params, threads)
    said = [
        verdicts.of_sample(candidate.value, _needed(strip, index, params)),
        *verdicts.of_refinement(strip, steps, refined, fate, params),
    ]
    keypoint, place, n_merged = None, None, 0
    if fate == KEPT:
        rows = found.refined[found.group_of(chosen.row, params.merge_distance)]
        n_merged = len(rows)
        said.append(verdicts.of_group(n_merged, verdicts.spread_of(rows), params))
        mean, _ = merge_duplicates(rows, params.merge_distance, math.inf)
        if len(mean):
            keypoint, place = _placed(strip, mean, params)
            said += verdicts.of_place(place, _border(strip, keypoint, params), strip, params)
    histogram, descriptions = None, list[Description]()
    if keypoint is not None and all(verdict.passed for verdict in said):
        rows_of_it = _rows_of(scene.features, keypoint)
        said += _allowed(scene, keypoint)
        if all(verdict.passed for verdict in said):
            said.append(_budget(scene, keypoint, len(rows_of_it)))
        histogram, descriptions = _frames(strip, keypoint, scene, rows_of_it, threads)
    return View(
        grey=scene.picture.grey,
        params=params,
        candidate=candidate,
        distance=chosen.distance,
        steps=steps,
        verdicts=said,
        place=place,
        n_merged=n_merged,
        histogram=histogram,
        descriptions=descriptions,
        surroundings=_surroundings(strip, index),
        shown=_nearest_angle([d.orientation for d in descriptions], orientation),
    )


def _refined(
    strip: Strip, index: NDArray[np.int32], params: SiftParams, threads: Threads
) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """The steps of a candidate's refinement, where it ended, and what became of it."""
    trace = np.full((1, MOST_STEPS, len(STEP_COLUMNS)), np.nan)
    refined = refine_each(strip, np.ascontiguousarray(index[None]), params, threads, trace)
    n_steps = np.count_nonzero(np.isfinite(trace[0, :, 0]))
    return trace[0, :n_steps], refined.places[0], int(refined.fate[0])


def _needed(strip: Strip, index: NDArray[np.int32], params: SiftParams) -> float:
    """The |DoG| that a sample of this level needs."""
    return float(least_samples(strip, params)[index[0] - 1])


def _candidate(strip: Strip, index: NDArray[np.int32]) -> Candidate:
    level, row, column = index.tolist()
    x, y = strip.to_input(np.array([[column, row]], float))[0].tolist()
    sigma = float(strip.sigma_of(np.array(float(level))))
    value = float(strip.unpadded[level + 1, row, column] - strip.unpadded[level, row, column])
    return Candidate(strip.number, level, row, column, (x, y), sigma, value)


def _placed(strip: Strip, mean: NDArray[np.float64], params: SiftParams) -> tuple[Keypoints, Place]:
    keypoint, stability = scored(strip, mean, params)
    x, y = keypoint.xy[0].tolist()
    u, v, level, value, roundness, _ = mean[0].tolist()
    place = Place(
        (x, y),
        float(keypoint.sigma[0]),
        (u, v, level),
        value,
        roundness,
        float(keypoint.response[0]),
        float(stability[0]),
    )
    return keypoint, place


def _border(strip: Strip, keypoint: Keypoints, params: SiftParams) -> float:
    return float(border_factor(strip.distance_to_border(keypoint.xy), keypoint.sigma, params)[0])


def _allowed(scene: Scene, keypoint: Keypoints) -> list[Verdict]:
    unmasked = room = None
    if scene.mask is not None and (test := allowance(scene.mask, None, scene.params)):
        unmasked = bool(test(keypoint)[0])
    if scene.picture.left_out is not None:
        distance = float(least_around(keypoint.xy, distance_to(scene.picture.left_out))[0])
        room = distance, float(descriptor_radius(scene.params) * keypoint.sigma[0])
    return list(verdicts.of_allowance(unmasked, room))


def _budget(scene: Scene, keypoint: Keypoints, n_rows: int) -> Verdict:
    """The keypoint's place among all those that are allowed."""
    room = None if scene.picture.left_out is None else distance_to(scene.picture.left_out)
    every = Keypoints.concatenate([found.keypoints for found in scene.octaves])
    if (test := allowance(scene.mask, room, scene.params)) is not None:
        every = every.select(test(every))
    columns = {
        "xy": every.xy.astype(np.float32),
        "scale": every.sigma.astype(np.float32),
        "response": every.response,
    }
    rows, _ = rank(columns, scene.params, (scene.picture.grey.shape[1], scene.picture.grey.shape[0]))
    own = np.flatnonzero((every.xy == keypoint.xy).all(axis=1) & (every.sigma == keypoint.sigma))[0]
    return verdicts.of_budget(1 + int(np.flatnonzero(rows == own)[0]), len(every), n_rows, scene.params)


def _rows_of(features: Features, keypoint: Keypoints) -> NDArray[np.intp]:
    """The rows of the output that a keypoint has."""
    same = (features.xy == keypoint.xy.astype(np.float32)).all(axis=1)
    return np.flatnonzero(same & (features.scale == keypoint.sigma.astype(np.float32)[0]))


def _frames(
    strip: Strip, keypoint: Keypoints, scene: Scene, rows: NDArray[np.intp], threads: Threads
) -> tuple[Histogram | None, list[Description]]:
    """The orientations of a keypoint, what they come from, and the descriptor of each."""
    params = scene.params
    sigma = float(keypoint.sigma[0] / strip.step)
    oriented = OrientationTrace.room_for(1, params, sigma)
    which, angles = assign_orientations(strip, keypoint, params, threads, oriented)
    columns = frames_of(keypoint, which, angles)
    frames = columns["xy"], columns["scale"], columns["orientation"]
    trace = DescriptorTrace.room_for(len(which), params)
    stored = describe_frames(strip, *frames, params, threads, trace)
    level = int(strip.nearest_level(keypoint.sigma)[0])
    of_angle = {float(scene.features.orientation[row]): int(row) for row in rows}
    descriptions = [
        _description(trace, n, of_angle.get(float(angle)), float(angle), level, stored[n])
        for n, angle in enumerate(columns["orientation"])
    ]
    if params.upright:
        return None, descriptions
    reach = params.orientation_window * params.orientation_radius * sigma
    x, y = strip.to_samples(keypoint.xy)[0].tolist()
    origin = first_sample(x, reach), first_sample(y, reach)
    histogram = Histogram(
        level,
        oriented.histograms[0],
        oriented.smoothed[0],
        params.peak_ratio,
        oriented.fields[0],
        origin,
        reach,
    )
    return histogram, descriptions


def _description(
    trace: DescriptorTrace, n: int, row: int | None, orientation: float, level: int, stored: NDArray[np.uint8]
) -> Description:
    """One frame; with domain-size pooling the patch is that of the middle size."""
    patch, magnitudes, directions = trace.grids[n, trace.grids.shape[1] // 2]
    square = patch.reshape(GRID + 2, LINE)[:, : GRID + 2]
    u, v = (grid[: GRID * LINE].reshape(GRID, LINE)[:, :GRID] for grid in (magnitudes, directions))
    sums, unit, clipped, scaled = trace.vectors[n].reshape(4, DESCRIPTOR_LENGTH)
    return Description(row, orientation, level, square, u, v, sums, unit, clipped, scaled, stored)


def _surroundings(strip: Strip, index: NDArray[np.int32]) -> Surroundings:
    """All levels around a candidate, cut at the octave's border."""
    level, row, column = index.tolist()
    reach = _AROUND + math.ceil(2 * strip.sigma * 2 ** (level / strip.n_scales))
    top, left = max(0, row - reach), max(0, column - reach)
    levels = strip.unpadded[:, top : row + reach + 1, left : column + reach + 1].copy()
    return Surroundings(left, top, levels, strip.step, strip.origin)


def _nearest_angle(angles: Sequence[float], wanted: float | None) -> int:
    """Which of some angles, in radians, is nearest to one; the first when none is wanted."""
    if wanted is None or not angles:
        return 0
    return int(np.argmin([abs(math.remainder(angle - wanted, 2 * math.pi)) for angle in angles]))
