"""SIFT on one page: a verb a stage. Everything else that needs SIFT calls this.

An image becomes Gaussian octaves, worked in strips; these give extrema of the difference of
Gaussians, these are refined to keypoints, each keypoint gets one or more
orientations and each of these frames a descriptor.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..features import DESCRIPTOR_LENGTH, Features
from ..kernels.threads import Threads
from ..params import SiftParams
from .descriptor import describe_frames, reach_of_descriptor
from .duplicates import NONE_CARRIED
from .extrema import find_extrema
from .least_squares import REACH
from .noise import params_for
from .orientation import assign_orientations, reach_of_histogram
from .refinement import Keypoints, reach_of_refinement, refine
from .scale_space import Strip, gaussian_strips, octaves_of, strip_shape
from .selection import rank, strongest_first

OrientationStage = Callable[
    [Strip, Keypoints, SiftParams, Threads], tuple[NDArray[np.intp], NDArray[np.float64]]
]
"""Keypoints of a strip to the keypoint and the angle of each frame."""

Frames = dict[str, NDArray[Any]]
"""Columns of :class:`Features`, and ``keypoint``, the row of each frame's keypoint among those it is of."""

_Part = TypeVar("_Part")
"""What is kept of a strip: its frames, or its keypoints."""

NONE_ADMITTED: NDArray[np.floating] = np.empty(0)
"""The responses of no keypoint."""


def detect(
    image: NDArray[np.float32],
    params: SiftParams,
    *,
    mask: NDArray[np.bool_] | None = None,
    threads: int | None = None,
    with_descriptors: bool = True,
) -> Features:
    """Find the features of a grey image.

    Parameters
    ----------
    image
        (H, W) float32, C-contiguous, grey values in [0, 1].
    params
        All parameters.
    mask
        (H, W) bool; keypoints whose centre falls on False are dropped.
    threads
        Threads to use; all cores when not given. The result does not depend on it.
    with_descriptors
        Whether frames are described; if not, their descriptors are zero.

    Returns
    -------
    Features
        Strongest first, at most ``params.max_features``.
    """
    adapted = params_for(image, params)
    size = image.shape[1], image.shape[0]
    with Threads(threads) as pool:
        strips = partial(gaussian_strips, image, adapted, pool, reach=_reach(adapted))
        found_in = partial(_detect_in_octaves, params=adapted, mask=mask, pool=pool)
        finish = partial(_described_frames, params=adapted, pool=pool, with_descriptors=with_descriptors)
        if params.selection == "strongest" or params.max_features is None:
            parts, counts = _gathered(found_in(strips(), finish))
            frames = _joined(parts)
            rows, frames["response"] = rank(frames, params, size)
        else:
            keypoints, counts = _gathered(found_in(strips(), _left_as_they_are))
            frames, rows = _frames_of_wanted(strips(), Keypoints.concatenate(keypoints), finish, params, size)
    counts["over_limit"] -= min(counts["over_limit"], params.max_features or counts["over_limit"])
    del frames["keypoint"]
    kept: dict[str, Any] = {name: column[rows[: params.max_features]] for name, column in frames.items()}
    return Features(
        **kept,
        descriptor_kind=_descriptor_kind(params),
        image_size=size,
        params=params,
        removed=dict(counts),
    )


def _gathered(found: Sequence[tuple[_Part, dict[str, int]]]) -> tuple[list[_Part], Counter[str]]:
    """What was found in all strips, and the sums of their counts."""
    counts = Counter(candidates=0)
    for _, counts_of_strip in found:
        counts.update(counts_of_strip)
    return [part for part, _ in found], counts


def _joined(parts: Sequence[Frames]) -> Frames:
    return {name: np.concatenate([part[name] for part in (_no_frames(), *parts)]) for name in _no_frames()}


def _frames_of_wanted(
    octaves: Iterator[Generator[Strip, None, None]],
    keypoints: Keypoints,
    finish: Callable[[Strip, Keypoints], Frames],
    params: SiftParams,
    size: tuple[int, int],
) -> tuple[Frames, NDArray[np.intp]]:
    """The frames of the keypoints that are wanted first, and the rows of those kept, strongest first.

    Which are wanted is known only when all keypoints are. So the strips are made once more, and little is
    given an orientation and a descriptor that is not kept.
    """
    columns = {"xy": keypoints.xy.astype(np.float32), "scale": keypoints.sigma.astype(np.float32)}
    rows, response = rank({**columns, "response": keypoints.response}, params, size)
    rows = rows[: params.max_features]
    wanted = replace(keypoints, response=response).select(rows)
    parts = []
    for strip in chain.from_iterable(octaves):
        here = np.flatnonzero((wanted.octave == strip.number) & strip.holds(wanted.xy))
        if len(here):
            frames = finish(strip, wanted.select(here))
            parts.append({**frames, "keypoint": here[frames["keypoint"]]})
    frames = _joined(parts)
    # Of the last keypoint only some orientations may have room.
    kept = np.argsort(frames["keypoint"], kind="stable")[: params.max_features]
    return frames, kept[strongest_first({name: column[kept] for name, column in frames.items()})]


def _detect_in_octaves(
    octaves: Iterator[Generator[Strip, None, None]],
    finish: Callable[[Strip, Keypoints], _Part],
    params: SiftParams,
    mask: NDArray[np.bool_] | None,
    pool: Threads,
) -> list[tuple[_Part, dict[str, int]]]:
    """What becomes of the keypoints of each strip of the next octave and of all after it.

    With it comes how many candidates each filter removed.
    """
    strips = next(octaves, None)
    if strips is None:
        return []
    found, carried, strongest = [], NONE_CARRIED, NONE_ADMITTED
    coarser: Callable[[], list[tuple[_Part, dict[str, int]]]] = partial(
        _detect_in_octaves, octaves, finish, params, mask, pool
    )
    with closing(strips):
        for strip in strips:
            if strip.is_whole:  # so small that sharing out its stages alone would leave threads idle
                coarser = pool.beside(coarser)
            candidates = find_extrema(strip, params, pool)
            keypoints, removed, carried = refine(strip, candidates, params, pool, carried)
            allowed = keypoints if mask is None else keypoints.select(_is_allowed(keypoints.xy, mask))
            admitted, strongest = _admit(allowed, strongest, params)
            removed |= {"masked": len(keypoints) - len(allowed), "over_limit": len(allowed)}
            found.append((finish(strip, admitted), {"candidates": len(candidates), **removed}))
    return found + coarser()


def _described_frames(
    strip: Strip, keypoints: Keypoints, *, params: SiftParams, pool: Threads, with_descriptors: bool
) -> Frames:
    frames = _assign_frames(strip, keypoints, params, pool)
    describe_them = _describe_frames if with_descriptors else _leave_undescribed
    frames["descriptors"] = describe_them(strip, frames, params, pool)
    return frames


def _left_as_they_are(_strip: Strip, keypoints: Keypoints) -> Keypoints:
    return keypoints


def describe(
    image: NDArray[np.float32], features: Features, params: SiftParams, *, threads: int | None = None
) -> Features:
    """Compute the descriptors of given frames; those of ``detect`` get the same bytes again.

    Parameters
    ----------
    image
        (H, W) float32, C-contiguous, grey values in [0, 1].
    features
        Positions, scales, orientations and octaves; an octave the image does not have is
        replaced by the nearest one.
    params
        Scale space and descriptor parameters.
    threads
        As for :func:`detect`.

    Returns
    -------
    Features
        The same rows with new descriptors.
    """
    descriptors = np.zeros((len(features), DESCRIPTOR_LENGTH), np.uint8)
    existing = octaves_of(image.shape, params)
    frames = {name: getattr(features, name) for name in ("xy", "scale", "orientation")}
    with Threads(threads) as pool:
        numbers = np.clip(features.octave, existing[0].number, existing[-1].number) if existing else None
        octaves = gaussian_strips(image, params, pool, reach=_reach_of(features, numbers, params))
        for strip in chain.from_iterable(octaves):
            here = np.flatnonzero((numbers == strip.number) & strip.holds(features.xy))
            of_strip = {name: column[here] for name, column in frames.items()}
            descriptors[here] = _describe_frames(strip, of_strip, params, pool)
    return replace(features, descriptors=descriptors, descriptor_kind=_descriptor_kind(params), params=params)


def working_bytes(shape: tuple[int, ...], params: SiftParams) -> int:
    """Estimate what :func:`detect` holds at once: the image, and a strip and the half of two octaves."""
    finest = octaves_of(shape, params.override(first_octave=min(params.first_octave, 0)))[:2]
    strips = [math.prod(strip_shape(octave, _reach(params))) for octave in finest]
    n_samples = math.prod(shape) + sum(strips) + sum(math.prod(octave.shape) // 4 for octave in finest)
    return n_samples * np.dtype(np.float32).itemsize


def _reach(params: SiftParams) -> int:
    """Rows around a strip that its keypoints depend on."""
    sigma = params.sigma * 2 ** ((params.levels_per_octave + params.max_offset) / params.levels_per_octave)
    reach = max(_orientation_stage(params)[1], reach_of_descriptor(params)) * sigma
    return math.ceil(reach + 2 * reach_of_refinement(params)) + REACH + 1


def _reach_of(features: Features, octave: NDArray[np.int16] | None, params: SiftParams) -> int:
    """Rows around a strip that the descriptors of given frames depend on."""
    if octave is None or len(features) == 0:
        return 0
    sigma = np.nanmax(features.scale / np.exp2(octave.astype(np.float64)))
    # More rows than the finest octave has are of no use, whatever σ is given.
    return math.ceil(min(reach_of_descriptor(params) * float(sigma), 2.0 * features.image_size[1])) + 2


def _no_frames() -> Frames:
    """The columns that the pipeline fills, without a row."""
    return {
        "xy": np.empty((0, 2), np.float32),
        "scale": np.empty(0, np.float32),
        "orientation": np.empty(0, np.float32),
        "response": np.empty(0, np.float32),
        "sign": np.empty(0, np.int8),
        "octave": np.empty(0, np.int16),
        "descriptors": np.empty((0, DESCRIPTOR_LENGTH), np.uint8),
        "keypoint": np.empty(0, np.intp),
    }


def _is_allowed(xy: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a centre falls on an allowed pixel; on the line between two, either will do."""
    x_max, y_max = mask.shape[1] - 1, mask.shape[0] - 1
    x, y = xy.T
    left, right = (np.clip(f, 0, x_max).astype(np.intp) for f in (np.ceil(x - 0.5), np.floor(x + 0.5)))
    top, bottom = (np.clip(f, 0, y_max).astype(np.intp) for f in (np.ceil(y - 0.5), np.floor(y + 0.5)))
    return np.asarray(mask[top, left] | mask[top, right] | mask[bottom, left] | mask[bottom, right])


def _admit(
    keypoints: Keypoints, strongest: NDArray[np.floating], params: SiftParams
) -> tuple[Keypoints, NDArray[np.floating]]:
    """Those that may be among the strongest ``max_features``, and the octave's strongest responses so far.

    Where features are to be spread, any may be wanted.
    """
    if params.max_features is None or params.selection != "strongest":
        return keypoints, strongest
    response = keypoints.response
    strongest = np.concatenate((strongest, response))
    n_weaker = len(strongest) - params.max_features
    if n_weaker <= 0:
        return keypoints, strongest
    strongest = np.partition(strongest, n_weaker)[n_weaker:]
    return keypoints.select(response >= strongest[0]), strongest


def _assign_frames(strip: Strip, keypoints: Keypoints, params: SiftParams, pool: Threads) -> Frames:
    """Frames in the order of their keypoints, as columns of :class:`Features`."""
    rows, orientation = _orientation_stage(params)[0](strip, keypoints, params, pool)
    of_frame = keypoints.select(rows)
    return {
        "xy": of_frame.xy.astype(np.float32),
        "scale": of_frame.sigma.astype(np.float32),
        "orientation": _below_full_turn(orientation),
        "response": of_frame.response,
        # A value that was refined to exactly 0 is of neither sign; files know only two.
        "sign": np.where(of_frame.value < 0, -1, 1).astype(np.int8),
        "octave": of_frame.octave,
        "keypoint": rows,
    }


def _orientation_stage(params: SiftParams) -> tuple[OrientationStage, float]:
    """The stage that the parameters choose, and its reach in units of σ; the network is imported late."""
    if params.orientation == "learned":
        from ..learned import orientation as learned

        return learned.assign_orientations, learned.REACH
    return assign_orientations, reach_of_histogram(params)


def _below_full_turn(orientation: NDArray[np.float64]) -> NDArray[np.float32]:
    """Radians in [0, 2π) in single precision, where an angle just below 2π would round up to it."""
    rounded = orientation.astype(np.float32)
    return np.where(rounded >= np.float32(2 * np.pi), np.float32(0), rounded)


def _describe_frames(strip: Strip, frames: Frames, params: SiftParams, pool: Threads) -> NDArray[np.uint8]:
    return describe_frames(strip, frames["xy"], frames["scale"], frames["orientation"], params, pool)


def _leave_undescribed(
    _strip: Strip, frames: Frames, _params: SiftParams, _pool: Threads
) -> NDArray[np.uint8]:
    return np.zeros((len(frames["xy"]), DESCRIPTOR_LENGTH), np.uint8)


def _descriptor_kind(params: SiftParams) -> str:
    return "rootsift" if params.rootsift else "sift"
