"""Global adjustment: the transforms of all frames of a stack at once, from those between neighbours.

Each pair of frames contributes the four control points of its inliers (:mod:`.estimation`), which both
transforms should map to the same place. The sum of squares over all pairs is minimised by Gauss-Newton
steps, each a sparse system, with Cauchy's weight for each pair (iteratively reweighted least squares).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from .models import (
    N_PARAMETERS,
    Floats,
    Frame,
    Matrix,
    derivatives,
    mapped,
    matrix_of,
    parameters_of,
)

N_STEPS = 20
SMALLEST_STEP = 1e-12
"""In normalised coordinates: a pixel of a large picture is 1e-5."""
CAUCHY_WIDTH = 2.0
"""Scale of Cauchy's weight in units of the median error of a pair."""
SMALLEST_ERROR_PX = 0.01
"""The median error is taken to be at least this, in pixels: with a few perfect pairs it would be 0."""
SMALLEST_UNCERTAINTY_PX = 5e-3
"""No pair counts as more exact than this: what moves draws all pairs of a chain the same way, so that their
errors do not average out."""


@dataclass(frozen=True, eq=False)
class Pair:
    """The transform measured between two frames."""

    moving: int
    reference: int
    matrix: Matrix
    """(3, 3) map from pixels of the moving frame to those of the reference frame."""
    control: Floats
    """(4, 2) control points in the moving frame."""
    n_inliers: int
    residual_px: float
    uncertainty_px: float
    """Standard error of the map at the control points, root mean square, in pixels."""


def chained(pairs: Sequence[Pair], root: int) -> dict[int, Matrix]:
    """Transforms of all frames that pairs connect to the root, along the pairs with most inliers."""
    found: dict[int, Matrix] = {root: np.eye(3)}
    edges: dict[int, list[tuple[int, int, Matrix]]] = {}
    for pair in pairs:
        back = np.asarray(np.linalg.inv(pair.matrix))
        edges.setdefault(pair.reference, []).append((pair.n_inliers, pair.moving, pair.matrix))
        edges.setdefault(pair.moving, []).append((pair.n_inliers, pair.reference, back))
    reached = [root]
    while reached:
        best = max(
            (
                (n, -other, here)
                for here in reached
                for n, other, _ in edges.get(here, ())
                if other not in found
            ),
            default=None,
        )
        if best is None:
            break
        n, other, here = best[0], -best[1], best[2]
        matrix = next(m for count, to, m in edges[here] if (count, to) == (n, other))
        found[other] = found[here] @ matrix
        reached.append(other)
    return found


def adjusted(
    model: str, pairs: Sequence[Pair], root: int, start: Mapping[int, Matrix], frame: Frame
) -> dict[int, Matrix]:
    """Transforms of the frames of ``start`` to the root that agree best with all pairs.

    Parameters
    ----------
    model
        Name of the model.
    pairs
        The measured transforms; those of frames that are not in ``start`` are ignored.
    root
        The frame whose transform stays the identity.
    start
        Frame -> transform to begin with.
    frame
        Coordinates in which the parameters are of like size.
    """
    used = [pair for pair in pairs if pair.moving in start and pair.reference in start]
    places = {index: k for k, index in enumerate(sorted(set(start) - {root}))}
    if not places or not used:
        return dict(start)
    state = np.array([parameters_of(model, frame.normalised(start[i])) for i in places])
    to_root = parameters_of(model, np.eye(3))
    ends = [_ends(pair, frame) for pair in used]
    for _ in range(N_STEPS):
        step = _step(model, used, ends, places, state, to_root, frame)
        state = state + step
        if np.abs(step).max() < SMALLEST_STEP:
            break
    found = {index: frame.in_pixels(matrix_of(model, state[k])) for index, k in places.items()}
    return {root: np.eye(3), **found}


def _ends(pair: Pair, frame: Frame) -> tuple[Floats, Floats]:
    """The control points in both frames, in normalised coordinates."""
    image = mapped(pair.matrix, pair.control)
    return mapped(frame.to_normal, pair.control), mapped(frame.to_normal, image)


def _step(
    model: str,
    pairs: Sequence[Pair],
    ends: Sequence[tuple[Floats, Floats]],
    places: Mapping[int, int],
    state: Floats,
    to_root: Floats,
    frame: Frame,
) -> Floats:
    """One Gauss-Newton step: the change of the parameters (frames, P)."""
    from scipy.sparse import coo_matrix, identity
    from scipy.sparse.linalg import spsolve

    n = N_PARAMETERS[model]
    residuals, blocks = [], []
    for pair, points in zip(pairs, ends, strict=True):
        sides = []
        for index, p in zip((pair.moving, pair.reference), points, strict=True):
            k = places.get(index)
            parameters = to_root if k is None else state[k]
            sides.append((k, mapped(matrix_of(model, parameters), p), derivatives(model, parameters, p)))
        residuals.append((sides[0][1] - sides[1][1]).ravel())
        blocks.append([(k, sign * d.reshape(-1, n)) for sign, (k, _, d) in zip((1, -1), sides, strict=True)])
    errors = np.array(residuals)
    weight = np.sqrt(_weights(pairs, errors, frame))
    rows, columns, values = [], [], []
    for i, parts in enumerate(blocks):
        for k, block in parts:
            if k is not None:
                r, c = np.mgrid[: block.shape[0], :n]
                rows.append((r + i * errors.shape[1]).ravel())
                columns.append((c + k * n).ravel())
                values.append((block * weight[i]).ravel())
    shape = (errors.size, len(places) * n)
    jacobian = coo_matrix(
        (np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))), shape=shape
    ).tocsr()
    normal = jacobian.T @ jacobian
    damping = 1e-12 * float(normal.diagonal().max())
    right = jacobian.T @ (errors * weight[:, None]).ravel()
    return -np.asarray(spsolve((normal + damping * identity(shape[1])).tocsc(), right)).reshape(-1, n)


def _weights(pairs: Sequence[Pair], errors: Floats, frame: Frame) -> Floats:
    """A weight for each pair: that of its uncertainty, times Cauchy's for its error in this state."""
    uncertainty = np.array([max(pair.uncertainty_px, SMALLEST_UNCERTAINTY_PX) for pair in pairs])
    error_px = np.sqrt(np.mean(errors**2, axis=1) * 2) * frame.radius
    width = CAUCHY_WIDTH * max(float(np.median(error_px)), SMALLEST_ERROR_PX)
    return np.asarray(1 / uncertainty**2 / (1 + (error_px / width) ** 2))
