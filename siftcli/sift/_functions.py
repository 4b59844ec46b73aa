"""Functions of the kernels without a call to the mathematics library: loops over them vectorise."""

from __future__ import annotations

import math

import numpy as np

from ._jit import subroutine

_HALF_PI, _PI, _TWO_PI = np.float32(math.pi / 2), np.float32(math.pi), np.float32(2 * math.pi)
_SMALLEST = np.float32(1e-30)

# Minimax fit of arctan(t)/t in t² over 0 ≤ t ≤ 1 (iteratively reweighted least squares): the error
# stays below 4e-8 rad before rounding, less than the spacing of float32 near 1.
_C0, _C1, _C2, _C3, _C4, _C5, _C6, _C7 = (
    np.float32(c)
    for c in (
        0.9999993443489075,
        -0.33329859375953674,
        0.19946566224098206,
        -0.1390862911939621,
        0.0964219719171524,
        -0.0559123195707798,
        0.021862953901290894,
        -0.004054565913975239,
    )
)


@subroutine
def direction(gy, gx):
    """atan2(gy, gx) in [0, 2π], float32; 0 for a zero gradient. Turning by 90° adds π/2 up to rounding."""
    ax, ay = abs(gx), abs(gy)
    steep = ay > ax
    low, high = (ax if steep else ay), (ay if steep else ax)
    t = low / max(high, _SMALLEST)
    u = t * t
    angle = t * (_C0 + u * (_C1 + u * (_C2 + u * (_C3 + u * (_C4 + u * (_C5 + u * (_C6 + u * _C7)))))))
    angle = _HALF_PI - angle if steep else angle
    angle = _PI - angle if gx < 0 else angle
    return _TWO_PI - angle if gy < 0 else angle


_SQUARINGS = 5
_SHRINK = np.float32(0.5 / (1 << _SQUARINGS))


@subroutine
def gaussian(t2):
    """exp(−t²/2) of t² from 0 to 16, float32, to 5e-6: the series of a 32nd part, squared five times."""
    v = t2 * _SHRINK
    series = np.float32(1)
    for i in range(7, 0, -1):
        series = np.float32(1) - v / np.float32(i) * series
    for _ in range(_SQUARINGS):
        series = series * series
    return series
