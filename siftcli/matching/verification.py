"""Verify putative matches by a similarity, a homography, or the epipolar geometry of two cameras.

A model is estimated from the matches (:mod:`siftcli.matching.estimators`). It is accepted only if its
inliers are not explained by chance (:mod:`siftcli.matching.chance`). If there is no model, the result
states the reason; this is not an error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import ParameterError
from ..features import Features, Matches
from ..words import fixed, pair_text
from . import chance
from .cameras import Camera, RelativePose
from .estimators import ESTIMATORS, checked
from .nearest import Guide
from .options import (
    DEFAULT_MAX_ERROR,
    DEFAULT_MODEL,
    ESSENTIAL,
    MIN_MATCHES,
    MODELS,
    check_max_error,
    check_model,
)
from .random_search import enough_iterations, relative_pose
from .residuals import ERRORS, Matrix, Points

MIRRORED_DEVIATIONS = 2.0
"""A model with n inliers is rejected if a mirroring one has this many standard deviations (√n) more."""
ROTATION_SHARE = 0.9
"""The direction of translation is undetermined if the rotation alone explains this share of the inliers."""
MODEL_NAMES = {
    "similarity": "similarity",
    "homography": "homography",
    "fundamental": "fundamental matrix",
    ESSENTIAL: "relative pose",
}
"""Names of the models in messages."""
Cameras = tuple[Camera, Camera]


@dataclass(frozen=True, kw_only=True, eq=False)
class Verification:
    """The result of verifying M matches: a model and its inliers, or the reason why there is no model.

    Rotation, scale and shift are measured at the centre of the first image. They are ``None`` if there is no
    point map (no model, "fundamental", "essential"). The rotation is also ``None`` if the model mirrors.

    Examples
    --------
    >>> import siftcli
    >>> f = siftcli.detect("sample_images/camera.png", max_features=500)
    >>> g = siftcli.detect("sample_images/gravel.png", max_features=500)
    >>> unrelated = siftcli.verify(f, g, siftcli.match(f, g))
    >>> unrelated
    <Verification: no homography, not ...>
    >>> unrelated.model is None, unrelated.inliers.any()
    (True, np.False_)
    """

    kind: str
    """"similarity", "homography", "fundamental" or "essential"."""
    max_error: float
    """Largest error of an inlier in pixels of the second image (Sampson distance for "fundamental" and
    "essential")."""
    model: Matrix | None
    """(3, 3) float64: the map from the first to the second image, or F with x₂ᵀ F x₁ = 0 for pixels x (for
    "essential" too). None if no model was accepted."""
    inliers: NDArray[np.bool_]
    """(M,) bool: whether a match fits the model; all False if there is no model."""
    n_inliers: int
    """Number of matches that fit the model or, if it was rejected, the best candidate."""
    log10_nfa: float | None = None
    """log₁₀ of the number of false alarms: the expected number of models with this many inliers among
    unrelated matches. Models are accepted below -3. None if no model was fitted."""
    rotation_deg: float | None = None
    """Rotation in degrees in (-180, 180], counter-clockwise on the screen."""
    scale: float | None = None
    """Ratio of lengths in the second image to lengths in the first."""
    shift: tuple[float, float] | None = None
    """(dx, dy) displacement of the centre of the first image, in pixels."""
    cameras: Cameras | None = None
    """The known cameras ("essential")."""
    pose: RelativePose | None = None
    """The pose of the second camera relative to the first ("essential")."""
    reason: str = ""
    """Why there is no model."""

    def __repr__(self) -> str:
        if self.model is None:
            return f"<Verification: no {MODEL_NAMES[self.kind]}, {self.reason}>"
        parts = [f"{MODEL_NAMES[self.kind]}, {self.n_inliers} of {len(self.inliers)} matches"]
        parts.append(f"within {self.max_error:g} px")
        if self.rotation_deg is not None:
            parts.append(f"rotation {fixed(self.rotation_deg)} deg")
        if self.scale is not None:
            parts.append(f"scale {self.scale:.4f}")
        if self.shift is not None:
            parts.append(f"shift {pair_text(self.shift)} px")
        if self.pose is not None:
            parts.append(f"rotation {self.pose.angle_deg:.2f} deg")
        return f"<Verification: {', '.join(parts)}>"

    def guide(self) -> Guide | None:
        """The model as a guide for a second matching within ``max_error``; None if there is no model."""
        if self.model is None:
            return None
        kind = "fundamental" if self.kind == ESSENTIAL else self.kind
        return Guide(model=self.model, kind=kind, tolerance_px=self.max_error)


def verify(
    f: Features,
    g: Features,
    matches: Matches,
    model: str = DEFAULT_MODEL,
    max_error: float = DEFAULT_MAX_ERROR,
    cameras: Cameras | None = None,
) -> Verification:
    """Fit a model to the matches, and determine which matches are its inliers.

    A model is accepted if all of these hold:

    * Fewer than 1 in 1,000 such models are expected among unrelated matches
      (:mod:`siftcli.matching.chance`).
    * The inliers do not all lie at one position or, except for a similarity, on one line.
    * For a similarity or a homography: no mirroring model explains clearly more matches.

    An accepted model is not always the correct one. For example, two buildings with the same windows
    match for a good reason.

    Parameters
    ----------
    f, g
        Features of the first and the second image.
    matches
        M putative matches between them.
    model
        ``"similarity"`` (rotation, scale and shift), ``"homography"`` (a planar scene, or a camera that
        only rotates), ``"fundamental"`` (a scene with depth) or ``"essential"`` (a scene with depth
        seen by known cameras, which gives their relative pose).
    max_error
        Maximum error of an inlier in pixels of the second image (Sampson distance for a scene with depth).
        Models are estimated with smaller tolerances (:mod:`siftcli.matching.random_search`).
    cameras
        Cameras of both images, for ``"essential"`` only.

    Returns
    -------
    Verification
        The result, which is deterministic.

    Raises
    ------
    ParameterError
        If the model is unknown, ``max_error`` is not above 0, or cameras are missing or have no effect.
    MissingDependencyError
        If the model is estimated by PoseLib, which is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> import siftcli
    >>> from PIL import Image
    >>> f = siftcli.detect("sample_images/camera.png", max_features=500)
    >>> turned = np.asarray(Image.open("sample_images/camera.png").rotate(30))
    >>> g = siftcli.detect(turned, max_features=500)
    >>> matches = siftcli.match(f, g)
    >>> verified = siftcli.verify(f, g, matches, "similarity")
    >>> round(verified.rotation_deg, 1), round(verified.scale, 2)
    (30.0, 1.0)
    >>> inliers = matches[verified.inliers]
    """
    check_model(model, (*MODELS, ESSENTIAL))
    check_max_error(max_error)
    if (cameras is not None) != (model == ESSENTIAL):
        raise ParameterError(
            f"cameras must be given for the model {ESSENTIAL!r} and for no other; "
            f"got {'none' if cameras is None else 'cameras'} for {model!r}"
        )
    fitted = fit(f, g, matches, model, max_error, cameras)
    if fitted.model is None:
        return _rejected(model, max_error, len(matches), fitted.reason)
    first, second = matched_points(f, g, matches)
    errors = partial(ERRORS[model], model=fitted.model)
    inliers = errors(first, second) <= max_error
    n_inliers = int(np.count_nonzero(inliers))
    evidence = chance.weigh(model, errors, first, second, inliers, max_error, g.image_size)
    reason = _doubt(evidence, model, n_inliers, len(matches))
    if not reason and model not in chance.EPIPOLAR and 2 * n_inliers < len(matches):
        reason = _mirrored(n_inliers, f, g, matches, model, max_error)
    if reason:
        return _rejected(model, max_error, len(matches), reason, n_inliers, evidence.log10_nfa)
    is_map = model not in chance.EPIPOLAR
    rotation_deg, scale, shift = _motion(fitted.model, f) if is_map else (None, None, None)
    pose = fitted.pose
    if pose is not None and cameras is not None:
        pose = _with_direction_judged(pose, cameras, first[inliers], second[inliers], max_error)
    return Verification(
        kind=model, max_error=max_error, model=fitted.model, inliers=inliers, n_inliers=n_inliers,
        log10_nfa=evidence.log10_nfa, rotation_deg=rotation_deg, scale=scale, shift=shift,
        cameras=cameras, pose=pose,
    )  # fmt: skip


class Fit(NamedTuple):
    """A fitted model that has not been tested for chance, or the reason why there is none."""

    model: Matrix | None
    reason: str = ""
    pose: RelativePose | None = None


def fit(
    f: Features, g: Features, matches: Matches, model: str, max_error: float, cameras: Cameras | None = None
) -> Fit:
    """Fit a model to the matches, without testing whether it is due to chance; parameters as for `verify`."""
    reason = _too_few(len(matches), model)
    if reason:
        return Fit(None, reason)
    first, second = matched_points(f, g, matches)
    rows_f, rows_g = matches.pairs.T
    scale = np.sqrt(f.scale[rows_f].astype(np.float64) * g.scale[rows_g])
    pose, iterations = None, _most_iterations(model, len(matches), max_error, g.image_size)
    if cameras is None:
        matrix = ESTIMATORS[model](first, second, scale, max_error, iterations)
    else:
        pose = relative_pose(first, second, scale, max_error, cameras, iterations)
        matrix = None if pose is None else pose.fundamental(*cameras)
    matrix = checked(matrix, model, first, second, max_error)
    if matrix is None:
        return Fit(None, f"no {MODEL_NAMES[model]} fits the {len(matches)} matches")
    return Fit(matrix, pose=pose)


def _most_iterations(model: str, n_matches: int, max_error: float, image_size: tuple[int, int]) -> int:
    """No more than find a model that is not due to chance: most pairs of a collection have none.

    If all matches together cannot beat chance, there is nothing to find.
    """
    n_needed = chance.fewest_inliers(model, n_matches, max_error, image_size)
    return 0 if n_needed is None else enough_iterations(n_matches, n_needed, chance.SAMPLE_SIZES[model])


def _with_direction_judged(
    pose: RelativePose, cameras: Cameras, first: Points, second: Points, max_error: float
) -> RelativePose:
    """The pose, with a note if the inliers are explained by its rotation alone."""
    errors = ERRORS["homography"](first, second, pose.far_map(*cameras))
    return replace(pose, is_rotation=bool(np.mean(errors <= max_error) >= ROTATION_SHARE))


def matched_points(f: Features, g: Features, matches: Matches) -> tuple[Points, Points]:
    """The positions (M, 2) of the matches in the first and in the second image, float64."""
    rows_f, rows_g = matches.pairs.T
    return f.xy[rows_f].astype(np.float64), g.xy[rows_g].astype(np.float64)


def _rejected(
    kind: str, max_error: float, n_matches: int, reason: str, n_inliers: int = 0, nfa: float | None = None
) -> Verification:
    return Verification(
        kind=kind, max_error=max_error, model=None, inliers=np.zeros(n_matches, bool),
        n_inliers=n_inliers, log10_nfa=nfa, reason=reason,
    )  # fmt: skip


def _doubt(evidence: chance.Evidence, kind: str, n_inliers: int, n_matches: int) -> str:
    """The reason why a model is rejected; empty if it is accepted."""
    agree = f"not verified: {n_inliers} of {n_matches} matches agree"
    if not evidence.log10_nfa < chance.MAX_LOG10_NFA:
        return f"{agree}, which chance explains"
    if not evidence.is_spread:
        where = "at one place" if kind == "similarity" else "at one place or on one line"
        return f"{agree}, but they lie {where}, which determines no {MODEL_NAMES[kind]}"
    return ""


def _mirrored(n_inliers: int, f: Features, g: Features, matches: Matches, kind: str, max_error: float) -> str:
    """The reason for a rejection if a mirroring model explains clearly more matches; else empty.

    Symmetric structures match in a mirrored image. If they lie along a line, a rotation explains
    them as well.
    """
    left_to_right = replace(f, xy=f.xy * np.array([-1, 1], np.float32))
    model = fit(left_to_right, g, matches, kind, max_error).model
    if model is None:
        return ""
    errors = ERRORS[kind](*matched_points(left_to_right, g, matches), model)
    n_mirrored = int(np.count_nonzero(errors <= max_error))
    if n_mirrored <= n_inliers + MIRRORED_DEVIATIONS * math.sqrt(n_inliers):
        return ""
    return f"not verified: {n_inliers} of {len(matches)} matches agree, but {n_mirrored} with a mirror image"


def _too_few(n_matches: int, model: str) -> str:
    needed = MIN_MATCHES[model]
    if n_matches >= needed:
        return ""
    return f"not enough matches: {n_matches}, a {MODEL_NAMES[model]} needs {needed}"


def _motion(model: Matrix, f: Features) -> tuple[float | None, float | None, tuple[float, float] | None]:
    """Rotation in degrees, scale and shift of a point map at the centre of the first image.

    The rotation is that of the polar decomposition of the Jacobian J. In two dimensions its angle is
    that of the vector (J₁₁ + J₂₂, J₂₁ - J₁₂). It is clockwise on the screen, because y points down.
    """
    centre = (np.array(f.image_size, dtype=np.float64) - 1) / 2
    mapped = model @ [*centre, 1.0]
    if mapped[2] == 0:
        return None, None, None
    image = mapped[:2] / mapped[2]
    jacobian = (model[:2, :2] - np.outer(image, model[2, :2])) / mapped[2]
    determinant = float(np.linalg.det(jacobian))
    rotation_deg = None
    if determinant > 0:
        clockwise = math.atan2(jacobian[1, 0] - jacobian[0, 1], jacobian[0, 0] + jacobian[1, 1])
        rotation_deg = math.degrees(-clockwise) if clockwise != math.pi else 180.0
    dx, dy = (image - centre).tolist()
    return rotation_deg, math.sqrt(abs(determinant)), (dx, dy)
