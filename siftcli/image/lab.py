"""CIE L*a*b* -> sRGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_WHITE_D50 = np.array([0.9642, 1.0, 0.8249])
"""ICC.1, section 7.2.16: the white of the profile connection space."""
_EPSILON = 6 / 29
# XYZ under D50 to linear sRGB, with Bradford's adaptation: IEC 61966-2-1 and ICC.1, annex E.
_TO_LINEAR = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)


def srgb_of_lab(lab: NDArray[Any]) -> NDArray[np.float32]:
    """Convert, white point D50, clipped to [0, 1].

    Parameters
    ----------
    lab
        (H, W, 3) L* of 0 to 100, a* and b*; or (H, W, 1), L* alone.

    Returns
    -------
    ndarray of float32
        (H, W, 3) sRGB; or (H, W, 1), grey.
    """
    fy = (lab[:, :, 0] + 16) / 116
    if lab.shape[2] == 1:
        return _encoded(_cube(fy)[:, :, np.newaxis])
    xyz = [_cube(fy + lab[:, :, 1] / 500), _cube(fy), _cube(fy - lab[:, :, 2] / 200)]
    scaled = [white * one for white, one in zip(_WHITE_D50, xyz, strict=True)]
    linear = [sum(weight * one for weight, one in zip(row, scaled, strict=True)) for row in _TO_LINEAR]
    return _encoded(np.dstack(linear))


def _cube(f: NDArray[Any]) -> NDArray[Any]:
    """The inverse of CIE 15's f."""
    return np.where(f > _EPSILON, f**3, 3 * _EPSILON**2 * (f - 4 / 29))


def _encoded(linear: NDArray[Any]) -> NDArray[np.float32]:
    """IEC 61966-2-1's transfer function."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055).astype(
        np.float32
    )
