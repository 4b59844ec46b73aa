"""A grey image ready for detection, and the conversion of coordinates to input pixels."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import Features
from .reduction import reduced, reduced_origin, touched
from .stretch import looks_faint


class Picture(NamedTuple):
    """A grey image ready for detection."""

    grey: NDArray[np.float32]
    """(H, W), C-contiguous, in [0, 1]."""
    name: str
    """Name of the file; empty for an array."""
    exif_orientation: int
    """EXIF orientation that was applied; 1 when there is none or it was ignored."""
    input_size: tuple[int, int]
    """(width, height) before any reduction: the frame of the coordinates."""
    reduction: float = 1.0
    """Side of a pixel of ``grey``, in input pixels."""
    left_out: NDArray[np.bool_] | None = None
    """(H, W) pixels of ``grey`` without a value, which were filled; None if there are none."""
    n_pages: int = 1
    """Pages (frames) of the file."""

    @property
    def label(self) -> str:
        """How error messages refer to it."""
        return self.name or "the image"

    def to_input_frame(self, features: Features) -> Features:
        """Convert features found in ``grey`` to input pixels."""
        if self.reduction == 1:
            return features
        origin = [
            reduced_origin(n, m, self.reduction)
            for n, m in zip(self.input_size, self.grey.shape[::-1], strict=True)
        ]
        xy = (features.xy.astype(np.float64) + 0.5) * self.reduction - 0.5 + origin
        return replace(
            features,
            xy=xy.astype(np.float32),
            scale=(features.scale.astype(np.float64) * self.reduction).astype(np.float32),
            image_size=self.input_size,
        )

    def reduced(self, max_image_size: int | None) -> Picture:
        """Reduce a larger image to this longest side, in pixels; coordinates stay in input pixels."""
        height, width = self.grey.shape
        reduction = max(height, width) / (max_image_size or math.inf)
        if reduction <= 1:
            return self
        return self._replace(
            grey=reduced(self.grey, reduction),
            left_out=None if self.left_out is None else touched(self.left_out, reduction),
            reduction=self.reduction * reduction,
        )

    def looks_faint(self, n_features: int, max_features: int | None) -> bool:
        """Whether few features were found in an image that uses a small part of its range."""
        return n_features != max_features and looks_faint(self.grey, self.left_out, n_features)

    def require_size(self, size: tuple[int, int]) -> None:
        """Check that features of an image of ``size`` (width, height) can belong to this one.

        Raises
        ------
        InputError
            If the sizes differ.
        """
        if tuple(size) != self.input_size:
            raise InputError(
                f"{self.label}: expected {size_text(size)} pixels as the features state, got "
                f"{size_text(self.input_size)}; use the image they were made from"
            )


def size_text(size: tuple[int, ...]) -> str:
    """Width and height as text."""
    return " x ".join(str(n) for n in size)
