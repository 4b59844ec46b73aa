"""Pairs of views of one image with the map between them.

The two views of a rendered transform are resampled from the same source in the same way, so neither
is sharper than the other. Each has its own noise.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ..errors import InputError
from .planar import Matrix, Region, centre_of, similarity
from .rendering import GreyBytes, Interpolated, Levels, photograph, random_for, render

PREFERRED_SOURCE_PX = 2.0
"""Width of a view pixel in source pixels, if the source is large enough."""
MIN_VIEW_SIDE = 256
"""For smaller views the pixels are made narrower instead, down to one source pixel."""
MAX_VIEW_SIDE = 400
"""Maximum side of a view, which limits the run time; larger areas get wider pixels."""
SMALLEST_VIEW_SIDE = 32
"""Smaller views have too few keypoints to be useful."""
SOURCE_BORDER_PX = 2.0
"""Margin in source pixels, so that no pixel's footprint reaches the mirrored padding."""
MARGIN_PX = 10.0
"""Keypoints closer than this to the edge of the area that both rendered views show do not count."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two views of one scene and the map from the first to the second."""

    reference: GreyBytes
    view: GreyBytes
    matrix: Matrix
    """(3, 3) map from pixels of the reference to pixels of the view."""
    reference_region: Region
    """The part of the reference that shows the scene."""
    view_region: Region
    margin_px: float = MARGIN_PX
    support_sigmas: float = 0.0
    """Keypoints count only if a disc of this many σ around them lies within the regions."""
    source_px: float = 1.0
    """Width of a reference pixel in source pixels."""

    @property
    def similar(self) -> bool:
        """Whether the map is a similarity (rotation, scaling and translation); else it is a homography."""
        ((a, b, _), (c, d, _), (g, h, _)) = self.matrix
        return bool(np.allclose([a - d, b + c, g, h], 0, atol=1e-9))


class Transform(ABC):
    """A way to make a second view of an image, with one value of its sweep."""

    sweep: ClassVar[str]
    unit: ClassVar[str] = ""
    equal_counts: ClassVar[bool] = True
    """Whether detectors are also compared at equal counts. Not on whole images, where the search for the
    threshold of a detector without a response would take most of the time."""

    def __init__(self, value: float) -> None:
        self.value = float(value)

    @property
    def files(self) -> list[str]:
        """Paths of the files it reads in addition to the image."""
        return []

    @property
    def label(self) -> str:
        """A label such as ``rotation 15°``."""
        return f"{self.sweep} {self.value:g}{self.unit}"

    @abstractmethod
    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
        """Make the two views; the result depends only on the pixels, the value and the seed.

        Raises
        ------
        InputError
            If the image is too small.
        """


@dataclass(frozen=True)
class Frame:
    """A square view of the centre of a source."""

    side: int
    source_px: float

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the view."""
        return self.side, self.side

    def to_source(self, source: Interpolated, deg: float = 0.0) -> Matrix:
        """The map from pixels of the view, with its content rotated by ``deg``, to pixels of the source."""
        return similarity(self.source_px, -deg, centre_of(self.shape), centre_of(source.shape))

    def levels(self, source: Interpolated, deg: float = 0.0) -> Levels:
        """The view without noise, with its content rotated by ``deg``."""
        return render(source, self.to_source(source, deg), self.shape, self.source_px)


def rotatable_frame(source: Interpolated) -> Frame:
    """The largest square view that stays inside the source at every rotation."""
    room = (min(source.shape) - 2 * SOURCE_BORDER_PX) / math.sqrt(2)
    require_room(room, source)
    side = int(min(MAX_VIEW_SIDE, max(room / PREFERRED_SOURCE_PX, min(MIN_VIEW_SIDE, room))))
    return Frame(side, room / side)


def require_room(side: float, source: Interpolated) -> None:
    """Check that the side of a view, in source pixels, is large enough.

    Raises
    ------
    InputError
        If the side is below ``SMALLEST_VIEW_SIDE``.
    """
    if side < SMALLEST_VIEW_SIDE:
        height, width = source.shape
        raise InputError(
            f"views need at least {SMALLEST_VIEW_SIDE} × {SMALLEST_VIEW_SIDE} px inside the image; "
            f"it has {width} × {height}: omit it or use a larger image"
        )


def reference_of(frame: Frame, source: Interpolated, seed: int) -> GreyBytes:
    """The unchanged view, which all transforms with the same frame share."""
    return photograph(
        frame.levels(source), random_for(seed, source, "reference", frame.side, frame.source_px)
    )


class Rendered(Transform):
    """A transform of the square view of :func:`rotatable_frame`."""

    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
        """The reference and the transformed view."""
        frame = rotatable_frame(source)
        matrix = self.matrix(frame)
        return Pair(
            reference=reference_of(frame, source, seed),
            view=self.view(source, frame, random_for(seed, source, self.label)),
            matrix=matrix,
            reference_region=Region.whole(frame.shape),
            view_region=Region.whole(frame.shape),
            source_px=frame.source_px,
        )

    def matrix(self, frame: Frame) -> Matrix:
        """The map from the reference to the view; the identity for a photometric change."""
        return np.eye(3)

    @abstractmethod
    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The transformed view."""
