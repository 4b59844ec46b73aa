"""oxford: the ellipses of the Oxford (VGG) benchmarks.

The descriptor's length (1.0 without descriptors) and N, each on a line; then ``x y a b c`` and the
descriptor: the region a(x−u)² + 2b(x−u)(y−v) + c(y−v)² = 1. A keypoint is a circle of radius σ,
a = c = 1/σ², b = 0; an ellipse is read as the circle of equal area.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..features import DESCRIPTOR_LENGTH, Features
from ._conventions import foreign
from ._numbers import numbers, rows, text
from ._record import FeatureFile, shortest

CONVENTION = (
    "Oxford: x, y, a, b, c of the ellipse a(x-u)^2 + 2b(x-u)(y-v) + c(y-v)^2 = 1, a circle of radius sigma; "
    "(0, 0) is the centre of the top-left pixel; descriptor in Lowe's order"
)


def encode(features: Features) -> bytes:
    """Encode features as circles."""
    # in double precision: 1/sigma^2 of a float32 can leave its range
    a = [repr(value) for value in (features.scale.astype(np.float64) ** -2).tolist()]
    xs, ys = shortest(features.xy[:, 0]), shortest(features.xy[:, 1])
    descriptors = [" ".join(map(str, row)) for row in features.descriptors.tolist()]
    body = [f"{x} {y} {c} 0 {c} {d}" for x, y, c, d in zip(xs, ys, a, descriptors, strict=True)]
    return text([str(DESCRIPTOR_LENGTH), str(len(features)), *body])


def decode(data: bytes) -> FeatureFile:
    """Decode a file of ellipses, with 128-vectors or none."""
    values = numbers(data)
    if len(values) < 2 or values[0] not in (0, 1, DESCRIPTOR_LENGTH) or values[1] != np.floor(values[1]):
        raise InputError(f"expected a descriptor length of {DESCRIPTOR_LENGTH} (or 1.0) and a count")
    length = DESCRIPTOR_LENGTH if values[0] == DESCRIPTOR_LENGTH else 0
    table = rows(values[2:], values[1], 5 + length) if values[1] > 0 else _none(values, 5 + length)
    with np.errstate(invalid="ignore", over="ignore"):
        determinant = table[:, 2] * table[:, 4] - table[:, 3] ** 2
        is_ellipse = (determinant > 0) & (table[:, 2] > 0) & np.isfinite(determinant)
    if not is_ellipse.all():
        raise InputError(f"expected ellipses; row {int(np.argmin(is_ellipse))} is none")
    return foreign(
        "oxford",
        CONVENTION,
        xy=table[:, :2],
        scale=determinant**-0.25,
        descriptors=table[:, 5:] if length else None,
    )


def _none(values: np.ndarray, n_columns: int) -> np.ndarray:
    if values[1] != 0 or len(values) > 2:
        raise InputError(f"expected a count of at least 0 and as many rows, got {values[1]:g}")
    return np.zeros((0, n_columns))
