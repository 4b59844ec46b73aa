"""hpatches: the npz files of HPatches evaluations, ``<image>.<method>``.

``keypoints`` (N, 2), (0, 0) the centre of the top-left pixel; ``scores`` (N,), if responses are known;
``descriptors`` (N, 128) float32 of unit length. ``scales`` (σ) and ``oris`` (degrees) are added, as in hloc's
files, and ``image_size`` (width, height) and the convention; readers ignore them.
"""

from __future__ import annotations

import numpy as np

from ..errors import InputError
from ..features import Features
from ._conventions import known_scores, unit_length
from ._record import FeatureFile
from ._unit import features_of
from .npz import read_arrays, write_arrays

CONVENTION = (
    "HPatches: x, y; (0, 0) is the centre of the top-left pixel; scales are sigma, oris degrees clockwise on "
    "the screen; descriptors of unit length in Lowe's order"
)
_NAMES = ("keypoints", "scores", "descriptors", "scales", "oris", "image_size", "descriptor_kind")


def encode(features: Features) -> bytes:
    """Encode features as an npz file for HPatches evaluations."""
    return write_arrays(
        {
            "keypoints": features.xy,
            **known_scores("scores", features),
            "descriptors": unit_length(features.descriptors),
            "scales": features.scale,
            "oris": np.rad2deg(features.orientation.astype(np.float64)).astype(np.float32),
            "image_size": np.array(features.image_size),
            "descriptor_kind": np.array(features.descriptor_kind),
            "convention": np.array(CONVENTION),
        }
    )


def decode(data: bytes) -> FeatureFile:
    """Decode an npz file for HPatches evaluations; ``scales`` and ``oris`` may be missing."""
    arrays = read_arrays(data, _NAMES)
    for name in ("keypoints", "descriptors"):
        if name not in arrays:
            raise InputError(f"expected an array {name}, which the file lacks")
    return features_of("hpatches", CONVENTION, arrays)
