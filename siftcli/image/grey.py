"""Samples to grey in [0, 1].

* Grey is 0.299 R + 0.587 G + 0.114 B (ITU-R BT.601), computed sample by sample
  without rounding, so that it commutes exactly with rotating and mirroring. JPEG stores it, rounded
  (``pillow.py``).
* Integer samples are divided by their full scale; float samples are used unchanged.
* Transparent pixels are blended with white, as viewers do: the hidden colour of a fully
  transparent pixel has no effect.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .decoded import Decoded

GREY_WEIGHTS = (299, 587, 114)
"""ITU-R BT.601, in thousandths: whole numbers make the sum of whole samples exact."""
_WEIGHT_SUM = 1000

_SAMPLES_AT_ONCE = 1 << 16


def plain_grey(decoded: Decoded, dtype: type[np.floating[Any]]) -> NDArray[Any]:
    """(H, W) grey, samples over their full scale, in the stored frame."""
    samples = decoded.samples
    if samples.dtype in (np.uint8, np.uint16) and samples.shape[2] == 1:
        # Rounded once: no quotient of two such numbers lies halfway between two float32.
        return np.asarray(np.divide(samples[:, :, 0], dtype(decoded.full_scale)))
    grey = np.empty(samples.shape[:2], dtype)
    # In double precision, a few rows at a time, to save memory.
    n_rows = max(1, _SAMPLES_AT_ONCE // samples.shape[1])
    for first in range(0, len(grey), n_rows):
        rows = slice(first, first + n_rows)
        grey[rows] = _grey_rows(samples[rows], decoded)
    return grey


def _grey_rows(samples: NDArray[Any], decoded: Decoded) -> NDArray[np.floating]:
    grey = _weighted(samples, decoded.full_scale)
    if has_alpha(samples):
        alpha = np.divide(samples[:, :, -1], decoded.full_scale, dtype=np.float64)
        grey = (grey if decoded.premultiplied else grey * alpha) + (1 - alpha)
    return grey


def _weighted(samples: NDArray[Any], full_scale: float) -> NDArray[np.floating]:
    """Compute grey over its full scale; for R = G = B exactly the value of the grey image.

    Sums and products are those of single samples, never of a matrix product, whose
    order of summation may depend on where in memory a pixel lies.
    """
    if samples.shape[2] < 3:
        return np.asarray(np.divide(samples[:, :, 0], full_scale, dtype=np.float64))
    # Sums of 8-bit samples are exact in single precision, and their quotients round to the same numbers as in
    # double precision: none is close to halfway between two float32.
    dtype = np.float32 if samples.dtype == np.uint8 and not has_alpha(samples) else np.float64
    total = np.zeros(samples.shape[:2], dtype)
    for channel, weight in enumerate(GREY_WEIGHTS):
        total += np.multiply(samples[:, :, channel], weight, dtype=dtype)
    return np.asarray(total / (full_scale * _WEIGHT_SUM))


def has_alpha(samples: NDArray[Any]) -> bool:
    """Whether the last of the samples (H, W, C) is alpha."""
    return samples.shape[2] in (2, 4)
