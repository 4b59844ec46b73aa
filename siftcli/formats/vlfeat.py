"""vlfeat: what VLFeat's ``sift`` program writes.

``.sift``: ``x y σ θ`` and 128 whole numbers a line, no header. ``.frame`` and ``.descr``: the same in
two files. (0, 0) is the centre of the top-left pixel; descriptors are in VLFeat's order.
"""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

from ..errors import InputError
from ..features import DESCRIPTOR_LENGTH, Features
from ._conventions import foreign, reversed_bins
from ._numbers import integer_lines, lines, table, text
from ._record import FeatureFile

CONVENTION = (
    "VLFeat: x, y, sigma, theta; (0, 0) is the centre of the top-left pixel; radians, clockwise on the "
    "screen; descriptor in VLFeat's order"
)


def encode(features: Features) -> bytes:
    """Encode features as a ``.sift`` file."""
    return text(lines(_frames(features), reversed_bins(features.descriptors)))


def decode(data: bytes) -> FeatureFile:
    """Decode a ``.sift`` file."""
    values = table(data, 4 + DESCRIPTOR_LENGTH)
    return _file(values[:, :4], values[:, 4:])


def encode_pair(features: Features) -> tuple[bytes, bytes]:
    """Encode features as a ``.frame`` and a ``.descr`` file."""
    descriptors = reversed_bins(features.descriptors)
    return text(lines(_frames(features))), text(integer_lines(descriptors))


def decode_pair(frames: bytes, descriptors: bytes) -> FeatureFile:
    """Decode a ``.frame`` and its ``.descr`` file."""
    first, second = table(frames, 4), table(descriptors, DESCRIPTOR_LENGTH)
    if len(first) != len(second):
        raise InputError(f"expected as many descriptors as frames, got {len(second)} and {len(first)}")
    return _file(first, second)


def _frames(features: Features) -> list[NDArray[Any]]:
    return [features.xy[:, 0], features.xy[:, 1], features.scale, features.orientation]


def _file(frames: NDArray[Any], descriptors: NDArray[Any]) -> FeatureFile:
    return foreign(
        "vlfeat",
        CONVENTION,
        xy=frames[:, :2],
        scale=frames[:, 2],
        orientation=frames[:, 3],
        descriptors=reversed_bins(descriptors),
    )
