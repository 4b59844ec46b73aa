"""Every way in which an image is looked at again, with the exact map to the new view.

Angles are in degrees, counter-clockwise on the screen: a turn by DEG takes an orientation θ to
θ − DEG.
"""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
from PIL import Image
from scipy import ndimage

from ..errors import InputError
from .pairs import SOURCE_BORDER_PX, Frame, Pair, Rendered, Transform, reference_of, require_room
from .planar import Matrix, Region, centre_of, map_points, similarity
from .rendering import GREY_LEVELS, GreyBytes, Interpolated, photograph, quantised, random_for, render

MAX_ZOOM_SIDE = 640
"""Largest side of the finer view of a zoom, which needs more room than other views."""
SUPPORT_SIGMAS = 4.5
"""Radius, in σ, of what a keypoint is computed from: 3 windows of 1.5 σ (Lowe, section 5)."""
TILT_FOCAL = 1.5
"""Focal length of the tilted camera, in view sides."""


class Rotation(Rendered):
    """The view turned: square crops inside the image, no artificial border."""

    sweep, unit = "rotation", "°"

    def matrix(self, frame: Frame) -> Matrix:
        """The turn about the view's centre."""
        return similarity(1.0, self.value, centre_of(frame.shape), centre_of(frame.shape))

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
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

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The scene, tilted before it is sampled."""
        to_source = frame.to_source(source) @ np.linalg.inv(self.matrix(frame))
        return photograph(render(source, to_source, frame.shape, frame.source_px), rng)


class Blur(Rendered):
    """Gaussian blur of this σ in view pixels, before noise and rounding."""

    sweep, unit = "blur", " px"

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The reference's levels, blurred."""
        return photograph(ndimage.gaussian_filter(frame.levels(source), self.value, mode="mirror"), rng)


class Noise(Rendered):
    """Gaussian noise of this many grey levels instead of 1."""

    sweep, unit = "noise", " levels"

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The reference's levels with more noise."""
        return photograph(frame.levels(source), rng, self.value)


class Jpeg(Rendered):
    """JPEG compression at this quality."""

    sweep = "jpeg"

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """A second photograph, packed and unpacked."""
        packed = io.BytesIO()
        Image.fromarray(photograph(frame.levels(source), rng)).save(packed, "JPEG", quality=int(self.value))
        return np.asarray(Image.open(packed))


class Brightness(Rendered):
    """Grey levels added, clipped as a sensor clips."""

    sweep, unit = "brightness", " levels"

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The reference's levels, brighter or darker."""
        return photograph(frame.levels(source) + self.value, rng)


class Contrast(Rendered):
    """Contrast multiplied by this about middle grey, clipped."""

    sweep, unit = "contrast", "×"

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The reference's levels, stretched or squeezed."""
        middle = GREY_LEVELS / 2
        return photograph(middle + self.value * (frame.levels(source) - middle), rng)


class Scale(Transform):
    """Zoom: the content grows by this factor; the coarser view has fewer pixels, both see the same."""

    sweep, unit = "scale", "×"

    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
        """Two views of different pixel size."""
        reference, view = self.frames(source)
        return Pair(
            reference=reference_of(reference, source, seed),
            view=photograph(view.levels(source), random_for(seed, source, self.label)),
            matrix=similarity(self.value, 0.0, centre_of(reference.shape), centre_of(view.shape)),
            reference_region=Region.whole(reference.shape),
            view_region=Region.whole(view.shape),
            source_px=reference.source_px,
        )

    def frames(self, source: Interpolated) -> tuple[Frame, Frame]:
        """The reference and the view; the finer of both uses the source at most pixel by pixel."""
        room = min(source.shape) - 2 * SOURCE_BORDER_PX
        ratio = max(self.value, 1 / self.value)
        require_room(room / ratio, source)
        side = int(min(MAX_ZOOM_SIDE, room))
        fine = Frame(side, room / side)
        coarse = Frame(int(side / ratio), fine.source_px * ratio)
        return (fine, coarse) if self.value < 1 else (coarse, fine)


class Lossless(Transform):
    """The whole image turned by a multiple of 90° by moving pixels."""

    sweep, unit, equal_counts = "lossless", "°", False

    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
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

    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
        """The image and the same pixels mirrored."""
        reference = quantised(source.levels)
        matrix = np.array([[-1.0, 0, source.shape[1] - 1], [0, 1, 0], [0, 0, 1]])
        return _whole_pair(reference, np.ascontiguousarray(reference[:, ::-1]), matrix)


class Canvas(Transform):
    """The whole image turned on an enlarged canvas, the outside filled by mirroring.

    Multiples of 90° move pixels; other angles interpolate the reference with a cubic spline.
    """

    sweep, unit, equal_counts = "canvas", "°", False

    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
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


def _whole_pair(reference: GreyBytes, view: GreyBytes, matrix: Matrix) -> Pair:
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
