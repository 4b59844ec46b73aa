"""Two views of one image with the map between them, and the frame that rendered views share.

The views of a rendered transform come from the same resampler and the same source, so neither is
sharper than the other; each carries its own noise.
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
"""Source pixels a view pixel, where the source is large enough."""
MIN_VIEW_SIDE = 256
"""Views are not made smaller than this for the sake of that scale, down to one source pixel a pixel."""
MAX_VIEW_SIDE = 400
"""Side above which a view is reduced further; bounds the run time."""
SMALLEST_VIEW_SIDE = 32
"""A view with fewer pixels holds no keypoint worth counting."""
SOURCE_BORDER_PX = 2.0
"""Source pixels kept free all round, so that no footprint reaches the mirrored outside."""
MARGIN_PX = 10.0
"""Keypoints nearer than this to the edge of what both rendered views see do not count."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two views of one scene and the map from the first to the second."""

    reference: GreyBytes
    view: GreyBytes
    matrix: Matrix
    """(3, 3) from the reference's pixels to the view's."""
    reference_region: Region
    """Where the reference shows the scene."""
    view_region: Region
    margin_px: float = MARGIN_PX
    support_sigmas: float = 0.0
    """Keypoints count only when this many σ around them lie within the regions."""
    source_px: float = 1.0
    """Source pixels a reference pixel."""

    @property
    def similar(self) -> bool:
        """Whether the map turns, scales and shifts only; else it is a homography."""
        ((a, b, _), (c, d, _), (g, h, _)) = self.matrix
        return bool(np.allclose([a - d, b + c, g, h], 0, atol=1e-9))


class Transform(ABC):
    """One way of looking at an image again: a sweep's name and a value."""

    sweep: ClassVar[str]
    unit: ClassVar[str] = ""
    equal_counts: ClassVar[bool] = True
    """Whether detectors are also compared at equal counts: not on whole images, where finding the
    threshold of a detector without a response would take most of the time."""

    def __init__(self, value: float) -> None:
        self.value = float(value)

    @property
    def files(self) -> list[str]:
        """Paths of what it reads besides the image."""
        return []

    @property
    def label(self) -> str:
        """A name such as ``rotation 15°``."""
        return f"{self.sweep} {self.value:g}{self.unit}"

    @abstractmethod
    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
        """The two views; the same for the same pixels, value and seed.

        Raises
        ------
        InputError
            If the image is too small to take views of.
        """


@dataclass(frozen=True)
class Frame:
    """A square view of the middle of a source."""

    side: int
    source_px: float

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) of the view."""
        return self.side, self.side

    def to_source(self, source: Interpolated, deg: float = 0.0) -> Matrix:
        """From pixels of the view, its content turned by ``deg``, to the source's."""
        return similarity(self.source_px, -deg, centre_of(self.shape), centre_of(source.shape))

    def levels(self, source: Interpolated, deg: float = 0.0) -> Levels:
        """The view without noise, its content turned by ``deg``."""
        return render(source, self.to_source(source, deg), self.shape, self.source_px)


def turnable_frame(source: Interpolated) -> Frame:
    """The largest square view that stays inside the source however it is turned."""
    room = (min(source.shape) - 2 * SOURCE_BORDER_PX) / math.sqrt(2)
    require_room(room, source)
    side = int(min(MAX_VIEW_SIDE, max(room / PREFERRED_SOURCE_PX, min(MIN_VIEW_SIDE, room))))
    return Frame(side, room / side)


def require_room(side: float, source: Interpolated) -> None:
    """Check that a view's side, in source pixels, is worth looking at.

    Raises
    ------
    InputError
        If it is too small.
    """
    if side < SMALLEST_VIEW_SIDE:
        height, width = source.shape
        raise InputError(
            f"views need at least {SMALLEST_VIEW_SIDE} × {SMALLEST_VIEW_SIDE} px inside the image; "
            f"it has {width} × {height}: leave it out or give a larger one"
        )


def reference_of(frame: Frame, source: Interpolated, seed: int) -> GreyBytes:
    """The unchanged view, shared by every transform that has the same frame."""
    return photograph(
        frame.levels(source), random_for(seed, source, "reference", frame.side, frame.source_px)
    )


class Rendered(Transform):
    """A transform of the square view of :func:`turnable_frame`."""

    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
        """The reference and its changed twin."""
        frame = turnable_frame(source)
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
        """The map from the reference to the view: the identity for a photometric change."""
        return np.eye(3)

    @abstractmethod
    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The changed view."""
