"""SIFT on one page: a verb a stage. Everything else that needs SIFT calls this.

An image becomes Gaussian octaves, these give extrema of the difference of
Gaussians, these are refined to keypoints, each keypoint gets one or more
orientations and each of these frames a descriptor.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..features import DESCRIPTOR_LENGTH, Features
from ..params import SiftParams
from ._threads import Threads
from .descriptor import describe_frames
from .extrema import find_extrema
from .keypoints import Keypoints, refine
from .orientation import assign_orientations
from .scalespace import Octave, gaussian_octaves

OrientationStage = Callable[
    [Octave, Keypoints, SiftParams, Threads], tuple[NDArray[np.intp], NDArray[np.float64]]
]
"""Keypoints of an octave to the keypoint and the angle of each frame."""


def detect(
    image: NDArray[np.float32],
    params: SiftParams,
    *,
    mask: NDArray[np.bool_] | None = None,
    threads: int | None = None,
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

    Returns
    -------
    Features
        Strongest first, at most ``params.max_features``.
    """
    with Threads(threads) as pool:
        octaves = list(gaussian_octaves(image, params, pool))
        found, removed = _find_keypoints(octaves, params, pool)
        allowed = found if mask is None else found.select(_is_allowed(found.xy, mask))
        strongest = allowed.select(_order(allowed, params)[: params.max_features])
        removed |= {"masked": len(found) - len(allowed), "over_limit": len(allowed) - len(strongest)}
        frames = _assign_frames(octaves, strongest, params, pool)
        features = Features(
            **frames,
            descriptors=np.zeros((len(frames["xy"]), DESCRIPTOR_LENGTH), np.uint8),
            image_size=(image.shape[1], image.shape[0]),
            params=params,
            removed=removed,
        )
        return _describe(octaves, features.select(slice(params.max_features)), params, pool)


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
    with Threads(threads) as pool:
        return _describe(list(gaussian_octaves(image, params, pool)), features, params, pool)


def _find_keypoints(
    octaves: list[Octave], params: SiftParams, pool: Threads
) -> tuple[Keypoints, dict[str, int]]:
    """The keypoints of all octaves, and how many candidates there were and each filter removed."""
    parts, counts = [], Counter(candidates=0)
    for octave in octaves:
        candidates = find_extrema(octave, params, pool)
        keypoints, removed = refine(octave, candidates, params, pool)
        parts.append(keypoints)
        counts.update(candidates=len(candidates), **removed)
    return Keypoints.concatenate(parts), dict(counts)


def _is_allowed(xy: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether a centre falls on an allowed pixel; on the line between two, either will do."""
    x_max, y_max = mask.shape[1] - 1, mask.shape[0] - 1
    x, y = xy.T
    left, right = (np.clip(f, 0, x_max).astype(np.intp) for f in (np.ceil(x - 0.5), np.floor(x + 0.5)))
    top, bottom = (np.clip(f, 0, y_max).astype(np.intp) for f in (np.ceil(y - 0.5), np.floor(y + 0.5)))
    return np.asarray(mask[top, left] | mask[top, right] | mask[bottom, left] | mask[bottom, right])


def _order(keypoints: Keypoints, params: SiftParams) -> NDArray[np.intp]:
    """Rows in the order of the result: strongest first, ties by scale, then y, then x, as stored."""
    (x, y), scale = keypoints.xy.astype(np.float32).T, keypoints.sigma.astype(np.float32)
    return np.lexsort((x, y, scale, -_response(keypoints, params)))


def _response(keypoints: Keypoints, params: SiftParams) -> NDArray[np.float32]:
    """|DoG|·σ^p: the power makes a large structure count for more than a small one of the same contrast."""
    response = np.abs(keypoints.value) * keypoints.sigma**params.response_power
    return response.astype(np.float32)


def _assign_frames(
    octaves: list[Octave], keypoints: Keypoints, params: SiftParams, pool: Threads
) -> dict[str, Any]:
    """Frames in the order of their keypoints, as columns of :class:`Features`."""
    rows, orientation = [np.empty(0, np.intp)], [np.empty(0)]
    assign = _orientation_stage(params)
    for octave in octaves:
        here = np.flatnonzero(keypoints.octave == octave.number)
        of_keypoint, angle = assign(octave, keypoints.select(here), params, pool)
        rows.append(here[of_keypoint])
        orientation.append(angle)
    frame_rows = np.concatenate(rows)
    order = np.argsort(frame_rows, kind="stable")
    of_frame = keypoints.select(frame_rows[order])
    return {
        "xy": of_frame.xy,
        "scale": of_frame.sigma,
        "orientation": _below_full_turn(np.concatenate(orientation)[order]),
        "response": _response(of_frame, params),
        "sign": np.sign(of_frame.value),
        "octave": of_frame.octave,
    }


def _orientation_stage(params: SiftParams) -> OrientationStage:
    """The stage that the parameters choose; the network's is imported when it is used."""
    if params.orientation == "learned":
        from ..learned import orientation as learned

        return learned.assign_orientations
    return assign_orientations


def _below_full_turn(orientation: NDArray[np.float64]) -> NDArray[np.float32]:
    """Radians in [0, 2π) in single precision, where an angle just below 2π would round up to it."""
    rounded = orientation.astype(np.float32)
    return np.where(rounded >= np.float32(2 * np.pi), np.float32(0), rounded)


def _describe(octaves: list[Octave], features: Features, params: SiftParams, pool: Threads) -> Features:
    descriptors = np.zeros((len(features), DESCRIPTOR_LENGTH), np.uint8)
    if octaves:
        octave_of = np.clip(features.octave, octaves[0].number, octaves[-1].number)
        for octave in octaves:
            here = np.flatnonzero(octave_of == octave.number)
            frames = features.xy[here], features.scale[here], features.orientation[here]
            descriptors[here] = describe_frames(octave, *frames, params, pool)
    kind = "rootsift" if params.rootsift else "sift"
    return replace(features, descriptors=descriptors, descriptor_kind=kind, params=params)
