"""Two views: their true relative pose, and the error of an estimate."""

from __future__ import annotations

import math

import numpy as np

from ...matching.cameras import RelativePose
from .scenes import View

WRONG_DEG = 180.0
"""Error of a pose that could not be estimated."""


def relative_pose(first: View, second: View) -> RelativePose:
    """The true pose of the second camera seen from the first."""
    rotation = second.rotation @ first.rotation.T
    return RelativePose(rotation, second.translation - rotation @ first.translation)


def pose_error_deg(estimated: RelativePose, truth: RelativePose) -> float:
    """The larger of the rotation's angle and the angle between the directions of translation, in degrees.

    Where a camera does not move, its direction is not defined and its rotation alone counts.
    """
    turned = (np.trace(estimated.rotation.T @ truth.rotation) - 1) / 2
    angle = math.degrees(math.acos(np.clip(turned, -1, 1)))
    lengths = np.linalg.norm(estimated.translation) * np.linalg.norm(truth.translation)
    if lengths == 0:
        return WRONG_DEG if np.linalg.norm(truth.translation) > 0 else angle
    cosine = estimated.translation @ truth.translation / lengths
    return max(angle, math.degrees(math.acos(np.clip(cosine, -1, 1))))


def auc_share(error_deg: float, limit_deg: float) -> float:
    """What one pair adds to the area under the recall curve up to a limit, divided by the limit.

    The curve is the share of pairs with at most an error e; its area up to t, over t, is the mean over pairs
    of max(0, 1 − e/t).
    """
    return max(0.0, 1 - error_deg / limit_deg)
