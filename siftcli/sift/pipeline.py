"""SIFT on one page, a function call a stage. Everything else that needs SIFT calls this.

An image becomes Gaussian octaves, which are processed in strips. Each strip goes through the stages:
extrema of the difference of Gaussians, their refinement to keypoints, one or more orientations for each
keypoint, which make it frames, and a descriptor for each frame. If only some are wanted, spread over the
image, they are chosen among the keypoints of all strips, and only these go through the last two stages.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import replace
from functools import partial
from itertools import chain
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..features import DESCRIPTOR_LENGTH, Features
from ..kernels.threads import Threads
from ..params import SiftParams
from .candidates import MAX_OFFSET
from .descriptor import describe_frames, descriptor_radius
from .duplicates import NONE_CARRIED
from .extrema import find_extrema
from .frame_columns import Frames, concatenated, frames_of, no_frames, select_frames
from .keypoints import Keypoints, OrientationStage
from .local_filters import RADIUS
from .masking import Allowance, allowance
from .noise import params_for
from .octave import Strip, octaves_of
from .refinement import Refined, filtered, refine_each, refinement_halo
from .rows import Grey, RowSource
from .scale_space import gaussian_strips, strips_bytes
from .selection import is_chosen_first, likely_chosen, rank, strongest_first
from .strips import Strips

_Octaves = Iterator[Generator[Strip, None, None]]

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_NONE_ADMITTED: NDArray[np.floating] = np.empty(0)
"""The responses of no keypoint."""
_NO_LEVELS: NDArray[np.float32] = np.empty((0, 0, 0), np.float32)


class _Wanted(NamedTuple):
    """What :func:`detect` was asked for, the same for every strip."""

    params: SiftParams
    size: tuple[int, int]
    """(width, height) of the image."""
    orientation: OrientationStage
    allowance: Allowance | None
    with_descriptors: bool
    pool: Threads
    open_strips: ExitStack
    """Closes the octaves, and so gives back the memory of those that are one strip."""


class _Found(NamedTuple):
    """What was found in a strip of a large octave, or in all octaves that are one strip each."""

    strips: list[Strip]
    """Whole ones still have their levels."""
    keypoints: Keypoints
    frames: Frames
    """Those of the keypoints that were described before others were chosen."""
    counts: dict[str, int]
    """The number of candidates and how many of them each filter removed."""


def detect(
    image: Grey,
    params: SiftParams,
    orientation: OrientationStage,
    *,
    mask: NDArray[np.bool_] | None = None,
    room: NDArray[np.float32] | None = None,
    threads: int | None = None,
    with_descriptors: bool = True,
    about: Mapping[str, Any] = _NOTHING,
) -> Features:
    """Find the features of a grey image.

    Parameters
    ----------
    image
        (H, W) float32, C-contiguous, grey values in [0, 1]; or their rows, which are then read two or three
        times: for the noise, to find keypoints, and, where there are many, to describe those that are chosen.
    params
        All parameters.
    orientation
        The stage that assigns orientations.
    mask
        (H, W) bool; keypoints whose centre falls on False are dropped.
    room
        (H, W) distance, in pixels, to the nearest pixel without a value; keypoints whose descriptor
        reaches that far are dropped.
    threads
        Threads to use; all cores when not given. The result does not depend on it.
    with_descriptors
        Whether frames are described; if not, their descriptors are zero.
    about
        Further fields of the features: the name of the image, its EXIF orientation, or the parameters to
        record where they are not ``params``.

    Returns
    -------
    Features
        Strongest first, at most ``params.max_features``.
    """
    size = image.shape[1], image.shape[0]
    with ExitStack() as open_strips, Threads(threads) as pool:  # closed when no thread is in them
        adapted = params_for(image, params, pool)
        octaves = partial(gaussian_strips, image, adapted, pool, halo=strip_halo(adapted, orientation))
        allowed = allowance(mask, room, adapted)
        wanted = _Wanted(adapted, size, orientation, allowed, with_descriptors, pool, open_strips)
        found = _find_in_octaves(octaves(), wanted)
        frames = _frames_of_chosen(found, octaves, wanted)
    # Of the last keypoint perhaps not all orientations.
    kept = np.argsort(frames["keypoint"], kind="stable")[: params.max_features]
    if params.selection == "even":  # the others are chosen strongest first
        kept = kept[strongest_first(select_frames(frames, kept))]
    fields: dict[str, Any] = select_frames(frames, kept)
    del fields["keypoint"]
    for column in fields.values():
        column.flags.writeable = False  # features keep an array that cannot change as it is
    counts = Counter(candidates=0)
    for f in found:
        counts.update(f.counts)
    counts["over_limit"] -= min(counts["over_limit"], params.max_features or counts["over_limit"])
    fields |= {
        "descriptor_kind": _descriptor_kind(params),
        "image_size": size,
        "params": params,
        "removed": dict(counts),
    }
    return Features(**{**fields, **about})


def _find_in_octaves(octaves: _Octaves, wanted: _Wanted) -> list[_Found]:
    """What is found in each strip of the large octaves, and in all others together.

    Python comes last: what it needs, kernels drive out of the caches.
    """
    found, refined = _look_into_octaves(octaves, wanted)
    if refined:
        found_here, _, _ = _find_in_strips(refined, NONE_CARRIED, _NONE_ADMITTED, wanted)
        found.append(found_here)
    return found


def _look_into_octaves(octaves: _Octaves, wanted: _Wanted) -> tuple[list[_Found], list[Refined]]:
    """What is found in the strips of large octaves, and the refined candidates of each whole one."""
    strips = next(octaves, None)
    if strips is None:
        return [], []
    found: dict[int, list[_Found]] = {}
    before: dict[int, tuple[NDArray[np.float64], NDArray[np.floating]]] = {}
    coarser = partial(_look_into_octaves, octaves, wanted)
    wanted.open_strips.callback(_close, strips)
    for strip in strips:
        if strip.is_whole:  # so small that sharing out its stages alone would leave threads idle
            of_coarser = wanted.pool.submit(coarser)
            refined = _refine(strip, wanted)
            return [], [refined, *of_coarser()[1]]  # without asking for the next, so that the levels stay
        carried, strongest = before.get(strip.number, (NONE_CARRIED, _NONE_ADMITTED))
        found_here, carried, strongest = _find_in_strips([_refine(strip, wanted)], carried, strongest, wanted)
        before[strip.number] = carried, strongest
        found.setdefault(strip.number, []).append(found_here)
    return [f for number in sorted(found) for f in found[number]], coarser()[1]


def _close(strips: Generator[Strip, None, None]) -> None:
    """Give back the memory of an octave, unless a thread, which an interrupt leaves behind, is in it."""
    with suppress(ValueError):
        strips.close()


def _refine(strip: Strip, wanted: _Wanted) -> Refined:
    candidates = find_extrema(strip, wanted.params, wanted.pool)
    return refine_each(strip, candidates, wanted.params, wanted.pool)


def _find_in_strips(
    refined: list[Refined], carried: NDArray[np.float64], strongest: NDArray[np.floating], wanted: _Wanted
) -> tuple[_Found, NDArray[np.float64], NDArray[np.floating]]:
    """Find the keypoints of a strip and, if it will not stay, the frames of those likely to be wanted.

    Also returns what the next strip of the octave needs: refined candidates to be merged with its own, and
    the strongest responses so far. Or find those of several whole octaves.
    """
    strips, params = [r.strip for r in refined], wanted.params
    keypoints, removed, carried = filtered(refined, params, carried)
    allowed = keypoints if wanted.allowance is None else keypoints.select(wanted.allowance(keypoints))
    admitted, strongest = _admit(allowed, strongest, params)
    frames = no_frames()
    if not strips[0].is_whole:
        likely = likely_chosen(strips[0], _columns(admitted), params, wanted.size)
        frames = _frames(strips, admitted, likely, wanted)
        strips = [replace(strips[0], levels=_NO_LEVELS)]  # which would hold their memory
    removed |= {"masked": len(keypoints) - len(allowed), "over_limit": len(allowed)}
    counts = {"candidates": sum(len(r.fate) for r in refined), **removed}
    return _Found(strips, admitted, frames, counts), carried, strongest


def _frames_of_chosen(found: list[_Found], octaves: Callable[..., _Octaves], wanted: _Wanted) -> Frames:
    """The frames of the keypoints that are wanted most, with the response by which they were chosen.

    Some are there. Whole octaves still have their levels; strips of larger ones may have to be made again.
    """
    chosen, number = _chosen(Keypoints.concatenate([f.keypoints for f in found]), wanted.params, wanted.size)
    parts = _described_at_once(found, chosen, number)
    is_open = np.ones(len(chosen), bool)
    for part in parts:
        is_open[part["keypoint"]] = False

    def open_rows(of_strips: NDArray[np.bool_]) -> NDArray[np.intp]:
        rows = np.flatnonzero(is_open & of_strips)
        return rows[np.lexsort((chosen.xy[rows, 1], chosen.octave[rows]))]  # neighbours share what is cached

    whole = [strip for f in found for strip in f.strips if strip.is_whole]
    is_large = chosen.octave < whole[0].number if whole else np.ones(len(chosen), bool)
    if (is_open & is_large).any():
        with closing(next(octaves(only_described=not wanted.params.dsp))) as again:
            for strip in again:
                rows = open_rows((chosen.octave == strip.number) & strip.contains(chosen.xy))
                parts.append(_frames([strip], chosen, rows, wanted, parts))
    parts.append(_frames(whole, chosen, open_rows(~is_large), wanted, parts))
    return concatenated(parts)


def _frames(
    strips: list[Strip],
    keypoints: Keypoints,
    rows: NDArray[np.intp],
    wanted: _Wanted,
    others: list[Frames] | None = None,
) -> Frames:
    """The frames of some rows of the keypoints, of a strip or of whole octaves, finest first.

    Of keypoints in the order in which they are wanted, only those that are wanted beside ``others``, the
    frames that are there.
    """
    if len(rows) == 0:
        return no_frames()
    params, pool = wanted.params, wanted.pool
    together = Strips(strips, keypoints.octave[rows].astype(np.int64) - strips[0].number)
    of_frame, angles = wanted.orientation.assign(together, keypoints.select(rows), params, pool)
    frames, together = frames_of(keypoints, rows[of_frame], angles), together.select(of_frame)
    if others is not None:
        kept = frames["keypoint"] <= _last_wanted([*others, frames], params.max_features)
        frames, together = select_frames(frames, kept), together.select(kept)
    if wanted.with_descriptors:
        return {**frames, "descriptors": _describe(together, frames, params, pool)}
    return {**frames, "descriptors": np.zeros((len(frames["xy"]), DESCRIPTOR_LENGTH), np.uint8)}


def _last_wanted(parts: list[Frames], n: int | None) -> int | float:
    """The last keypoint of the first ``n`` frames, in the order of the numbers of their keypoints."""
    numbers = np.concatenate([np.empty(0, np.intp), *(part["keypoint"] for part in parts)])
    return math.inf if n is None or len(numbers) <= n else int(np.partition(numbers, n - 1)[n - 1])


def _chosen(
    keypoints: Keypoints, params: SiftParams, image_size: tuple[int, int]
) -> tuple[Keypoints, NDArray[np.intp]]:
    """The keypoints that are wanted most, with the response by which they were chosen.

    Also returns the number of each of the N keypoints among the chosen, (N,), -1 for the others.
    """
    rows, response = rank(_columns(keypoints), params, image_size)
    rows = rows[: params.max_features]
    number = np.full(len(keypoints), -1)
    number[rows] = np.arange(len(rows))
    return replace(keypoints, response=response).select(rows), number


def _columns(keypoints: Keypoints) -> Frames:
    """What keypoints are ranked by."""
    xy, scale = keypoints.xy.astype(np.float32), keypoints.sigma.astype(np.float32)
    return {"xy": xy, "scale": scale, "response": keypoints.response}


def _described_at_once(found: list[_Found], chosen: Keypoints, number: NDArray[np.intp]) -> list[Frames]:
    """The frames of chosen keypoints that are there; ``number`` is as of :func:`_chosen`."""
    parts, first = [], 0
    for f in found:
        numbers = number[first + f.frames["keypoint"]]
        kept = select_frames(f.frames, numbers >= 0)
        numbers = numbers[numbers >= 0]
        parts.append({**kept, "response": chosen.response[numbers], "keypoint": numbers})
        first += len(f.keypoints)
    return parts


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
        halo = _halo_of(features, numbers, params)
        octaves = gaussian_strips(image, params, pool, halo=halo, only_described=not params.dsp)
        for strip in chain.from_iterable(octaves):
            here = np.flatnonzero((numbers == strip.number) & strip.contains(features.xy))
            of_strip = select_frames(frames, here)
            descriptors[here] = _describe(strip, of_strip, params, pool)
    return replace(features, descriptors=descriptors, descriptor_kind=_descriptor_kind(params), params=params)


def working_bytes(
    shape: tuple[int, int], params: SiftParams, orientation: OrientationStage, rows: RowSource | None = None
) -> int:
    """Estimate what :func:`detect` holds at once: the image, or what reading its rows takes, and strips."""
    n_bytes = math.prod(shape) * np.dtype(np.float32).itemsize if rows is None else rows.working_bytes
    return n_bytes + strips_bytes(shape, params, strip_halo(params, orientation))


def strip_halo(params: SiftParams, orientation: OrientationStage) -> int:
    """Rows around a strip that its features depend on."""
    sigma = params.sigma * 2 ** ((params.levels_per_octave + MAX_OFFSET) / params.levels_per_octave)
    radius = max(orientation.radius, descriptor_radius(params)) * sigma
    return math.ceil(radius + 2 * refinement_halo(params)) + RADIUS + 1


def _halo_of(features: Features, octave: NDArray[np.int16] | None, params: SiftParams) -> int:
    """Rows around a strip that the descriptors of given frames depend on."""
    if octave is None or len(features) == 0:
        return 0
    sigma = np.nanmax(features.scale / np.exp2(octave.astype(np.float64)))
    # More rows than the finest octave has are of no use, however large σ is.
    return math.ceil(min(descriptor_radius(params) * float(sigma), 2.0 * features.image_size[1])) + 2


def _admit(
    keypoints: Keypoints, strongest: NDArray[np.floating], params: SiftParams
) -> tuple[Keypoints, NDArray[np.floating]]:
    """Those that may be among the strongest ``max_features``, and the octave's strongest responses so far.

    When they are spread over the image, any may be wanted.
    """
    if params.max_features is None or is_chosen_first(params):
        return keypoints, strongest
    response = keypoints.response
    strongest = np.concatenate((strongest, response))
    n_weaker = len(strongest) - params.max_features
    if n_weaker <= 0:
        return keypoints, strongest
    strongest = np.partition(strongest, n_weaker)[n_weaker:]
    return keypoints.select(response >= strongest[0]), strongest


def _describe(strip: Strip | Strips, frames: Frames, params: SiftParams, pool: Threads) -> NDArray[np.uint8]:
    return describe_frames(strip, frames["xy"], frames["scale"], frames["orientation"], params, pool)


def _descriptor_kind(params: SiftParams) -> str:
    return "rootsift" if params.rootsift else "sift"
