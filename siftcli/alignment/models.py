"""The models of registration: their parameters, matrices and derivatives.

A model maps points p to q. Parameters refer to normalised points, for which a :class:`Frame` moves the
centre of the picture to 0 and divides by half its diagonal, so that all parameters are of like size.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Matrix = NDArray[np.float64]
"""(3, 3) float64, with the last element 1."""

N_PARAMETERS = {"translation": 2, "rigid": 3, "similarity": 4, "affine": 6, "homography": 8}
VERIFIED_BY = {
    "translation": "similarity",
    "rigid": "similarity",
    "similarity": "similarity",
    "affine": "homography",
    "homography": "homography",
}
"""The model of :func:`siftcli.verify` that contains each model most closely."""


@dataclass(frozen=True)
class Frame:
    """Normalised coordinates of a picture."""

    centre: tuple[float, float]
    radius: float

    @classmethod
    def of(cls, size: tuple[int, int]) -> Frame:
        """The coordinates of a picture of (width, height) pixels."""
        width, height = size
        return cls(((width - 1) / 2, (height - 1) / 2), max(math.hypot(width, height) / 2, 1.0))

    @property
    def to_normal(self) -> Matrix:
        """(3, 3) map from pixels to normalised coordinates."""
        x, y = self.centre
        return np.array([[1, 0, -x], [0, 1, -y], [0, 0, self.radius]]) / self.radius

    def normalised(self, matrix: Matrix) -> Matrix:
        """A map of pixels as a map of normalised coordinates."""
        return scaled(self.to_normal @ matrix @ np.linalg.inv(self.to_normal))

    def in_pixels(self, matrix: Matrix) -> Matrix:
        """A map of normalised coordinates as a map of pixels."""
        return scaled(np.linalg.inv(self.to_normal) @ matrix @ self.to_normal)


def scaled(matrix: Matrix) -> Matrix:
    """The same map with the last element 1."""
    return np.asarray(matrix / matrix[2, 2])


def mapped(matrix: Matrix, points: Floats) -> Floats:
    """Map points (N, 2); those at or beyond infinity become NaN."""
    q = points @ matrix[:, :2].T + matrix[:, 2]
    w = np.where(q[:, 2:] > 0, q[:, 2:], np.nan)
    return np.asarray(q[:, :2] / w)


def matrix_of(model: str, parameters: Floats) -> Matrix:
    """(3, 3) map of a model with the given parameters."""
    p = [float(value) for value in parameters]
    if model == "translation":
        rows = [[1, 0, p[0]], [0, 1, p[1]], [0, 0, 1]]
    elif model == "rigid":
        cos, sin = math.cos(p[0]), math.sin(p[0])
        rows = [[cos, -sin, p[1]], [sin, cos, p[2]], [0, 0, 1]]
    elif model == "similarity":
        rows = [[p[0], -p[1], p[2]], [p[1], p[0], p[3]], [0, 0, 1]]
    elif model == "affine":
        rows = [p[:3], p[3:], [0, 0, 1]]
    else:
        rows = [p[:3], p[3:6], [*p[6:], 1]]
    return np.array(rows, dtype=np.float64)


def parameters_of(model: str, matrix: Matrix) -> Floats:
    """The parameters of the map of a model that is closest to ``matrix`` near the origin."""
    m = scaled(matrix)
    if model == "homography":
        return np.asarray(m.ravel()[:8])
    linear = m[:2, :2] - np.outer(m[:2, 2], m[2, :2])
    tx, ty = m[:2, 2]
    a, b = (linear[0, 0] + linear[1, 1]) / 2, (linear[1, 0] - linear[0, 1]) / 2
    if model == "translation":
        return np.array([tx, ty])
    if model == "rigid":
        return np.array([math.atan2(b, a), tx, ty])
    if model == "similarity":
        return np.array([a, b, tx, ty])
    return np.array([*linear[0], tx, *linear[1], ty])


def derivatives(model: str, parameters: Floats, points: Floats) -> NDArray[np.float64]:
    """(N, 2, P) derivatives of mapped points by the parameters."""
    x, y = points.T
    one, zero = np.ones_like(x), np.zeros_like(x)
    if model == "translation":
        rows = [[one, zero], [zero, one]]
    elif model == "rigid":
        cos, sin = math.cos(parameters[0]), math.sin(parameters[0])
        rows = [[-sin * x - cos * y, one, zero], [cos * x - sin * y, zero, one]]
    elif model == "similarity":
        rows = [[x, -y, one, zero], [y, x, zero, one]]
    elif model == "affine":
        rows = [[x, y, one, zero, zero, zero], [zero, zero, zero, x, y, one]]
    else:
        q = points @ matrix_of(model, parameters)[:, :2].T + matrix_of(model, parameters)[:, 2]
        w = q[:, 2]
        u, v = q[:, 0] / w, q[:, 1] / w
        head = [x / w, y / w, one / w]
        rows = [
            [*head, zero, zero, zero, -u * x / w, -u * y / w],
            [zero, zero, zero, *head, -v * x / w, -v * y / w],
        ]
    return np.stack([np.stack(row, axis=-1) for row in rows], axis=1)


def jacobians(matrix: Matrix, points: Floats) -> NDArray[np.float64]:
    """(N, 2, 2) derivatives of mapped points by the points."""
    image = mapped(matrix, points)
    w = points @ matrix[2, :2] + matrix[2, 2]
    return np.asarray((matrix[None, :2, :2] - image[:, :, None] * matrix[None, 2:, :2]) / w[:, None, None])


@dataclass(frozen=True)
class Motion:
    """What a transform does at the centre of a picture."""

    shift: tuple[float, float]
    """(dx, dy) of the centre in pixels."""
    rotation_deg: float
    """In (-180, 180], counter-clockwise on the screen."""
    scale: float
    """Ratio of lengths after to lengths before."""


def motion(matrix: Matrix, size: tuple[int, int]) -> Motion:
    """Shift, rotation and scale of a map at the centre of a picture of (width, height) pixels."""
    centre = np.array([(size[0] - 1) / 2, (size[1] - 1) / 2])
    image = mapped(matrix, centre[None])[0]
    jacobian = jacobians(matrix, centre[None])[0]
    clockwise = math.atan2(jacobian[1, 0] - jacobian[0, 1], jacobian[0, 0] + jacobian[1, 1])
    dx, dy = (image - centre).tolist()
    degrees = -math.degrees(clockwise)
    return Motion(
        (dx, dy),
        180.0 if degrees == -180 else degrees + 0.0,
        math.sqrt(abs(float(np.linalg.det(jacobian)))),
    )


def grid(size: tuple[int, int], n: int = 9) -> Floats:
    """(n², 2) points spread evenly over a picture of (width, height) pixels, its corners included."""
    x, y = (np.linspace(0, side - 1, n) for side in size)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)


def rms_distance(a: Matrix, b: Matrix, size: tuple[int, int]) -> float:
    """Root mean square distance in pixels between two maps, over a picture of (width, height) pixels."""
    points = grid(size)
    difference = mapped(a, points) - mapped(b, points)
    return float(np.sqrt(np.mean(np.sum(difference**2, axis=1))))
