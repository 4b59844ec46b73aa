"""The transform from one picture to another, from their features."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..features import Features, Matches
from ..matching import chance
from ..matching.nearest import match
from ..matching.residuals import transfer_errors
from ..matching.verification import Verification, matched_points, verify
from .fitting import fit
from .models import N_PARAMETERS, VERIFIED_BY, Floats, Frame, Matrix, Motion, mapped, motion, scaled
from .options import AlignOptions

CLEAR_LOG10_NFA, KEPT_SHARE = -12.0, 0.9
"""The logarithm is nearly proportional to the inliers: a tenth less leaves far more evidence than needed."""
N_ROUNDS = 3
"""Fits, each to the inliers of the one before; later ones change the map by less than 0.001 px."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    """The transform between two pictures, or the reason why there is none."""

    matrix: Matrix | None
    """(3, 3) map from pixels of the moving picture to those of the reference."""
    n_matches: int
    n_inliers: int
    residual_px: float | None = None
    """Root mean square error of the inliers in pixels of the reference."""
    uncertainty_px: float | None = None
    """Standard error at the control points, root mean square, in pixels of the reference."""
    reason: str = ""
    """Why there is no transform."""
    control: Floats | None = None
    """(4, 2) points of the moving picture with the mean and the covariance of the inliers."""
    refinement: str = ""
    """Why intensities did not refine it; empty if they did or it was not asked for."""

    def motion(self, size: tuple[int, int]) -> Motion | None:
        """What the transform does at the centre of the moving picture of (width, height) pixels."""
        return None if self.matrix is None else motion(self.matrix, size)


def estimate(
    moving: Features, reference: Features, options: AlignOptions, threads: int | None = None
) -> Estimate:
    """Estimate the transform from a moving picture to a reference.

    The matches are verified by the model of :func:`siftcli.verify` that contains ``options.model``,
    then fitted (:mod:`.fitting`). The inliers of the result must not be explained by chance.
    """
    matches = match(moving, reference, ratio=options.ratio, threads=threads)
    return from_matches(moving, reference, matches, options)


def from_matches(moving: Features, reference: Features, matches: Matches, options: AlignOptions) -> Estimate:
    """Estimate the transform from putative matches; as :func:`estimate`."""
    kind = VERIFIED_BY[options.model]
    found = verify(moving, reference, matches, kind, options.max_error)
    if found.model is None:
        return Estimate(
            matrix=None, n_matches=len(matches), n_inliers=found.n_inliers, reason=_plain(found.reason)
        )
    first, second = matched_points(moving, reference, matches)
    rows = matches.pairs.T
    sigma = (
        moving.scale[rows[0]].astype(np.float64),
        reference.scale[rows[1]].astype(np.float64),
    )
    fitted, inliers = _fitted(first, second, sigma, found.model, found.inliers, options, moving)
    n_inliers = int(np.count_nonzero(inliers))
    result = Estimate(matrix=None, n_matches=len(matches), n_inliers=n_inliers)
    is_trusted = fitted is not None and (
        _keeps_evidence(found, n_inliers)
        or _has_evidence(kind, first, second, fitted, inliers, options, reference)
    )
    if fitted is None or not is_trusted:
        reason = f"{n_inliers} of {len(matches)} matches agree with a {options.model}, too few to trust it"
        return replace(result, reason=f"{reason}; try another --model")
    errors = mapped(fitted, first[inliers]) - second[inliers]
    residual_px = float(np.sqrt(np.mean(np.sum(errors**2, axis=1))))
    return replace(
        result,
        matrix=scaled(fitted),
        residual_px=residual_px,
        uncertainty_px=residual_px * float(np.sqrt(N_PARAMETERS[options.model] / (2 * n_inliers))),
        control=control_points(first[inliers]),
    )


def _plain(reason: str) -> str:
    return reason.removeprefix("not verified: ")


def _fitted(
    first: Floats,
    second: Floats,
    sigma: tuple[Floats, Floats],
    start: Matrix,
    inliers: NDArray[np.bool_],
    options: AlignOptions,
    moving: Features,
) -> tuple[Matrix | None, NDArray[np.bool_]]:
    """Fit to the inliers, and choose these again by the fit."""
    frame, matrix = Frame.of(moving.image_size), scaled(start)
    for _ in range(N_ROUNDS):
        fitted = fit(
            options.model,
            first[inliers],
            second[inliers],
            (sigma[0][inliers], sigma[1][inliers]),
            matrix,
            frame,
        )
        if fitted is None:
            return None, inliers
        matrix = fitted
        errors = np.hypot(*(mapped(matrix, first) - second).T)
        before, inliers = inliers, np.asarray(np.nan_to_num(errors, nan=np.inf) <= options.max_error)
        if not inliers.any():
            return None, inliers
        if np.array_equal(before, inliers):
            break
    return matrix, inliers


def _keeps_evidence(found: Verification, n_inliers: int) -> bool:
    """Whether nearly all inliers of a clearly verified model are those of the fitted one too."""
    clearly = found.log10_nfa is not None and found.log10_nfa < CLEAR_LOG10_NFA
    return clearly and n_inliers >= KEPT_SHARE * found.n_inliers


def _has_evidence(
    kind: str,
    first: Floats,
    second: Floats,
    matrix: Matrix,
    inliers: NDArray[np.bool_],
    options: AlignOptions,
    reference: Features,
) -> bool:
    """Whether chance does not explain the inliers; a model with fewer parameters needs no more of them."""
    errors = partial(transfer_errors, model=matrix)
    evidence = chance.weigh(kind, errors, first, second, inliers, options.max_error, reference.image_size)
    return evidence.log10_nfa < chance.MAX_LOG10_NFA and evidence.is_spread


def control_points(points: Floats) -> Floats:
    """(4, 2) points with the mean and the covariance of ``points``.

    For an affine map A and its least-squares fit M to the matches of N points, the sum of squares over
    the matches is N/4 times that of ``A c - M c`` over these four, plus a constant.
    """
    mean = points.mean(axis=0)
    values, axes = np.linalg.eigh(np.cov(points.T, bias=True))
    arms = (axes * np.sqrt(2 * np.maximum(values, 0))).T
    return np.concatenate([mean + arms, mean - arms])
