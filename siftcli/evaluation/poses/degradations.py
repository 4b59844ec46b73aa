"""Changes of the second view of a pair: blur, noise, compression, a plain background, turns; from a seed."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..._cv2 import import_cv2
from ...views.planar import Matrix, centre_of, similarity
from ...views.rendering import GREY_LEVELS, NOISE_LEVELS, GreyBytes, Interpolated, quantised, render
from .options import CLEAN

MOTION_PX = 9.0
"""Length of the path along which a moved camera smears a point, at the size that is looked at."""
DEFOCUS_PX = 3.0
"""Radius of the disc that a point out of focus becomes."""
STRONG_NOISE_LEVELS = 12.0
"""Standard deviation of the noise of a dark picture, in grey levels."""
JPEG_QUALITY = 20
TURN_DEG = 45.0
PLAIN_RADIUS = 0.7
"""Half-axes of the ellipse that a plain background leaves, in halves of the sides: half of the picture."""
PLAIN_FADE = 0.3
"""Width of the transition to it, in the same unit; wide, so that it is no edge."""
_SUBSAMPLES = 200
"""Points of the path of a moved camera."""


@dataclass(frozen=True, eq=False)
class Degraded:
    """A changed picture, and where its pixels were."""

    picture: GreyBytes
    to_original: Matrix
    """(3, 3) from the changed picture's pixels to the original's."""


Floats = NDArray[np.float64]
Change = Callable[[GreyBytes, np.random.Generator], Degraded]


def degrade(picture: GreyBytes, kind: str, name: str, seed: int) -> Degraded:
    """Change a picture.

    Parameters
    ----------
    picture
        (H, W) uint8.
    kind
        A name of ``DEGRADATIONS``.
    name
        That of the picture, for which random numbers are drawn.
    seed
        Of these numbers.
    """
    digest = hashlib.blake2b(f"{seed}/{kind}/{name}".encode(), digest_size=16).digest()
    return DEGRADATIONS[kind](picture, np.random.default_rng(np.frombuffer(digest, np.uint32)))


def _unmoved(levels: Floats) -> Degraded:
    return Degraded(quantised(levels), np.eye(3))


def _clean(picture: GreyBytes, rng: np.random.Generator) -> Degraded:
    return Degraded(picture, np.eye(3))


def _motion(picture: GreyBytes, rng: np.random.Generator) -> Degraded:
    return _blurred(picture, motion_kernel(MOTION_PX, rng.uniform(0, math.pi)), rng)


def _defocus(picture: GreyBytes, rng: np.random.Generator) -> Degraded:
    return _blurred(picture, disc_kernel(DEFOCUS_PX), rng)


def _blurred(picture: GreyBytes, kernel: Floats, rng: np.random.Generator) -> Degraded:
    """Blur, then the noise of a clean camera."""
    cv2 = import_cv2()
    levels = cv2.filter2D(picture.astype(np.float64), -1, kernel, borderType=cv2.BORDER_REFLECT_101)
    return _unmoved(levels + NOISE_LEVELS * rng.standard_normal(levels.shape))


def motion_kernel(length_px: float, angle: float) -> Floats:
    """A straight path of a length (pixels) and direction (radians), drawn with bilinear weights; sum 1."""
    reach = math.ceil(length_px / 2) + 1
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1))
    along = length_px * ((np.arange(_SUBSAMPLES) + 0.5) / _SUBSAMPLES - 0.5)
    x, y = reach + along * math.cos(angle), reach + along * math.sin(angle)
    column, row = np.floor(x).astype(int), np.floor(y).astype(int)
    for dy in (0, 1):
        for dx in (0, 1):
            weight = (1 - np.abs(x - column - dx)) * (1 - np.abs(y - row - dy))
            np.add.at(kernel, (row + dy, column + dx), weight)
    return np.asarray(kernel / kernel.sum())


def disc_kernel(radius_px: float) -> Floats:
    """A disc whose edge falls off over a pixel; sum 1."""
    reach = math.ceil(radius_px) + 1
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    kernel = np.clip(radius_px + 0.5 - np.hypot(x, y), 0, 1)
    return np.asarray(kernel / kernel.sum())


def _noise(picture: GreyBytes, rng: np.random.Generator) -> Degraded:
    return _unmoved(picture + STRONG_NOISE_LEVELS * rng.standard_normal(picture.shape))


def _jpeg(picture: GreyBytes, rng: np.random.Generator) -> Degraded:
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=JPEG_QUALITY)
    return Degraded(np.asarray(Image.open(buffer), np.uint8), np.eye(3))


def _plain(picture: GreyBytes, rng: np.random.Generator) -> Degraded:
    """An evenly lit wall behind what is in the middle, with the noise of a clean camera."""
    height, width = picture.shape
    y, x = np.mgrid[:height, :width].astype(np.float64)
    centre_x, centre_y = centre_of((height, width))
    radius = np.hypot((x - centre_x) / (width / 2), (y - centre_y) / (height / 2))
    share = np.clip(0.5 + (PLAIN_RADIUS - radius) / PLAIN_FADE, 0, 1)
    levels = share * picture + (1 - share) * picture.mean()
    return _unmoved(levels + NOISE_LEVELS * rng.standard_normal(levels.shape))


def _upside_down(picture: GreyBytes, rng: np.random.Generator) -> Degraded:
    """A half turn, without interpolation."""
    height, width = picture.shape
    return Degraded(
        np.ascontiguousarray(picture[::-1, ::-1]),
        np.array([[-1, 0, width - 1], [0, -1, height - 1], [0, 0, 1.0]]),
    )


def _turn(picture: GreyBytes, rng: np.random.Generator) -> Degraded:
    """A turn by 45° about the centre, on a canvas of the same size; what falls outside is lost."""
    source = Interpolated(picture.astype(np.float32) / np.float32(GREY_LEVELS))
    centre = centre_of(source.shape)
    to_source = similarity(1.0, -TURN_DEG, centre, centre)
    return Degraded(quantised(render(source, to_source, source.shape, 1.0, average=False)), to_source)


DEGRADATIONS: Mapping[str, Change] = {
    CLEAN: _clean,
    "motion": _motion,
    "defocus": _defocus,
    "noise": _noise,
    "jpeg": _jpeg,
    "plain": _plain,
    "upside-down": _upside_down,
    "turn": _turn,
}
"""What can be done to a view, by its name."""
