"""Two scores of a keypoint: the stability that it needs, and the response by which it is ranked.

Of two structures of equal contrast, the larger and rounder is found again more often in another view. So the
stability is contrast · roundness^q · σ^p. But the smaller is placed more exactly, which counts where poses
and points are computed from what was found again. So the response has another power of σ. Near the border
both are lower: what lies beyond is padding, which differs from view to view.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..params import KeypointParams


def stability_of(
    value: NDArray[np.float64],
    roundness: NDArray[np.float64],
    sigma: NDArray[np.float64],
    contrast: float,
    params: KeypointParams,
) -> NDArray[np.float64]:
    """The stabilities of N keypoints far from the border.

    Parameters
    ----------
    value
        (N,) interpolated DoG value.
    roundness
        (N,) in (0, 1]; 1 for a round structure.
    sigma
        (N,) σ in input pixels.
    contrast
        |DoG| that any keypoint needs.
    params
        Powers, and whether only the contrast above the threshold counts.
    """
    counted = np.maximum(np.abs(value) - contrast * params.stability_excess, 0)
    return np.asarray(counted * roundness**params.stability_roundness * sigma**params.stability_power)


def response_of(
    value: NDArray[np.float64],
    roundness: NDArray[np.float64],
    sigma: NDArray[np.float64],
    params: KeypointParams,
) -> NDArray[np.float64]:
    """The responses of N keypoints far from the border; the arguments are those of :func:`stability_of`."""
    return np.asarray(np.abs(value) * roundness**params.ranking_roundness * sigma**params.ranking_power)


def border_factor(
    to_border: NDArray[np.float64], sigma: NDArray[np.float64], params: KeypointParams
) -> NDArray[np.float64]:
    """Factor (N,) of stability and response, from the distance to the border and σ (N,), in input pixels."""
    if params.border_reach == 0:
        return np.ones(len(sigma))
    return np.asarray(-np.expm1(-((np.maximum(to_border, 0) / (params.border_reach * sigma)) ** 2)))


def least_contrast(
    sigma: NDArray[np.float64], contrast: float, params: KeypointParams
) -> NDArray[np.float64]:
    """|DoG| (N,) that a round keypoint of σ (N,), in input pixels, needs to be stable.

    ``contrast`` is what any keypoint needs.
    """
    needed = contrast * params.stability_threshold / sigma**params.stability_power
    return np.maximum(needed + contrast * params.stability_excess, contrast)


def least_roundness(params: KeypointParams) -> float:
    """The roundness of curvatures whose ratio is ``edge_threshold`` (Lowe, section 4.1)."""
    return 4 / (params.edge_threshold + 2 + 1 / params.edge_threshold)
