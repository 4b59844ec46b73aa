"""lowe: the ``.key`` files of Lowe's program.

``N 128``, then per keypoint ``row column σ orientation`` (0, 0 the centre of the top-left pixel;
radians in [−π, π], counter-clockwise on the screen) and 128 whole numbers, 20 a line.
"""

from __future__ import annotations

import numpy as np

from ..features import DESCRIPTOR_LENGTH, Features
from ._conventions import TWO_PI, foreign
from ._numbers import counted, lines, text
from ._record import FeatureFile

CONVENTION = (
    "Lowe: row, col, sigma, orientation; (0, 0) is the centre of the top-left pixel; radians in [-pi, pi], "
    "counter-clockwise on the screen; descriptor in Lowe's order"
)
_PER_LINE = 20


def encode(features: Features) -> bytes:
    """Encode features as a ``.key`` file."""
    theta = features.orientation.astype(np.float64)
    angle = np.where(theta > np.pi, TWO_PI - theta, -theta)
    frames = lines([features.xy[:, 1], features.xy[:, 0], features.scale, angle])
    content = [f"{len(features)} {DESCRIPTOR_LENGTH}"]
    for frame, descriptor in zip(frames, features.descriptors.tolist(), strict=True):
        content.append(frame)
        for i in range(0, DESCRIPTOR_LENGTH, _PER_LINE):
            content.append(" " + " ".join(map(str, descriptor[i : i + _PER_LINE])))
    return text(content)


def decode(data: bytes) -> FeatureFile:
    """Decode a ``.key`` file."""
    values = counted(data, 4 + DESCRIPTOR_LENGTH)
    return foreign(
        "lowe",
        CONVENTION,
        xy=values[:, 1::-1],
        scale=values[:, 2],
        orientation=-values[:, 3],
        descriptors=values[:, 4:],
    )
