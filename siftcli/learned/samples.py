"""Training patches: keypoints of an image in a rotated and perturbed view of it, with the known answer.

An image is photographed again by a random camera: rotated by any angle, tilted, resized, blurred, brighter or
darker, with noise. Its keypoints are mapped into the view, with a small error in position and scale such as
detection makes. The answer is the orientation that the histogram found in the clean image, mapped likewise.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from ..kernels.threads import Threads
from ..params import SiftParams
from ..sift import pipeline
from ..sift.keypoints import Keypoints
from ..sift.octave import Strip
from ..sift.orientation import assign_orientations, histogram_stage
from ..sift.scale_space import gaussian_octaves
from ..views.planar import Matrix, Region, centre_of, local_scale, map_angles, map_points, similarity
from .network import N_CLASSES
from .patches import N_ANGLES, N_PARTS, N_RINGS, sample_patches

MAX_KEYPOINTS = 1500
"""Keypoints of an image, the strongest, so that no image outweighs the others by much."""
MAX_VIEW_SIDE = 512
"""Pixels; of a larger image a view shows a part."""
LABEL_DEVIATION_DEG = 6.5
"""Width of the Gaussian that an answer is spread over the classes with. Its logarithm is a parabola, so
the parabola through three scores finds the answer again between the classes."""
FURTHER_WEIGHT = 0.9
"""Of an orientation that is not the strongest: half-way between ``peak_ratio`` and 1."""
MARGIN_SIGMAS = 2.0
"""Keypoints nearer than this to the edge of the view are left out."""

# The camera. Uniform between bounds, the noise and the zoom on a logarithmic scale.
MAX_TILT_DEG = 20.0
"""Small: a tilt rotates gradients by another angle than directions, which a patch does not show."""
TILT_FOCAL = 1.5
"""Focal length of the tilted camera, in view sides."""
MAX_ZOOM = 1.4
BLUR_SHARE, MAX_BLUR_PX = 0.3, 2.5
MIN_NOISE, MAX_NOISE = 0.5, 20.0
"""Grey levels."""
MAX_GAIN, MAX_OFFSET = 1.5, 0.15
# Errors of a detector under such changes: in positions, and in the logarithm of σ.
SHIFT_SIGMAS, SCALE_ERROR = 0.1, 0.06


@dataclass(frozen=True, eq=False)
class Scene:
    """A clean image and its keypoints."""

    name: str
    grey: NDArray[np.float32]
    """(H, W) in [0, 1]."""
    xy: NDArray[np.float64]
    """(P, 2) in pixels."""
    sigma: NDArray[np.float64]
    """(P,) in pixels."""
    angles: NDArray[np.float64]
    """(P, K) radians, the strongest first, NaN where there are fewer than K."""


@dataclass(frozen=True, eq=False)
class Examples:
    """M patches with their answers."""

    patches: NDArray[np.float32]
    """(M, N_PARTS, N_RINGS, N_ANGLES)."""
    angles: NDArray[np.float64]
    """(M, K) radians, as of a scene."""
    histogram: NDArray[np.float64]
    """(M,) radians: the strongest that the histogram finds in the same view; empty if not asked for."""
    n_histogram: int = 0
    """How many it finds in all."""


def scene_of(name: str, grey: NDArray[np.float32]) -> Scene:
    """Find the keypoints of a clean image and their orientations by the histogram."""
    params = SiftParams(max_features=MAX_KEYPOINTS)
    found = pipeline.detect(np.ascontiguousarray(grey), params, histogram_stage(params), threads=1)
    places = np.column_stack([found.xy, found.scale]).astype(np.float64)
    is_new = np.ones(len(found), bool)
    is_new[1:] = np.any(places[1:] != places[:-1], axis=1)  # the frames of a keypoint are neighbours
    place, first = np.cumsum(is_new) - 1, np.flatnonzero(is_new)
    rank = np.arange(len(found)) - first[place] if len(found) else place
    angles = np.full((len(first), int(rank.max(initial=0)) + 1), np.nan)
    angles[place, rank] = found.orientation
    return Scene(name, grey, places[first, :2], places[first, 2], angles)


def variants(name: str, grey: NDArray[np.float32]) -> list[Scene]:
    """The image, its mirror image and their negatives: different patches, as real as the first."""
    return [scene_of(name, picture) for g in (grey, 1 - grey) for picture in (g, g[:, ::-1])]


def photograph(scene: Scene, rng: np.random.Generator, *, with_histogram: bool = False) -> Examples:
    """Examples from one random view of a scene.

    Parameters
    ----------
    scene
        The image and its keypoints.
    rng
        Decides everything.
    with_histogram
        Also assign orientations to the same keypoints of the view by the histogram.
    """
    height, width = (min(n, MAX_VIEW_SIDE) for n in scene.grey.shape)
    matrix = camera(scene.grey.shape, (height, width), rng)
    view = perturbed(warped(scene.grey, matrix, (height, width)), rng)
    xy, sigma = map_points(matrix, scene.xy), scene.sigma * local_scale(matrix, scene.xy)
    rows = np.flatnonzero(Region.whole((height, width)).depth(xy) > MARGIN_SIGMAS * sigma)
    xy, sigma = displaced(xy[rows], sigma[rows], rng)
    angles = np.column_stack([map_angles(matrix, scene.xy[rows], a) for a in scene.angles[rows].T])
    return _look(view, xy, sigma, angles, with_histogram=with_histogram)


def camera(shape: tuple[int, ...], view_shape: tuple[int, int], rng: np.random.Generator) -> Matrix:
    """A map from image to view: some point to the view's centre, zoom and rotation, a tilt about any axis."""
    centre, rest = centre_of(view_shape), (shape[1] - view_shape[1], shape[0] - view_shape[0])
    looked_at = centre[0] + rng.uniform(0, rest[0]), centre[1] + rng.uniform(0, rest[1])
    zoom = math.exp(rng.uniform(-1, 1) * math.log(MAX_ZOOM))
    axis, tilt = rng.uniform(0, 360), math.radians(rng.uniform(0, MAX_TILT_DEG))
    cos, sin = math.cos(tilt), math.sin(tilt)
    tilted = np.array([[cos, 0, 0], [0, 1, 0], [sin / (TILT_FOCAL * max(view_shape)), 0, 1]])
    there, back = similarity(1, axis, centre, (0, 0)), similarity(1, -axis, (0, 0), centre)
    turned = similarity(zoom, rng.uniform(0, 360), looked_at, centre)
    return np.asarray(back @ tilted @ there @ turned)


def warped(grey: NDArray[np.float32], matrix: Matrix, shape: tuple[int, int]) -> NDArray[np.float32]:
    """The view (H, W) = shape, by bicubic interpolation; outside the image its mirror image."""
    cv2 = import_cv2()
    how = {"flags": cv2.INTER_CUBIC, "borderMode": cv2.BORDER_REFLECT_101}
    return np.asarray(cv2.warpPerspective(np.ascontiguousarray(grey), matrix, shape[::-1], **how))


def perturbed(view: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """The view as a worse camera would deliver it: blurred, of another brightness, noisy, of 8 bits."""
    blur = rng.uniform(0, MAX_BLUR_PX) * (rng.random() < BLUR_SHARE)
    if blur > 0.2:
        view = import_cv2().GaussianBlur(view, (0, 0), blur)
    gain = math.exp(rng.uniform(-1, 1) * math.log(MAX_GAIN))
    offset = rng.uniform(-MAX_OFFSET, MAX_OFFSET)
    noise = MIN_NOISE * (MAX_NOISE / MIN_NOISE) ** rng.random()
    levels = 255 * (0.5 + gain * (view - 0.5) + offset) + noise * rng.standard_normal(view.shape, np.float32)
    return np.asarray(np.rint(levels).clip(0, 255) / 255, np.float32)


def displaced(
    xy: NDArray[np.float64], sigma: NDArray[np.float64], rng: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions and scales with the errors of a detector."""
    shift = SHIFT_SIGMAS * sigma[:, None] * rng.standard_normal(xy.shape)
    return xy + shift, sigma * np.exp(SCALE_ERROR * rng.standard_normal(len(sigma)))


def _look(
    view: NDArray[np.float32],
    xy: NDArray[np.float64],
    sigma: NDArray[np.float64],
    angles: NDArray[np.float64],
    *,
    with_histogram: bool,
) -> Examples:
    """Sample the patches of keypoints from the octave that holds their scale."""
    params = SiftParams()
    patches, rows = [np.empty((0, N_PARTS, N_RINGS, N_ANGLES), np.float32)], [np.empty(0, np.intp)]
    histogram, n_found = [np.empty(0)], 0
    with Threads(1) as threads:
        for octave, here in _by_octave(gaussian_octaves(view, params, threads), sigma):
            n = len(here)
            keypoints = Keypoints(
                np.full(n, octave.number, np.int16),
                xy[here],
                sigma[here],
                np.zeros(n),
                np.zeros(n, np.float32),
            )
            patches.append(sample_patches(octave, keypoints, threads))
            rows.append(here)
            if with_histogram:
                of_keypoint, found = assign_orientations(octave, keypoints, params, threads)
                n_found += len(found)
                histogram.append(found[np.searchsorted(of_keypoint, np.arange(len(here)))])
    order = np.concatenate(rows)
    return Examples(np.concatenate(patches), angles[order], np.concatenate(histogram), n_found)


def _by_octave(
    octaves: Iterator[Strip], sigma: NDArray[np.float64]
) -> Iterator[tuple[Strip, NDArray[np.intp]]]:
    """Each octave with the rows whose σ lies between its levels ½ and S + ½; too small ones in none."""
    for octave in octaves:
        level = octave.n_scales * np.log2(sigma / (octave.step * octave.sigma))
        yield octave, np.flatnonzero((level >= 0.5) & (level < octave.n_scales + 0.5))


def targets(angles: NDArray[np.float64]) -> NDArray[np.float32]:
    """Answers (M, K) in radians as distributions (M, N_CLASSES): a Gaussian around each orientation."""
    classes = 2 * math.pi / N_CLASSES * np.arange(N_CLASSES)
    away = np.abs((angles[:, :, None] - classes + math.pi) % (2 * math.pi) - math.pi)
    bumps = np.exp(-0.5 * (away / math.radians(LABEL_DEVIATION_DEG)) ** 2)
    bumps[:, 1:] *= FURTHER_WEIGHT
    total = np.nansum(bumps, axis=1)
    return np.asarray(total / total.sum(axis=1, keepdims=True), np.float32)
