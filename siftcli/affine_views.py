"""Detection in simulated views, for changes of viewpoint that SIFT alone does not survive.

Morel and Yu ("ASIFT: a new framework for fully affine invariant image comparison", SIAM J. Imaging Sci.
2(2), 2009, section 3) simulate the views of a camera that is tilted towards the image plane. A tilt of
t = 1 / cos(angle) compresses one direction by t. Tilts are √2, 2, 2√2, ..., each in directions 72° / t
apart. The image is blurred along the direction before it is compressed.

Keypoints of the views are mapped back to the image: position, scale and orientation. Their descriptors
remain those of the view, which is what makes them match, and the affine shape is not stored.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ._cv2 import import_cv2
from .features import Features, array_fields
from .image.stretch import distance_to
from .params import SiftParams
from .sift.selection import select

TURN_STEP_DEG = 72.0
"""Step of the directions of a tilt, times the tilt (Morel and Yu, section 3.3)."""
BLUR_OF_TILT = 0.8
"""Standard deviation of the blur, in units of √(t² - 1) (Morel and Yu, section 3.2)."""
MARGIN = 2
"""Pixels of a view without a value around the image, so that keypoints keep away from its border."""
WHOLE = 0.999
"""Least weight of pixels with a value for a pixel of a view to have one."""
BYTES_PER_PIXEL = 32
"""Working memory for a pixel of the largest canvas: the turned, blurred and resampled image and its flags."""

SAME_PLACE = 0.5
"""Features of one structure are at most this far apart, in units of σ."""
MAX_PLACE_PX = 2.0
"""And at most so many pixels."""
SAME_OCTAVES = 0.25
"""Their scales differ at most by this many octaves."""
SAME_ANGLE_DEG = 15.0
SAME_DESCRIPTOR = 100.0
"""L2 distance of descriptors below which two features of one structure are duplicates. Matches of different
photographs are mostly farther apart."""

Grey = NDArray[np.float32]
Affine = NDArray[np.float64]
"""(2, 3) from pixels of the image to those of a view."""
DetectIn = Callable[[Grey, NDArray[np.bool_] | None, NDArray[np.float32]], Features]
"""Detects in a grey image, with a mask and with distances to pixels without a value."""


@dataclass(frozen=True)
class View:
    """A simulated view."""

    tilt: float
    """Factor by which one direction is compressed."""
    turn_rad: float
    """Clockwise rotation of the image before the compression along x."""

    def canvas(self, shape: tuple[int, ...]) -> tuple[Affine, Affine, tuple[int, int], tuple[int, int]]:
        """The maps and sizes (width, height) of an image of a shape (H, W), turned, and then compressed."""
        height, width = shape
        c, s = math.cos(self.turn_rad), math.sin(self.turn_rad)
        linear = np.array([[c, -s], [s, c]])
        corners = np.array([[0, 0], [width - 1, 0], [0, height - 1], [width - 1, height - 1]]) @ linear.T
        low, high = corners.min(axis=0), corners.max(axis=0)
        margin = MARGIN * np.array([self.tilt, 1.0])
        turned = np.column_stack([linear, margin - low])
        w, h = (int(n) for n in np.ceil(high - low + 1 + 2 * margin))
        return turned, np.diag([1 / self.tilt, 1.0]) @ turned, (w, h), (math.ceil(w / self.tilt), h)


def views(n_tilts: int) -> Iterator[View]:
    """The simulated views of n tilts, the least tilted first."""
    for k in range(1, n_tilts + 1):
        tilt = math.sqrt(2) ** k
        step = math.radians(TURN_STEP_DEG / tilt)
        for n in range(math.ceil(math.pi / step - 1e-9)):
            yield View(tilt, n * step)


def detect_in_views(
    grey: Grey,
    params: SiftParams,
    frontal: Features,
    detect: DetectIn,
    mask: NDArray[np.bool_] | None,
    room: NDArray[np.float32] | None,
) -> Features:
    """Add the features of the simulated views to those of the image.

    Parameters
    ----------
    grey
        (H, W) grey values in [0, 1].
    params
        All parameters; ``params.views`` is the number of tilts.
    frontal
        The features of the image itself, which are kept as they are unless there are too many.
    detect
        Detects in a view.
    mask, room
        As for :func:`siftcli.sift.pipeline.detect`.

    Returns
    -------
    Features
        At most ``params.max_features``.
    """
    found = [frontal]
    for view in views(params.views):
        image, allowed, distance, to_view = simulated(grey, mask, room, view)
        features = mapped_back(detect(image, allowed, distance), to_view)
        found.append(features if mask is None else features.select(_allowed_in_image(features, mask)))
    columns = {f.name: np.concatenate([getattr(part, f.name) for part in found]) for f in array_fields()}
    stays = merge_structures(columns, np.repeat(np.arange(len(found)), [len(part) for part in found]))
    columns = {name: column[stays] for name, column in columns.items()}
    kept = select(columns, params)
    removed = sum((Counter(part.removed) for part in found), Counter())
    counts = {name: removed[name] for name in frontal.removed}
    counts["over_limit"] += len(stays) - len(kept)
    counts["same_in_views"] = int(sum(map(len, found))) - len(stays)
    fields: dict[str, Any] = {name: column[kept] for name, column in columns.items()}
    return replace(frontal, **fields, removed=counts)


def simulated(
    grey: Grey, mask: NDArray[np.bool_] | None, room: NDArray[np.float32] | None, view: View
) -> tuple[Grey, NDArray[np.bool_] | None, NDArray[np.float32], Affine]:
    """Simulate a view.

    Parameters
    ----------
    grey, mask, room
        (H, W) as for :func:`detect_in_views`.
    view
        Which.

    Returns
    -------
    image
        The view, float32.
    mask
        Where keypoints may be; None for everywhere.
    room
        Distance in pixels to the nearest pixel without a value; those outside the image have none.
    to_view
        (2, 3) the map from pixels of the image to those of the view.
    """
    cv2 = import_cv2()
    turn, to_view, turned_size, size = view.canvas(grey.shape)
    turned = cv2.warpAffine(grey, turn, turned_size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    sigma = BLUR_OF_TILT * math.sqrt(view.tilt**2 - 1)
    blurred = cv2.sepFilter2D(turned, -1, _gaussian(sigma), np.ones(1), borderType=cv2.BORDER_REPLICATE)
    shrink = np.array([[1 / view.tilt, 0, 0], [0, 1, 0]])
    image = cv2.warpAffine(blurred, shrink, size, flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    has_value = np.ones(grey.shape, np.float32) if room is None else (room > 0).astype(np.float32)
    weight = cv2.warpAffine(has_value, to_view, size, flags=cv2.INTER_LINEAR)
    allowed = None
    if mask is not None:
        allowed = cv2.warpAffine(mask.astype(np.uint8), to_view, size, flags=cv2.INTER_NEAREST) > 0
    return np.clip(image, 0, 1), allowed, distance_to(weight < WHOLE), to_view


def _gaussian(sigma: float) -> NDArray[np.float64]:
    """A Gaussian over four standard deviations to each side."""
    x = np.arange(-math.ceil(4 * sigma), math.ceil(4 * sigma) + 1)
    weights = np.exp(-(x**2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum())


def mapped_back(features: Features, to_view: Affine) -> Features:
    """Features of a view in the frame of the image.

    A circle of the view is an ellipse of the image. The scale is that of a circle with the same area, and
    the orientation is the direction that the orientation in the view is the image of.
    """
    inverse = np.linalg.inv(to_view[:, :2])
    xy = (features.xy.astype(np.float64) - to_view[:, 2]) @ inverse.T
    theta = features.orientation.astype(np.float64)
    direction = np.column_stack([np.cos(theta), np.sin(theta)]) @ inverse.T
    angle = (np.arctan2(direction[:, 1], direction[:, 0]) % (2 * np.pi)).astype(np.float32)
    scale = features.scale.astype(np.float64) * math.sqrt(abs(np.linalg.det(inverse)))
    return replace(
        features,
        xy=xy.astype(np.float32),
        scale=scale.astype(np.float32),
        orientation=np.where(angle >= np.float32(2 * np.pi), np.float32(0), angle),
    )


def _allowed_in_image(features: Features, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether the pixel at each position is allowed; a view shows the mask with its own pixels."""
    x, y = np.rint(features.xy).astype(np.intp).T
    return np.asarray(mask[np.clip(y, 0, mask.shape[0] - 1), np.clip(x, 0, mask.shape[1] - 1)])


def merge_structures(columns: dict[str, NDArray[Any]], view: NDArray[np.intp]) -> NDArray[np.intp]:
    """Rows that stay when features of one structure are merged; their positions are changed.

    A structure is found in several views. All its features get the position of the first, which is from the
    least tilted view and so the most exact, so that they do not compete in the ratio test of the matching.
    Of features with nearly the same descriptor, only the first stays.

    Parameters
    ----------
    columns
        Those of :class:`Features`, the least tilted views first; ``xy`` is changed.
    view
        (N,) the number of the view of each. Features of one view are not merged with each other.
    """
    from scipy.spatial import cKDTree  # late: only this option needs it

    xy, scale = columns["xy"].astype(np.float64), columns["scale"].astype(np.float64)
    pairs = cKDTree(xy).query_pairs(MAX_PLACE_PX, output_type="ndarray")
    pairs = pairs[view[pairs[:, 0]] != view[pairs[:, 1]]]
    pairs = pairs[_are_one_structure(columns, xy, scale, pairs)]
    descriptors = columns["descriptors"].astype(np.float32)
    distance = np.linalg.norm(descriptors[pairs[:, 0]] - descriptors[pairs[:, 1]], axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0]))
    stays, first = [True] * len(xy), list(range(len(xy)))
    for (earlier, later), is_same in zip(
        pairs[order].tolist(), (distance[order] < SAME_DESCRIPTOR).tolist(), strict=True
    ):
        if first[earlier] != earlier or not stays[earlier]:
            continue
        if first[later] == later:
            first[later] = earlier
        stays[later] = stays[later] and not is_same
    columns["xy"] = columns["xy"][first]
    return np.flatnonzero(stays)


def _are_one_structure(
    columns: dict[str, NDArray[Any]],
    xy: NDArray[np.float64],
    scale: NDArray[np.float64],
    pairs: NDArray[np.intp],
) -> NDArray[np.bool_]:
    """Whether the two features of each pair agree in place, scale, orientation and sign."""
    i, j = pairs.T
    turn = columns["orientation"][i].astype(np.float64) - columns["orientation"][j]
    turn = np.abs((turn + np.pi) % (2 * np.pi) - np.pi)
    return np.asarray(
        (np.linalg.norm(xy[i] - xy[j], axis=1) <= SAME_PLACE * np.minimum(scale[i], scale[j]))
        & (np.abs(np.log2(scale[i] / scale[j])) <= SAME_OCTAVES)
        & (turn <= math.radians(SAME_ANGLE_DEG))
        & (columns["sign"][i] == columns["sign"][j])
    )


def working_bytes(shape: tuple[int, ...], n_tilts: int) -> int:
    """Estimate the memory that the simulation of a view of an image (H, W) takes, in bytes."""
    canvases = (view.canvas(shape)[2] for view in views(n_tilts))
    return BYTES_PER_PIXEL * max((math.prod(size) for size in canvases), default=0)
