"""The ranking score of a keypoint, and what follows from it for its contrast (beyond the papers).

Of two structures of equal contrast, the larger and rounder is found again more often in another view. So the
score is contrast · roundness^q · σ^p. Near the border it is lower: what lies beyond is padding, which differs
from view to view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..params import KeypointParams


def response_of(
    value: NDArray[np.float64],
    roundness: NDArray[np.float64],
    sigma: NDArray[np.float64],
    to_border: NDArray[np.float64],
    contrast: float,
    params: KeypointParams,
) -> NDArray[np.float32]:
    """The ranking scores of N keypoints.

    Parameters
    ----------
    value
        (N,) interpolated DoG value.
    roundness
        (N,) in (0, 1]; 1 for a round structure.
    sigma, to_border
        (N,) σ and distance to the border, in input pixels.
    contrast
        |DoG| that any keypoint needs.
    params
        Powers, reach of the border, and whether only the contrast above the threshold counts.
    """
    counted = np.maximum(np.abs(value) - contrast * params.response_excess, 0)
    response = counted * roundness**params.roundness_power * sigma**params.response_power
    if params.border_reach > 0:
        response *= -np.expm1(-((np.maximum(to_border, 0) / (params.border_reach * sigma)) ** 2))
    return np.asarray(response, np.float32)


def least_contrast(
    sigma: NDArray[np.float64], contrast: float, params: KeypointParams
) -> NDArray[np.float64]:
    """|DoG| (N,) that a round keypoint of σ (N,), in input pixels, needs to reach the response threshold.

    ``contrast`` is what any keypoint needs.
    """
    needed = contrast * params.response_threshold / sigma**params.response_power
    return np.maximum(needed + contrast * params.response_excess, contrast)


def least_roundness(params: KeypointParams) -> float:
    """The roundness of curvatures whose ratio is ``edge_threshold`` (Lowe, section 4.1)."""
    return 4 / (params.edge_threshold + 2 + 1 / params.edge_threshold)
