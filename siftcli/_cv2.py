"""The one place that imports OpenCV, so that its absence is explained once; and its keypoints."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import MissingDependencyError

SIZE_IN_SIGMAS = 2.0
"""OpenCV's ``KeyPoint.size`` is a diameter: twice σ."""


def import_cv2() -> Any:
    """OpenCV's module.

    Raises
    ------
    MissingDependencyError
        If OpenCV, or a system library that it links to, is not installed.
    """
    try:
        import cv2
    except ImportError as error:
        reason = " ".join(str(error).split())
        raise MissingDependencyError(
            f"OpenCV cannot be imported ({reason}); install the system libraries it needs "
            "(Debian, Ubuntu: apt-get install libgl1 libglib2.0-0), or replace opencv-contrib-python "
            "by the headless wheel (pip install opencv-contrib-python-headless)"
        ) from error
    return cv2


def packed_octaves(octave: NDArray[Any], scale: NDArray[Any], levels: int, sigma: float) -> NDArray[np.int32]:
    """(N,) octave, layer and sub-layer in one integer, as OpenCV packs them.

    σ = σ₀ · 2^(octave + (layer + offset) / S); the bytes are the octave (two's complement),
    the layer, and the offset in [-0.5, 0.5] as 255 · (offset + 0.5).
    """
    octave = octave.astype(np.int32)
    level = levels * (np.log2(scale.astype(np.float64) / sigma) - octave)
    layer = np.clip(np.rint(level), 1, levels).astype(np.int32)
    offset = np.clip(np.rint(255 * (level - layer + 0.5)), 0, 255).astype(np.int32)
    return np.asarray((octave & 255) | (layer << 8) | (offset << 16))


def unpacked_octaves(packed: Any) -> NDArray[np.int64]:
    """(N,) octaves of OpenCV's packed integers: their lowest bytes, signed."""
    octave = np.asarray(packed).astype(np.int64) & 255
    return np.asarray(np.where(octave < 128, octave, octave - 256))


def key_points(
    xy: NDArray[Any],
    scale: NDArray[Any],
    orientation: NDArray[Any],
    response: NDArray[Any],
    packed: NDArray[np.int32],
) -> tuple[Any, ...]:
    """``cv2.KeyPoint`` for each of N keypoints of :class:`siftcli.Features`."""
    key_point = import_cv2().KeyPoint
    columns = (
        *xy.T,
        SIZE_IN_SIGMAS * scale,
        np.rad2deg(orientation) % np.float32(360),
        response,
        packed,
    )
    return tuple(key_point(*row) for row in zip(*(c.tolist() for c in columns), strict=True))
