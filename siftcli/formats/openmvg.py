"""openmvg: ``<base>.feat`` and ``<base>.desc``, as OpenMVG and AliceVision read them.

``.feat``: ``x y σ θ`` a line; ``.desc``: the count as 8 bytes, little-endian, then N × 128 bytes in
VLFeat's order. (0, 0) is the centre of the top-left pixel of the stored image. AliceVision finds them
only under the ids of its views (``_alicevision``).
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..features import DESCRIPTOR_LENGTH, Features
from ._conventions import foreign, in_stored_frame, reversed_bins
from ._numbers import lines, table, text
from ._record import FeatureFile

CONVENTION = (
    "OpenMVG: x, y, sigma, theta; (0, 0) is the centre of the top-left pixel; radians, clockwise on the "
    "screen; descriptor in VLFeat's order"
)
_COUNT_BYTES = 8


def encode_pair(features: Features) -> tuple[bytes, bytes]:
    """Encode features as a ``.feat`` and a ``.desc`` file."""
    stored = in_stored_frame(features)
    frames = text(lines([stored.xy[:, 0], stored.xy[:, 1], stored.scale, stored.orientation]))
    return frames, len(stored).to_bytes(_COUNT_BYTES, "little") + reversed_bins(stored.descriptors).tobytes()


def decode_pair(frames: bytes, descriptors: bytes) -> FeatureFile:
    """Decode a ``.feat`` and its ``.desc`` file."""
    values = table(frames, 4)
    n = int.from_bytes(descriptors[:_COUNT_BYTES], "little")
    expected = _COUNT_BYTES + n * DESCRIPTOR_LENGTH
    if len(descriptors) != expected:
        raise InputError(f"expected {expected} bytes for the {n} descriptors stated, got {len(descriptors)}")
    if n != len(values):
        raise InputError(f"expected as many descriptors as features, got {n} and {len(values)}")
    vectors = np.frombuffer(descriptors, np.uint8, offset=_COUNT_BYTES).reshape(n, DESCRIPTOR_LENGTH)
    return foreign(
        "openmvg",
        CONVENTION,
        xy=values[:, :2],
        scale=values[:, 2],
        orientation=values[:, 3],
        descriptors=reversed_bins(vectors),
    )
