"""The transforms of an evaluation, each with the exact map to the new view.

Angles are in degrees, counter-clockwise on the screen. A rotation by DEG changes an orientation θ to
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
"""Maximum side of the finer view of a zoom, which covers more of the source than other views."""
SUPPORT_SIGMAS = 4.5
"""Radius in σ of the support of a keypoint: 3 times the window of 1.5 σ (Lowe, section 5)."""
TILT_FOCAL = 1.5
"""Focal length of the tilted camera, in view sides."""


class Rotation(Rendered):
    """Rotation of a square crop inside the image, without an artificial border."""

    sweep, unit = "rotation", "°"

    def matrix(self, frame: Frame) -> Matrix:
        """The rotation about the centre of the view."""
        return similarity(1.0, self.value, centre_of(frame.shape), centre_of(frame.shape))

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The scene, rotated before it is sampled."""
        return photograph(frame.levels(source, self.value), rng)


class Perspective(Rendered):
    """The image plane tilted about the vertical axis by up to 40°, seen by a pinhole camera."""

    sweep, unit = "perspective", "°"

    def matrix(self, frame: Frame) -> Matrix:
        """The tilt about the centre of the view."""
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
    """Gaussian blur with σ in view pixels, before noise and rounding."""

    sweep, unit = "blur", " px"

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The reference without its noise, blurred."""
        return photograph(ndimage.gaussian_filter(frame.levels(source), self.value, mode="mirror"), rng)


class Noise(Rendered):
    """Gaussian noise with a standard deviation of this many grey levels instead of 1."""

    sweep, unit = "noise", " levels"

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The reference with other noise."""
        return photograph(frame.levels(source), rng, self.value)


class Jpeg(Rendered):
    """JPEG compression at this quality."""

    sweep = "jpeg"

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The reference with other noise, compressed and decompressed."""
        packed = io.BytesIO()
        Image.fromarray(photograph(frame.levels(source), rng)).save(packed, "JPEG", quality=int(self.value))
        return np.asarray(Image.open(packed))


class Brightness(Rendered):
    """A constant added to the grey levels, clipped as by a sensor."""

    sweep, unit = "brightness", " levels"

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The reference, brighter or darker."""
        return photograph(frame.levels(source) + self.value, rng)


class Contrast(Rendered):
    """Contrast about middle grey multiplied by a factor, clipped."""

    sweep, unit = "contrast", "×"

    def view(self, source: Interpolated, frame: Frame, rng: np.random.Generator) -> GreyBytes:
        """The reference with more or less contrast."""
        middle = GREY_LEVELS / 2
        return photograph(middle + self.value * (frame.levels(source) - middle), rng)


class Scale(Transform):
    """Zoom by a factor. Both views show the same area; the coarser one has fewer pixels."""

    sweep, unit = "scale", "×"

    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
        """Two views with different pixel sizes."""
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
        """The frames of the reference and the view; the finer one has pixels of at least one source pixel."""
        room = min(source.shape) - 2 * SOURCE_BORDER_PX
        ratio = max(self.value, 1 / self.value)
        require_room(room / ratio, source)
        side = int(min(MAX_ZOOM_SIDE, room))
        fine = Frame(side, room / side)
        coarse = Frame(int(side / ratio), fine.source_px * ratio)
        return (fine, coarse) if self.value < 1 else (coarse, fine)


class Lossless(Transform):
    """Lossless rotation of the whole image by a multiple of 90°."""

    sweep, unit, equal_counts = "lossless", "°", False

    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
        """The image, and the same pixels rotated."""
        reference = quantised(source.levels)
        view = np.ascontiguousarray(np.rot90(reference, self._quarters()))
        return _whole_pair(reference, view, quarter_turn(source.shape, self._quarters()))

    def _quarters(self) -> int:
        if self.value % 90:
            raise InputError(
                f"only multiples of 90° rotate without loss; got {self.value:g}°: use mode rendered"
            )
        return int(self.value // 90) % 4


class Mirror(Transform):
    """The whole image mirrored left to right, without loss; SIFT descriptors are not invariant to this."""

    sweep, equal_counts = "mirror", False

    def __init__(self, value: float = 0.0) -> None:
        super().__init__(value)

    @property
    def label(self) -> str:
        """The name of the sweep, which has no value."""
        return self.sweep

    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
        """The image, and the same pixels mirrored."""
        reference = quantised(source.levels)
        matrix = np.array([[-1.0, 0, source.shape[1] - 1], [0, 1, 0], [0, 0, 1]])
        return _whole_pair(reference, np.ascontiguousarray(reference[:, ::-1]), matrix)


class Canvas(Transform):
    """The whole image rotated on an enlarged canvas, padded by mirroring.

    Multiples of 90° are lossless; other angles interpolate the reference with a cubic spline.
    """

    sweep, unit, equal_counts = "canvas", "°", False

    def pair(self, source: Interpolated, seed: int = 0) -> Pair:
        """The image and the canvas, with the region of the canvas that shows the image."""
        if self.value % 90 == 0:
            return replace(Lossless(self.value).pair(source, seed), support_sigmas=SUPPORT_SIGMAS)
        shape = self.canvas_shape(source.shape)
        matrix = similarity(1.0, self.value, centre_of(source.shape), centre_of(shape))
        reference = quantised(source.levels)
        view = quantised(render(source, np.linalg.inv(matrix), shape, 1.0, average=False))
        return replace(_whole_pair(reference, view, matrix), support_sigmas=SUPPORT_SIGMAS)

    def canvas_shape(self, shape: tuple[int, int]) -> tuple[int, int]:
        """The smallest (height, width) that holds every pixel of the rotated image."""
        corners = map_points(similarity(1.0, self.value, (0, 0), (0, 0)), Region.whole(shape).corners)
        width, height = np.ceil(np.ptp(corners, axis=0) - 1e-9).astype(int)
        return int(height), int(width)


def quarter_turn(shape: tuple[int, int], quarters: int) -> Matrix:
    """The map of ``numpy.rot90`` (counter-clockwise on the screen) for an image of (height, width)."""
    rotated = shape if quarters % 2 == 0 else shape[::-1]
    return (
        np.round(2 * similarity(1.0, 90.0 * quarters, centre_of(shape), centre_of((rotated[0], rotated[1]))))
        / 2
    )


def _whole_pair(reference: GreyBytes, view: GreyBytes, matrix: Matrix) -> Pair:
    """A pair of views of the whole image, without a margin."""
    region = Region.whole((reference.shape[0], reference.shape[1]))
    return Pair(reference, view, matrix, region, region.mapped(matrix), margin_px=0.0)


TRANSFORMS: dict[str, type[Transform]] = {
    cls.sweep: cls
    for cls in (
        Rotation, Lossless, Mirror, Canvas, Scale, Blur, Noise, Jpeg, Brightness, Contrast, Perspective,
    )
}  # fmt: skip
"""Name of the sweep -> transform."""
