"""Matching two images (or feature files): verified matches, recovered rotation and scale, accuracy.

With ``rotate`` or ``scale`` the second image is rotated about its centre or resized, on a canvas large
enough for all of it. If both inputs have the same pixels, the true map between them is known and the
matches are compared with it.
"""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass, replace
from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import api
from ..features import Features, Matches
from ..formats import load
from ..image import Picture, check_max_image_size, page_index, read_image
from ..matching.cameras import Camera
from ..matching.options import ESSENTIAL, MatchOptions
from ..matching.search import search
from ..matching.verification import Verification
from ..params import SiftParams
from ..views import metrics
from ..views.canvas import rotated
from ..views.planar import Region, map_points
from ..views.transforms import SUPPORT_SIGMAS
from .focal_lengths import focal_lengths
from .match_request import check_request, is_feature_file
from .summary import SCHEMA

REPEATABILITY_PX = metrics.LOCALISATION_RADIUS_PX
"""Largest distance, in pixels, at which a keypoint counts as repeated."""

LEAST_SHARE = 0.01
"""Weight of left-out pixels above which a rotated pixel is left out; splines have long, faint tails."""

Input = str | PathLike[str] | NDArray[Any]
Matrix = NDArray[np.floating[Any]]


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """One of the two images: its features and, unless they came from a file, its pixels."""

    name: str
    features: Features
    grey: NDArray[np.float32] | None
    """(H, W) in [0, 1], in the frame of the features."""
    n_pages: int = 1
    """Pages of the image file."""
    is_faint: bool = False
    """Whether fewer than 10 features were found in an image that uses under a quarter of its range."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Transform:
    """Rotation and scaling applied to the second image."""

    rotation_deg: float = 0.0
    """Counter-clockwise on the screen."""
    scale: float = 1.0
    matrix: Matrix | None = None
    """(3, 3) map from pixels of the original image to those of the canvas; None if it is unchanged."""
    n_dropped: int = 0
    """Number of features dropped because their support leaves the image."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """Accuracy of matches between two images with the same pixels, by the known map between them."""

    correct: NDArray[np.bool_]
    """(M,) within 2 px (``metrics.CORRECT_MATCH_PX``) of the truth."""
    repeatability: float
    """Keypoints repeated within 1.5 px, divided by the smaller number of keypoints. Locations with several
    orientations count once, and only if their support lies in both images."""

    @property
    def precision(self) -> float:
        """Share of the matches that are correct; NaN without matches."""
        return float(np.mean(self.correct)) if len(self.correct) else math.nan


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageMatch:
    """Result of matching a pair of images."""

    a: Side
    b: Side
    """The second image as it was matched, after any rotation and scaling."""
    matches: Matches
    verification: Verification | None
    """None if no model was requested."""
    transform: Transform
    truth: Truth | None
    """None if the true map is not known."""
    options: MatchOptions

    @property
    def xy_b_original(self) -> NDArray[np.float64]:
        """(M, 2) matched positions in the second image before rotation and scaling."""
        xy = self.b.features.xy[self.matches.pairs[:, 1]].astype(np.float64)
        return xy if self.transform.matrix is None else map_points(np.linalg.inv(self.transform.matrix), xy)

    def to_dict(self) -> dict[str, Any]:
        """Return the result in plain types, for JSON; the keys are listed in docs/json.md."""
        found = self.verification
        summary = {
            "schema": SCHEMA,
            "image_a": self.a.name,
            "image_b": self.b.name,
            "n_features_a": len(self.a.features),
            "n_features_b": len(self.b.features),
            "n_dropped_b": self.transform.n_dropped,
            "n_matches": len(self.matches),
            "n_inliers": None if found is None else found.n_inliers,
            "rotation_asked_deg": self.transform.rotation_deg,
            "rotation_recovered_deg": None if found is None else found.rotation_deg,
            "scale_asked": self.transform.scale,
            "scale_recovered": None if found is None else found.scale,
            "shift": None if found is None or found.shift is None else list(found.shift),
            "model_matrix": None if found is None or found.model is None else found.model.tolist(),
            **_pose(found),
            "reason": "" if found is None else found.reason,
            **asdict(self.options),
        }
        return {**summary, **self._judgement()}

    def rows(self) -> list[tuple[str, str]]:
        """Return labels and formatted values, with units, of the known entries of :meth:`to_dict`."""
        return match_rows(self.to_dict())

    def _judgement(self) -> dict[str, Any]:
        """Accuracy if the truth is known; otherwise the rotation and scale besides those requested."""
        rotation, scale = None, None
        if self.verification is not None and self.verification.rotation_deg is not None:
            rotation = _wrapped_deg(self.verification.rotation_deg - self.transform.rotation_deg)
        if self.verification is not None and self.verification.scale is not None:
            scale = self.verification.scale / self.transform.scale
        if self.truth is None:
            return {"rotation_relative_deg": rotation, "scale_relative": scale}
        return {
            "n_correct": int(np.count_nonzero(self.truth.correct)),
            "precision": self.truth.precision,
            "repeatability": self.truth.repeatability,
            "correct_within_px": metrics.CORRECT_MATCH_PX,
            "repeatable_within_px": REPEATABILITY_PX,
            "rotation_error_deg": rotation,
            "scale_error": None if scale is None else scale - 1,
        }


def match_rows(summary: dict[str, Any]) -> list[tuple[str, str]]:
    """Labels and formatted values, with units, of the known entries of a result in plain types."""
    known = {name: value for name, value in summary.items() if value not in (None, "")}
    if (known.get("rotation_asked_deg", 0), known.get("scale_asked", 1)) == (0, 1):
        for name in ("rotation_asked_deg", "scale_asked", "rotation_relative_deg", "rotation_error_deg"):
            known.pop(name, None)
    return [(label, form.format(known[name])) for name, label, form in _ROWS if name in known]


def _pose(found: Verification | None) -> dict[str, Any]:
    """The relative pose of known cameras in plain types."""
    cameras = None if found is None else found.cameras
    pose = None if found is None else found.pose
    return {
        "focal_px": None if cameras is None else [camera.fx for camera in cameras],
        "pose_rotation": None if pose is None else pose.rotation.tolist(),
        "pose_angle_deg": None if pose is None else pose.angle_deg,
        "pose_axis": None if pose is None or pose.axis is None else list(pose.axis),
        "pose_direction": None if pose is None or pose.is_rotation else pose.direction.tolist(),
        "pose_note": ROTATION_ONLY if pose is not None and pose.is_rotation else "",
    }


ROTATION_ONLY = "unknown: the rotation alone explains the matches"

_ROWS = (
    ("n_features_a", "features of A", "{}"),
    ("n_features_b", "features of B", "{}"),
    ("n_matches", "matches", "{}"),
    ("model", "model", "{}"),
    ("reason", "no model", "{}"),
    ("n_inliers", "inliers", "{}"),
    ("focal_px", "focal lengths", "{0[0]:.1f}, {0[1]:.1f} px"),
    ("pose_angle_deg", "rotation from A to B", "{:.3f}°"),
    ("pose_axis", "  about (right, down, forward)", "{0[0]:z.4f}, {0[1]:z.4f}, {0[2]:z.4f}"),
    ("pose_direction", "direction of translation", "{0[0]:z.4f}, {0[1]:z.4f}, {0[2]:z.4f}"),
    ("pose_note", "direction of translation", "{}"),
    ("rotation_asked_deg", "rotation asked", "{:g}°"),
    ("rotation_recovered_deg", "rotation recovered", "{:z.4f}°"),
    ("rotation_error_deg", "  error", "{:+z.4f}°"),
    ("rotation_relative_deg", "  less what was asked", "{:+z.4f}°"),
    ("scale_asked", "scale asked", "{:g}"),
    ("scale_recovered", "scale recovered", "{:.6f}"),
    ("n_correct", "correct matches (2 px)", "{}"),
    ("precision", "precision", "{:.4f}"),
    ("repeatability", "repeatability (1.5 px)", "{:.4f}"),
)
"""Keys of the summary shown as text, with labels and formats."""


def match_images(
    a: Input,
    b: Input | None = None,
    *,
    rotate: float | None = None,
    scale: float | None = None,
    focal_px: tuple[float, ...] | None = None,
    options: MatchOptions | None = None,
    params: SiftParams | None = None,
    threads: int | None = None,
    max_image_size: int | None = None,
    **reading: Any,
) -> ImageMatch:
    """Match two images, verify the matches and, if the true map is known, measure their accuracy.

    Parameters
    ----------
    a, b
        Images (path or array) or feature files. Without ``b``, ``a`` is matched with itself after
        ``rotate`` or ``scale``.
    rotate
        Rotate ``b`` by this angle in degrees, counter-clockwise on the screen. Multiples of 90 only
        move pixels; other angles interpolate with a cubic spline.
    scale
        Resize ``b`` by this factor, 0.05 to 20.
    focal_px
        Focal length in pixels, of both images or of each, for the model "essential". By default it is
        read from EXIF. The camera's axis passes through the middle of the image.
    options
        How to search and verify.
    params, threads, max_image_size
        As for :func:`siftcli.detect`; they do not apply to feature files.
    **reading
        ``exif_orientation``, ``page``, ``stretch`` and ``nodata``, as for :func:`siftcli.detect`.

    Returns
    -------
    ImageMatch
        Finding no features, no matches or no model is a valid result, not an error.

    Raises
    ------
    InputError
        If an input cannot be read.
    ParameterError
        If an option is out of range, or options contradict each other.
    """
    check_request(a, b, rotate=rotate, scale=scale, focal_px=focal_px)
    options = options or MatchOptions()
    limit = check_max_image_size(max_image_size)
    how = {"params": params or SiftParams(), "threads": threads, "max_image_size": limit}
    first = _read(a, **reading)
    second = first if b is None else _read(b, **reading)
    side_a = _side(a, first, how)
    side_b, transform = _transformed_side(a if b is None else b, second, rotate, scale, how)
    cameras = None
    if options.model == ESSENTIAL:
        names = (a, a if b is None else b)
        focal_a, focal_b = focal_lengths(names, (first, second), focal_px)
        cameras = (
            Camera.centred(focal_a, side_a.features.image_size),
            Camera.centred(focal_b * transform.scale, side_b.features.image_size),
        )
    matches, found = search(side_a.features, side_b.features, options, threads, cameras)
    known = _same_pixels(first, second)
    return ImageMatch(
        a=side_a,
        b=side_b,
        matches=matches,
        verification=found,
        transform=transform,
        truth=_judge(side_a.features, side_b.features, matches, transform) if known else None,
        options=options,
    )


def _read(source: Input, page: int = 1, **reading: Any) -> Picture | Features:
    if is_feature_file(source):
        return load(os.fspath(source))  # type: ignore[arg-type]
    return read_image(source, page=page_index(page), **reading)


def _name(source: Input) -> str:
    return os.fspath(source) if isinstance(source, str | PathLike) else ""


def _side(source: Input, content: Picture | Features, how: dict[str, Any]) -> Side:
    if isinstance(content, Features):
        return Side(name=_name(source), features=content, grey=None)
    picture = content.reduced(how["max_image_size"])
    features = api.detect_in_picture(picture, how["params"], threads=how["threads"])
    return Side(
        name=_name(source),
        features=features,
        grey=content.grey,
        n_pages=content.n_pages,
        is_faint=picture.looks_faint(len(features), how["params"].max_features),
    )


def _transformed_side(
    source: Input,
    content: Picture | Features,
    rotate: float | None,
    scale: float | None,
    how: dict[str, Any],
) -> tuple[Side, Transform]:
    """Detect in the transformed image, and drop features whose support leaves the original image."""
    if isinstance(content, Features) or (rotate is None and scale is None):
        return _side(source, content, how), Transform()
    deg, factor = rotate or 0.0, 1.0 if scale is None else scale
    grey, matrix = rotated(content.grey, deg, factor)
    canvas = replace(
        content, grey=grey, input_size=grey.shape[::-1], left_out=_transformed_flags(content, deg, factor)
    )
    side = _side(source, canvas, how)
    inside = _supported(side.features, Region.whole(_shape(content.grey)).mapped(matrix))
    return (
        replace(side, features=side.features.select(inside)),
        Transform(
            rotation_deg=deg,
            scale=factor,
            matrix=matrix,
            n_dropped=int(np.count_nonzero(~inside)),
        ),
    )


def _transformed_flags(picture: Picture, deg: float, scale: float) -> NDArray[np.bool_] | None:
    """Pixels of the transformed image to which left-out pixels contribute."""
    if picture.left_out is None:
        return None
    share, _ = rotated(picture.left_out.astype(np.float32), deg, scale)
    return share > LEAST_SHARE


def _shape(grey: NDArray[np.float32]) -> tuple[int, int]:
    return grey.shape[0], grey.shape[1]


def _supported(features: Features, region: Region) -> NDArray[np.bool_]:
    """(N,) whether the support of a keypoint lies in the region."""
    return np.asarray(region.depth(features.xy) >= SUPPORT_SIGMAS * features.scale.astype(np.float64))


def _same_pixels(first: Picture | Features, second: Picture | Features) -> bool:
    if isinstance(first, Features) or isinstance(second, Features):
        return False
    return first is second or np.array_equal(first.grey, second.grey)


def _judge(f: Features, g: Features, matches: Matches, transform: Transform) -> Truth:
    """Measure accuracy by the map, which is known because both images have the same pixels."""
    matrix = np.eye(3) if transform.matrix is None else transform.matrix
    region = Region.whole((f.image_size[1], f.image_size[0]))
    first = metrics.locations(f.select(_supported(f, region)))
    second = metrics.locations(g.select(_supported(g, region.mapped(matrix))))
    found = metrics.correspondences(first, second, matrix, REPEATABILITY_PX)
    return Truth(
        correct=metrics.match_distances(f, g, matches, matrix) <= metrics.CORRECT_MATCH_PX,
        repeatability=metrics.share(len(found), min(len(first), len(second))),
    )


def _wrapped_deg(angle: float) -> float:
    """Wrap an angle in degrees to (-180, 180]."""
    return 180.0 - (180.0 - angle) % 360.0
