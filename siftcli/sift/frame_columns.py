"""Frames as columns, while the pipeline fills them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..features import DESCRIPTOR_LENGTH
from .keypoints import Keypoints, row_numbers

Frames = dict[str, NDArray[Any]]
"""Columns of :class:`Features`, and ``keypoint``, the row of each frame's keypoint among those given."""


def no_frames() -> Frames:
    """All columns, without a row."""
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


def frames_of(keypoints: Keypoints, rows: NDArray[np.intp], angles: NDArray[np.float64]) -> Frames:
    """Keypoints of these rows (N,), each with one orientation (N,) in radians; without descriptors."""
    chosen = keypoints.select(rows)
    return {
        "xy": chosen.xy.astype(np.float32),
        "scale": chosen.sigma.astype(np.float32),
        "orientation": _below_full_turn(angles),
        "response": chosen.response,
        # A value that was refined to exactly 0 is of neither sign; files know only two.
        "sign": np.where(chosen.value < 0, -1, 1).astype(np.int8),
        "octave": chosen.octave,
        "keypoint": rows,
    }


def _below_full_turn(orientation: NDArray[np.float64]) -> NDArray[np.float32]:
    """Radians in [0, 2π) in single precision, where an angle just below 2π would round up to it."""
    rounded = orientation.astype(np.float32)
    return np.where(rounded >= np.float32(2 * np.pi), np.float32(0), rounded)


def select_frames(frames: Frames, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Frames:
    """The frames of these rows, in that order."""
    numbers = row_numbers(rows)
    return {name: column.take(numbers, 0) for name, column in frames.items()}  # faster than an index


def concatenated(parts: Sequence[Frames]) -> Frames:
    """All frames of the parts, in order; the columns are those of :func:`no_frames`."""
    parts = [part for part in parts if len(part["keypoint"])] or [no_frames()]
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
