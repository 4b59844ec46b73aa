"""How noisy an image is, and how much contrast a keypoint of it therefore needs.

What a difference of Gaussians must exceed to be a structure and no accident is in proportion to the noise. A
fixed threshold is one for noisy images, and drops most of what a clean one shows.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..kernels.decorators import kernel
from ..params import SiftParams

FULL_NOISE = 1 / 255
"""Standard deviation of the noise, image in [0, 1], from which the whole contrast threshold applies: that of
a clean 8-bit camera."""
_BINS = 512
"""Of the histogram up to ``FULL_NOISE``."""
_MEDIAN_OF_NORMAL = 0.6745
"""Median of |x| of a standard normal distribution."""


def params_for(image: NDArray[np.float32], params: SiftParams) -> SiftParams:
    """The parameters with the contrast threshold that the image's noise asks for (``clean_contrast``)."""
    if params.clean_contrast == 1:
        return params
    share = max(noise_share(image), params.clean_contrast)
    return params.override(contrast_threshold=params.contrast_threshold * share)


def noise_share(image: NDArray[np.float32]) -> float:
    """The noise's standard deviation over ``FULL_NOISE``, at most 1.

    The mask of Immerkær (*Fast Noise Variance Estimation*, CVIU 1996), which is blind to planes and straight
    edges, and the median of its absolute values, which structures change little. The image turned or mirrored
    has the same: sums of so few values are exact in double precision.

    Parameters
    ----------
    image
        (H, W) float32, grey values in [0, 1].
    """
    if min(image.shape) < 3:
        return 1.0
    counts = np.zeros(_BINS + 1, np.int64)
    _count(image, 6 * FULL_NOISE * _MEDIAN_OF_NORMAL / _BINS, counts)
    # Of the bins before the last, the one up to which half of the values lie.
    below = int(np.searchsorted(np.cumsum(counts), counts.sum() / 2))
    return min(below / _BINS, 1.0)


@kernel("void(float32[:, ::1], float64, int64[::1])")
def _count(image, width, counts):
    """Histogram of the mask's absolute values; the last bin takes the rest."""
    height, n_columns = image.shape
    last = len(counts) - 1
    for y in range(1, height - 1):
        above, row, below = image[y - 1], image[y], image[y + 1]
        for x in range(1, n_columns - 1):
            corners = (np.float64(above[x - 1]) + above[x + 1]) + (np.float64(below[x - 1]) + below[x + 1])
            sides = (np.float64(above[x]) + below[x]) + (np.float64(row[x - 1]) + row[x + 1])
            value = abs(corners - 2 * sides + 4 * np.float64(row[x]))
            counts[min(int(value / width), last)] += 1
