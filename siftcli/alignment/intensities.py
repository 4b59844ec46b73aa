"""Refinement by intensities: the transform under which one picture predicts the other best.

The brightness of the reference is a quadratic curve of that of the warped moving picture, which covers
gain, offset and, nearly, gamma, plus a multiple of what a blur changes, as one of them may be out of
focus. A straight line alone would maximise the correlation, as ECC does (Evangelidis and Psarakis, PAMI
2008). Gauss-Newton steps find these and a change of the transform together. The change is one of the
reference, whose gradient is known beforehand (inverse composition: Baker and Matthews, IJCV 2004).
Tukey's weights leave out what moved: single pixels, and cells of pixels whose errors together are too large,
as smooth parts of a moving object are. Positions of the moving picture are interpolated by a cubic spline:
linear and cubic convolution smooth by how far a position is from a pixel, and so draw the transform by
hundredths of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .._cv2 import import_cv2
from ..image import Picture
from .models import (
    Floats,
    Frame,
    Matrix,
    derivatives,
    jacobians,
    mapped,
    matrix_of,
    parameters_of,
    rms_distance,
    scaled,
)
from .warping import valid_pixels

SIGMA_PX = 0.5
"""Both pictures are blurred by as much: noise is smoothed alike wherever a position falls between pixels.
A blur of 1 px doubles the errors of sharp pictures, and of noisy ones makes them a half larger."""
N_PIXELS, N_TILES = 50_000, 8
"""So many pixels are compared: in each of 8 x 8 tiles those with the steepest gradient. All pixels of a
frame of 384 x 384 are no better."""
GRADIENT_SIGMA_PX = 1.0
"""Blur for the choice of pixels, so that noise does not choose."""
EDGE_PX = 3
"""Distance of the pixels from the border and from pixels without a value."""
FEWEST_PIXELS = 200
BRIGHTNESS = 3
"""Coefficients of the curve of brightness."""
SPLINE_REACH = 10
"""Radius of the filter of the spline, whose taps fall by 3.7 from one to the next: 2e-6 is cut off."""
DEFOCUS_SIGMA_PX = 1.0
"""Blur whose effect on the reference is one of the terms."""
TUKEY_WIDTH = 4.685
"""Errors of so many standard deviations have no weight: 95 % as exact as least squares on Gaussian noise.
With Cauchy's weight a small object that moves by 4 px draws a blurred frame by 0.09 px; with this, 0.02."""
CELL_PX = 16
"""Side of the cells. In a stack of 200 frames with a moving object, chained, the bias of a step was 1.3
thousandths of a pixel by pixels alone, 0.5 with cells of 16 or 32, 0.8 with cells of 8; 0.5 without the
object."""
MOST_BY_CELLS_PX = 0.05
"""Cells correct a transform that has settled without them by less, or not at all: what they leave out can
also be all structure beside a flat sky. Of 200 pairs under homographies 3 % more would be wrong by 0.1 px."""
MAD_TO_SIGMA = 1.4826
MAX_STEPS, SETTLED_PX = 20, 5e-4
"""Steps until the transform changes by less; mostly three."""
CORRELATION = 2.0
"""The standard error of independent pixels is multiplied by it: the blur and the interpolation correlate
their noise, and the curve of brightness is not exact. Errors on frames of known truth ask for 1.3 to 2.4."""
LARGEST_CHANGE = 6.0
"""A change of more than so many standard errors of the features is not taken."""

Grey = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Refined:
    """A transform refined by intensities."""

    matrix: Matrix
    uncertainty_px: float
    """Standard error at the control points, root mean square, in pixels of the reference."""


def refined(
    model: str,
    matrix: Matrix,
    moving: Picture,
    reference: Picture,
    control: Floats,
    uncertainty_px: float,
) -> tuple[Refined | None, str]:
    """Refine the transform of a moving picture to a reference.

    Parameters
    ----------
    model
        Name of the model.
    matrix
        (3, 3) map from the moving picture to the reference, from features.
    moving, reference
        The pictures, not reduced.
    control
        (N, 2) points of the moving picture at which transforms are compared.
    uncertainty_px
        Standard error of ``matrix`` at these points, root mean square, in pixels.

    Returns
    -------
    refined, reason
        The refined map and an empty string, or None and the reason why it is not better than ``matrix``.
    """
    back, pixels = np.asarray(np.linalg.inv(matrix)), _Pixels.chosen(model, matrix, moving, reference)
    if pixels is None:
        return None, "not refined: the pictures have too little structure in common"
    size = (reference.grey.shape[1], reference.grey.shape[0])
    settled = _settled(pixels, back, size, by_cells=False)
    if settled is None:
        return None, "not refined: the intensities lead to no transform"
    by_cells = _settled(pixels, settled[0], size, by_cells=True)
    if by_cells is not None and rms_distance(by_cells[0], settled[0], size) < MOST_BY_CELLS_PX:
        settled = by_cells
    back, covariance = settled
    found = scaled(np.asarray(np.linalg.inv(back)))
    return _judged(matrix, found, pixels, covariance, control, uncertainty_px)


def _settled(
    pixels: _Pixels, back: Matrix, size: tuple[int, int], *, by_cells: bool
) -> tuple[Matrix, Floats] | None:
    """The map from the reference that steps settle at, and its covariance; None if they do not."""
    weights = np.ones(len(pixels.points))
    for _ in range(MAX_STEPS):
        try:
            change, covariance, weights = pixels.step(back, weights, by_cells=by_cells)
            before, back = back, scaled(back @ change)
        except np.linalg.LinAlgError:
            return None
        moved = rms_distance(back, before, size)
        if moved < SETTLED_PX:
            return back, covariance
        if not np.isfinite(moved):
            return None
    return None


def _judged(
    before: Matrix, found: Matrix, pixels: _Pixels, covariance: Floats, control: Floats, uncertainty_px: float
) -> tuple[Refined | None, str]:
    """Take the result if it is more exact than the features, and agrees with them."""
    here, there = mapped(before, control), mapped(found, control)
    changes = _changes(pixels.model, pixels.frame, there)
    variance = np.einsum("nip,pq,niq->n", changes, covariance, changes)
    error_px = CORRELATION * float(np.sqrt(variance.mean()))
    if not error_px < uncertainty_px:
        return None, "not refined: the features are more exact than the intensities"
    moved_px = float(np.sqrt(np.mean(np.sum((there - here) ** 2, axis=1))))
    if not moved_px <= LARGEST_CHANGE * uncertainty_px:
        return None, f"not refined: it would move by {moved_px:.2f} px from the features"
    return Refined(found, error_px), ""


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Chosen pixels of the reference, and the moving picture to be sampled."""

    model: str
    frame: Frame
    """Coordinates of the reference."""
    points: Floats
    """(N, 2)."""
    values: Floats
    """(N,) of the reference."""
    gradients: Floats
    """(N, P) derivatives of the values by a change of the transform."""
    defocus: Floats
    """(N,) change of the values by a blur."""
    spline: Grey
    """Coefficients of the moving picture."""
    cells: NDArray[np.intp]
    """(N,) the cell of each point, numbered from 0 without gaps."""

    @classmethod
    def chosen(cls, model: str, matrix: Matrix, moving: Picture, reference: Picture) -> _Pixels | None:
        """Choose pixels; None if there are too few."""
        cv2 = import_cv2()
        rows, columns = _steepest(reference.grey, _common(matrix, moving, reference))
        if len(rows) < FEWEST_PIXELS:
            return None
        centre = np.array([[(n - 1) / 2 for n in moving.grey.shape[::-1]]])
        scale = float(np.sqrt(abs(np.linalg.det(jacobians(matrix, centre)[0]))))
        values = _blurred(reference.grey, SIGMA_PX)
        x, y = (
            cv2.Sobel(values, cv2.CV_32F, *axis, ksize=1, scale=0.5)[rows, columns]
            for axis in ((1, 0), (0, 1))
        )
        frame = Frame.of((values.shape[1], values.shape[0]))
        points = np.stack([columns, rows], axis=1).astype(np.float64)
        changes = _changes(model, frame, points)
        across = -(-values.shape[1] // CELL_PX)
        _, cells = np.unique(rows // CELL_PX * across + columns // CELL_PX, return_inverse=True)
        return cls(
            model=model,
            frame=frame,
            points=points,
            values=values[rows, columns].astype(np.float64),
            defocus=(_blurred(values, DEFOCUS_SIGMA_PX) - values)[rows, columns].astype(np.float64),
            gradients=x[:, None] * changes[:, 0] + y[:, None] * changes[:, 1],
            spline=_spline(_blurred(moving.grey, SIGMA_PX / scale)),
            cells=cells,
        )

    def _cell_weights(self, squares: Floats) -> Floats:
        """(N,) weight of each pixel's cell, by how far its mean square error exceeds the median cell's.

        The excess is in units of what chance gives, which falls with the root of the number of pixels.
        """
        n = np.bincount(self.cells)
        excess = np.bincount(self.cells, squares) / n
        excess = (excess - np.median(excess)) * np.sqrt(n)
        spread = MAD_TO_SIGMA * float(np.median(np.abs(excess))) + float(np.finfo(np.float32).tiny)
        return _tukey(np.maximum(excess, 0), TUKEY_WIDTH * spread)[self.cells]

    def step(self, back: Matrix, weights: Floats, *, by_cells: bool) -> tuple[Matrix, Floats, Floats]:
        """One Gauss-Newton step, ``by_cells`` with weights of cells as well.

        Returns
        -------
        change, covariance, weights
            (3, 3) map of the reference to itself, (P, P) of its parameters, and the (N,) new weights.
        """
        from scipy.ndimage import map_coordinates

        at = mapped(back, self.points).T[::-1]
        sampled = map_coordinates(self.spline, at, output=np.float64, mode="mirror", prefilter=False)
        terms = np.column_stack([np.vander(sampled, BRIGHTNESS), self.defocus])
        fitted, _ = _solved(terms, self.values, weights)
        errors = self.values - terms @ fitted
        sigma = max(MAD_TO_SIGMA * float(np.median(np.abs(errors))), float(np.finfo(np.float32).eps))
        limit = TUKEY_WIDTH * sigma
        weights = _tukey(errors, limit)
        if by_cells:
            weights = weights * self._cell_weights(np.minimum(errors**2, limit**2))
        found, inverse = _solved(np.hstack([self.gradients, terms]), errors, weights)
        n = self.gradients.shape[1]
        change = self.frame.in_pixels(matrix_of(self.model, _identity(self.model) + found[:n]))
        return change, inverse[:n, :n] * sigma**2, weights


def _identity(model: str) -> Floats:
    """The parameters of no change."""
    return parameters_of(model, np.eye(3))


def _changes(model: str, frame: Frame, points: Floats) -> Floats:
    """(N, 2, P) derivatives of points of the reference, in pixels, by a change from the identity."""
    return derivatives(model, _identity(model), mapped(frame.to_normal, points)) * frame.radius


def _solved(columns: Floats, values: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Weighted least squares: the coefficients, and the inverse of the normal matrix."""
    weighted = (columns * weights[:, None]).T
    inverse = np.asarray(np.linalg.inv(weighted @ columns), dtype=np.float64)
    return inverse @ (weighted @ values), inverse


def _tukey(errors: Floats, limit: float) -> Floats:
    """Tukey's biweight: 1 at an error of 0, 0 from ``limit`` on."""
    return np.asarray(np.maximum(1 - (errors / limit) ** 2, 0) ** 2)


def _blurred(grey: Grey, sigma: float) -> Grey:
    cv2 = import_cv2()
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), sigma, borderType=cv2.BORDER_REFLECT_101))


def _spline(grey: Grey) -> Grey:
    """Coefficients of the cubic spline through all pixels.

    As SciPy's ``spline_filter``, a tenth as long: the recursive filter, √3 (√3 - 2)^|k|, is cut off.
    """
    cv2 = import_cv2()
    k = np.arange(-SPLINE_REACH, SPLINE_REACH + 1)
    kernel = np.sqrt(3) * (np.sqrt(3) - 2) ** np.abs(k)
    return np.asarray(cv2.sepFilter2D(grey, cv2.CV_32F, kernel, kernel, borderType=cv2.BORDER_REFLECT_101))


def _common(matrix: Matrix, moving: Picture, reference: Picture) -> NDArray[np.uint8]:
    """(H, W) 1 at pixels of the reference that both pictures show, away from what they do not."""
    cv2 = import_cv2()
    (height, width), source = reference.grey.shape, moving.grey.shape[::-1]
    shown = valid_pixels(np.asarray(np.linalg.inv(matrix)), (0, 0, width, height), source).view(np.uint8)
    if moving.left_out is not None:
        has_value = (~moving.left_out).view(np.uint8)
        shown = shown & cv2.warpPerspective(has_value, matrix, (width, height), flags=cv2.INTER_NEAREST)
    if reference.left_out is not None:
        shown = shown & ~reference.left_out
    window = np.ones((2 * EDGE_PX + 1, 2 * EDGE_PX + 1), np.uint8)
    return np.asarray(cv2.erode(shown, window, borderType=cv2.BORDER_CONSTANT, borderValue=0))


def _steepest(grey: Grey, allowed: NDArray[np.uint8]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of the allowed pixels with the steepest gradient of each tile."""
    cv2 = import_cv2()
    soft = _blurred(grey, GRADIENT_SIGMA_PX)
    x, y = cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1)
    steepness = (x * x + y * y) * allowed
    chosen = np.zeros(grey.shape, bool)
    for rows in np.array_split(np.arange(grey.shape[0]), N_TILES):
        for columns in np.array_split(np.arange(grey.shape[1]), N_TILES):
            if len(rows) and len(columns):
                box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
                values = steepness[box]
                last = max(values.size - N_PIXELS // N_TILES**2, 0)
                limit = np.partition(values, last, axis=None)[last]
                chosen[box] = (values >= limit) & (values > 0)
    found = np.nonzero(chosen)
    return found[0], found[1]
