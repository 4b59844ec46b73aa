"""Convert the arrays of other implementations to :class:`~siftcli.features.Features`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._cv2 import SIZE_IN_SIGMAS, unpacked_octaves
from ..features import DESCRIPTOR_LENGTH, Features
from .base import Grey

REVERSED_BINS = np.arange(0, -8, -1) % 8
"""Reorders descriptor bins that run in the opposite direction."""


def features_of(
    grey: Grey,
    *,
    xy: NDArray[Any],
    scale: NDArray[Any],
    orientation: NDArray[Any],
    descriptors: NDArray[Any],
    response: NDArray[Any] | None = None,
    octave: NDArray[Any] | None = None,
    descriptor_kind: str = "sift",
) -> Features:
    """Features from N rows of arrays, sorted by response.

    The sign is unknown, and set to 0; so is the response if there is none. Angles are in radians from +x
    towards +y, and are reduced to [0, 2π).
    """
    strength: NDArray[Any] = np.zeros(len(xy)) if response is None else response
    level: NDArray[Any] = _octave_of(scale) if octave is None else octave
    order = np.lexsort((xy[:, 0], xy[:, 1], scale, -strength))
    full_circle = np.float32(2 * np.pi)
    angle = np.mod(orientation, 2 * np.pi).astype(np.float32)
    return Features(
        xy=xy[order],
        scale=scale[order],
        orientation=np.where(angle >= full_circle, 0, angle)[order],
        response=strength[order],
        sign=np.zeros(len(xy), dtype=np.int8),
        octave=level[order],
        descriptors=descriptors[order],
        descriptor_kind=descriptor_kind,
        image_size=(grey.shape[1], grey.shape[0]),
    )


def features_of_opencv(
    grey: Grey, rows: Sequence[tuple[float, ...]], descriptors: NDArray[Any] | None
) -> Features:
    """Features from OpenCV's keypoints: x, y, diameter, angle in degrees, response and packed octave each.

    No descriptors mean no keypoints.
    """
    x, y, size, angle, response, packed = np.array(rows, dtype=np.float64).reshape(-1, 6).T
    return features_of(
        grey,
        xy=np.column_stack([x, y]),
        scale=size / SIZE_IN_SIGMAS,
        orientation=np.deg2rad(angle),
        response=response,
        octave=unpacked_octaves(packed),
        descriptors=np.zeros((0, DESCRIPTOR_LENGTH)) if descriptors is None else descriptors,
    )


def no_features(grey: Grey) -> Features:
    """An empty set of features, which is a valid result."""
    empty = np.zeros(0)
    return features_of(
        grey,
        xy=np.zeros((0, 2)),
        scale=empty,
        orientation=empty,
        descriptors=np.zeros((0, DESCRIPTOR_LENGTH)),
    )


def _octave_of(scale: NDArray[Any]) -> NDArray[np.int64]:
    """The octave of each scale, for a detector that does not report it (σ₀ = 1.6)."""
    return np.asarray(np.floor(np.log2(np.maximum(scale, 0.8) / 1.6)).astype(np.int64))
