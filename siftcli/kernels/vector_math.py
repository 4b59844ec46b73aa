"""Mathematical functions of vectors, without a call to the mathematics library.

That library differs from machine to machine in the last bit; these functions do not.
"""

from __future__ import annotations

import math

import numpy as np

from .decorators import inlined
from .vectors import absolute, fma, maximum, minimum, splat, where_greater

_ZERO, _ONE, _SMALLEST = np.float32(0), np.float32(1), np.float32(1e-30)
_HALF_PI, _PI, _TWO_PI = np.float32(math.pi / 2), np.float32(math.pi), np.float32(2 * math.pi)

# Minimax fit of arctan(t)/t in t² over 0 ≤ t ≤ 1 (iteratively reweighted least squares): the error
# stays below 4e-8 rad before rounding, less than the spacing of float32 near 1.
_ARCTANGENT = tuple(
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


@inlined
def direction(gy, gx):
    """atan2(gy, gx) of two vectors: radians in [0, 2π], with an error of some 1e-7; 0 where both are 0.

    Rotating a gradient by 90° adds π/2, up to rounding.
    """
    ax, ay = absolute(gx), absolute(gy)
    t = minimum(ax, ay) / maximum(maximum(ax, ay), splat(_SMALLEST))
    u = t * t
    series = splat(_ARCTANGENT[7])
    for i in range(6, -1, -1):
        series = fma(series, u, splat(_ARCTANGENT[i]))
    angle = t * series
    angle = where_greater(ay, ax, splat(_HALF_PI) - angle, angle)
    angle = where_greater(splat(_ZERO), gx, splat(_PI) - angle, angle)
    return where_greater(splat(_ZERO), gy, splat(_TWO_PI) - angle, angle)


_SQUARINGS = 5
_SHRINK = np.float32(-0.5 / (1 << _SQUARINGS))


@inlined
def gaussian(t2):
    """exp(−t²/2) of a vector ``t2`` of values t² from 0 to 100.

    The power series of a 32nd part of the exponent, squared five times. The error is at most 5e-6 of the
    value for t² ≤ 16, and 1e-9 in all beyond.
    """
    v = t2 * splat(_SHRINK)
    one = splat(_ONE)
    series = one
    for i in range(7, 0, -1):
        series = fma(v * splat(_ONE / np.float32(i)), series, one)
    for _ in range(_SQUARINGS):
        series = series * series
    return series
