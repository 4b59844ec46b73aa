"""Which keypoints lie where features are wanted: inside a mask, and away from pixels without a value."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..params import SiftParams
from .descriptor import descriptor_radius
from .keypoints import Keypoints

Allowance = Callable[[Keypoints], NDArray[np.bool_]]
"""Whether each keypoint may stay."""


def allowance(
    mask: NDArray[np.bool_] | None, room: NDArray[np.float32] | None, params: SiftParams
) -> Allowance | None:
    """The test that keypoints must pass; None if all of them do.

    Parameters
    ----------
    mask
        (H, W) whether features are wanted at a pixel; a keypoint's centre decides.
    room
        (H, W) distance to the nearest pixel without a value, in pixels; it must be as large as the
        descriptor's reach.
    params
        Those of the descriptor.
    """
    if mask is None and room is None:
        return None
    radius = descriptor_radius(params)

    def is_allowed(keypoints: Keypoints) -> NDArray[np.bool_]:
        allowed = np.ones(len(keypoints), bool)
        if mask is not None:
            allowed &= _is_allowed(keypoints.xy, mask)
        if room is not None:
            allowed &= least_around(keypoints.xy, room) >= radius * keypoints.sigma
        return allowed

    return is_allowed


def least_around(xy: NDArray[np.float64], values: NDArray[np.float32]) -> NDArray[np.float32]:
    """The least value of the pixels around each position; the same in a turned or mirrored image."""
    y_max, x_max = np.subtract(values.shape, 1)
    x, y = xy.T
    left, right = (np.clip(f, 0, x_max).astype(np.intp) for f in (np.floor(x), np.ceil(x)))
    top, bottom = (np.clip(f, 0, y_max).astype(np.intp) for f in (np.floor(y), np.ceil(y)))
    pixels = values[[top, top, bottom, bottom], [left, right, left, right]]
    return np.asarray(pixels.min(axis=0))


def _is_allowed(xy: NDArray[np.float64], mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether each centre falls on an allowed pixel; on the line between two pixels, one is enough."""
    x_max, y_max = mask.shape[1] - 1, mask.shape[0] - 1
    x, y = xy.T
    left, right = (np.clip(f, 0, x_max).astype(np.intp) for f in (np.ceil(x - 0.5), np.floor(x + 0.5)))
    top, bottom = (np.clip(f, 0, y_max).astype(np.intp) for f in (np.ceil(y - 0.5), np.floor(y + 0.5)))
    return np.asarray(mask[top, left] | mask[top, right] | mask[bottom, left] | mask[bottom, right])
