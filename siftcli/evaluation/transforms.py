"""Pairs of views of one image whose geometry is known exactly.

Angles are in degrees, counter-clockwise on the screen: a turn by DEG takes an orientation θ to
θ − DEG. The views of a rendered transform come from the same resampler and the same source, so
neither is sharper than the other; each carries its own noise.
"""

from __future__ import annotations

import io
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
from PIL import Image
from scipy import ndimage

from ..errors import InputError
from .planar import Matrix, Region, centre_of, map_points, similarity
from .rendering import GREY_LEVELS, Levels, Picture, Source, photograph, quantised, random_for, render

PREFERRED_SOURCE_PX = 2.0
"""Source pixels a view pixel, where the source is large enough."""
MIN_VIEW_SIDE = 256
"""Views are not made smaller than this for the sake of that scale, down to one source pixel a pixel."""
MAX_VIEW_SIDE = 400
"""Side above which a view is reduced further; bounds the run time."""
MAX_ZOOM_SIDE = 640
"""The same for the finer view of a zoom, which needs the room."""
SMALLEST_VIEW_SIDE = 32
"""A view with fewer pixels holds no keypoint worth counting."""
SOURCE_BORDER_PX = 2.0
"""Source pixels kept free all round, so that no footprint reaches the mirrored outside."""
MARGIN_PX = 10.0
"""Keypoints nearer than this to the edge of what both rendered views see do not count."""
SUPPORT_SIGMAS = 4.5
"""Radius, in σ, of what a keypoint is computed from: 3 windows of 1.5 σ (Lowe, section 5)."""
TILT_FOCAL = 1.5
"""Focal length of the tilted camera, in view sides."""


@dataclass(frozen=True, eq=False)
class Pair:
    """Two views of one scene and the map from the first to the second."""

    reference: Picture
    view: Picture
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
    def pair(self, source: Source, seed: int = 0) -> Pair:
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

    def to_source(self, source: Source, deg: float = 0.0) -> Matrix:
        """From pixels of the view, its content turned by ``deg``, to the source's."""
        return similarity(self.source_px, -deg, centre_of(self.shape), centre_of(source.shape))

    def levels(self, source: Source, deg: float = 0.0) -> Levels:
        """The view without noise, its content turned by ``deg``."""
        return render(source, self.to_source(source, deg), self.shape, self.source_px)


def turnable_frame(source: Source) -> Frame:
    """The largest square view that stays inside the source however it is turned."""
    room = (min(source.shape) - 2 * SOURCE_BORDER_PX) / math.sqrt(2)
    _require_room(room, source)
    side = int(min(MAX_VIEW_SIDE, max(room / PREFERRED_SOURCE_PX, min(MIN_VIEW_SIDE, room))))
    return Frame(side, room / side)


def _require_room(side: float, source: Source) -> None:
    if side < SMALLEST_VIEW_SIDE:
        height, width = source.shape
        raise InputError(
            f"views need at least {SMALLEST_VIEW_SIDE} × {SMALLEST_VIEW_SIDE} px inside the image; "
            f"it has {width} × {height}: leave it out or give a larger one"
        )


def _reference(frame: Frame, source: Source, seed: int) -> Picture:
    """The unchanged view, shared by every transform that has the same frame."""
    return photograph(
        frame.levels(source), random_for(seed, source, "reference", frame.side, frame.source_px)
    )


class Rendered(Transform):
    """A transform of the square view of :func:`turnable_frame`."""

    def pair(self, source: Source, seed: int = 0) -> Pair:
        """The reference and its changed twin."""
        frame = turnable_frame(source)
        matrix = self.matrix(frame)
        return Pair(
            reference=_reference(frame, source, seed),
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
    def view(self, source: Source, frame: Frame, rng: np.random.Generator) -> Picture:
        """The changed view."""


class Rotation(Rendered):
    """The view turned: square crops inside the image, no artificial border."""

    sweep, unit = "rotation", "°"

    def matrix(self, frame: Frame) -> Matrix:
        """The turn about the view's centre."""
        return similarity(1.0, self.value, centre_of(frame.shape), centre_of(frame.shape))

    def view(self, source: Source, frame: Frame, rng: np.random.Generator) -> Picture:
        """The scene, turned before it is sampled."""
        return photograph(frame.levels(source, self.value), rng)


class Perspective(Rendered):
    """The scene's plane tilted about the vertical axis by up to 40°, seen by a pinhole camera."""

    sweep, unit = "perspective", "°"

    def matrix(self, frame: Frame) -> Matrix:
        """The tilt, the view's centre staying where it is."""
        cos, sin = math.cos(math.radians(self.value)), math.sin(math.radians(self.value))
        x, y = centre_of(frame.shape)
        centred = np.array([[cos, 0, 0], [0, 1, 0], [sin / (TILT_FOCAL * frame.side), 0, 1]])
        shift = np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])
        return np.asarray(shift @ centred @ np.linalg.inv(shift))

    def view(self, source: Source, frame: Frame, rng: np.random.Generator) -> Picture:
        """The scene, tilted before it is sampled."""
        to_source = frame.to_source(source) @ np.linalg.inv(self.matrix(frame))
        return photograph(render(source, to_source, frame.shape, frame.source_px), rng)


class Blur(Rendered):
    """Gaussian blur of this σ in view pixels, before noise and rounding."""

    sweep, unit = "blur", " px"

    def view(self, source: Source, frame: Frame, rng: np.random.Generator) -> Picture:
        """The reference's levels, blurred."""
        return photograph(ndimage.gaussian_filter(frame.levels(source), self.value, mode="mirror"), rng)


class Noise(Rendered):
    """Gaussian noise of this many grey levels instead of 1."""

    sweep, unit = "noise", " levels"

    def view(self, source: Source, frame: Frame, rng: np.random.Generator) -> Picture:
        """The reference's levels with more noise."""
        return photograph(frame.levels(source), rng, self.value)


class Jpeg(Rendered):
    """JPEG compression at this quality."""

    sweep = "jpeg"

    def view(self, source: Source, frame: Frame, rng: np.random.Generator) -> Picture:
        """A second photograph, packed and unpacked."""
        packed = io.BytesIO()
        Image.fromarray(photograph(frame.levels(source), rng)).save(packed, "JPEG", quality=int(self.value))
        return np.asarray(Image.open(packed))


class Brightness(Rendered):
    """Grey levels added, clipped as a sensor clips."""

    sweep, unit = "brightness", " levels"

    def view(self, source: Source, frame: Frame, rng: np.random.Generator) -> Picture:
        """The reference's levels, brighter or darker."""
        return photograph(frame.levels(source) + self.value, rng)


class Contrast(Rendered):
    """Contrast multiplied by this about middle grey, clipped."""

    sweep, unit = "contrast", "×"

    def view(self, source: Source, frame: Frame, rng: np.random.Generator) -> Picture:
        """The reference's levels, stretched or squeezed."""
        middle = GREY_LEVELS / 2
        return photograph(middle + self.value * (frame.levels(source) - middle), rng)


class Scale(Transform):
    """Zoom: the content grows by this factor; the coarser view has fewer pixels, both see the same."""

    sweep, unit = "scale", "×"

    def pair(self, source: Source, seed: int = 0) -> Pair:
        """Two views of different pixel size."""
        reference, view = self.frames(source)
        return Pair(
            reference=_reference(reference, source, seed),
            view=photograph(view.levels(source), random_for(seed, source, self.label)),
            matrix=similarity(self.value, 0.0, centre_of(reference.shape), centre_of(view.shape)),
            reference_region=Region.whole(reference.shape),
            view_region=Region.whole(view.shape),
            source_px=reference.source_px,
        )

    def frames(self, source: Source) -> tuple[Frame, Frame]:
        """The reference and the view; the finer of both uses the source at most pixel by pixel."""
        room = min(source.shape) - 2 * SOURCE_BORDER_PX
        ratio = max(self.value, 1 / self.value)
        _require_room(room / ratio, source)
        side = int(min(MAX_ZOOM_SIDE, room))
        fine = Frame(side, room / side)
        coarse = Frame(int(side / ratio), fine.source_px * ratio)
        return (fine, coarse) if self.value < 1 else (coarse, fine)


class Lossless(Transform):
    """The whole image turned by a multiple of 90° by moving pixels."""

    sweep, unit, equal_counts = "lossless", "°", False

    def pair(self, source: Source, seed: int = 0) -> Pair:
        """The image and the same pixels turned."""
        reference = quantised(source.levels)
        view = np.ascontiguousarray(np.rot90(reference, self._quarters()))
        return _whole_pair(reference, view, quarter_turn(source.shape, self._quarters()))

    def _quarters(self) -> int:
        if self.value % 90:
            raise InputError(
                f"only multiples of 90° turn without loss; got {self.value:g}°: use mode rendered"
            )
        return int(self.value // 90) % 4


class Mirror(Transform):
    """The whole image mirrored left to right by moving pixels; descriptors do not survive it."""

    sweep, equal_counts = "mirror", False

    def __init__(self, value: float = 0.0) -> None:
        super().__init__(value)

    @property
    def label(self) -> str:
        """The sweep's name; there is no value."""
        return self.sweep

    def pair(self, source: Source, seed: int = 0) -> Pair:
        """The image and the same pixels mirrored."""
        reference = quantised(source.levels)
        matrix = np.array([[-1.0, 0, source.shape[1] - 1], [0, 1, 0], [0, 0, 1]])
        return _whole_pair(reference, np.ascontiguousarray(reference[:, ::-1]), matrix)


class Canvas(Transform):
    """The whole image turned on an enlarged canvas, the outside filled by mirroring.

    Multiples of 90° move pixels; other angles interpolate the reference with a cubic spline.
    """

    sweep, unit, equal_counts = "canvas", "°", False

    def pair(self, source: Source, seed: int = 0) -> Pair:
        """The image and its canvas, with the part that shows the image."""
        if self.value % 90 == 0:
            return replace(Lossless(self.value).pair(source, seed), support_sigmas=SUPPORT_SIGMAS)
        shape = self.canvas_shape(source.shape)
        matrix = similarity(1.0, self.value, centre_of(source.shape), centre_of(shape))
        reference = quantised(source.levels)
        view = quantised(render(source, np.linalg.inv(matrix), shape, 1.0, average=False))
        return replace(_whole_pair(reference, view, matrix), support_sigmas=SUPPORT_SIGMAS)

    def canvas_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """(height, width) that hold every pixel of the turned image."""
        corners = map_points(similarity(1.0, self.value, (0, 0), (0, 0)), Region.whole(shape).corners)
        width, height = np.ceil(np.ptp(corners, axis=0) - 1e-9).astype(int)
        return int(height), int(width)


def quarter_turn(shape: tuple[int, int], quarters: int) -> Matrix:
    """The map of ``numpy.rot90`` (counter-clockwise on the screen) for an image of (height, width)."""
    turned = shape if quarters % 2 == 0 else shape[::-1]
    return (
        np.round(2 * similarity(1.0, 90.0 * quarters, centre_of(shape), centre_of((turned[0], turned[1]))))
        / 2
    )


def _whole_pair(reference: Picture, view: Picture, matrix: Matrix) -> Pair:
    """Views of a whole image, of which everything counts."""
    region = Region.whole((reference.shape[0], reference.shape[1]))
    return Pair(reference, view, matrix, region, region.mapped(matrix), margin_px=0.0)


TRANSFORMS: dict[str, type[Transform]] = {
    cls.sweep: cls
    for cls in (
        Rotation, Lossless, Mirror, Canvas, Scale, Blur, Noise, Jpeg, Brightness, Contrast, Perspective,
    )
}  # fmt: skip
"""Every transform by its sweep's name."""
