"""lightglue: npz files whose arrays are LightGlue's input, an image each.

``keypoints`` (N, 2), (0, 0) the centre of the top-left pixel; ``descriptors`` (N, 128) RootSIFT of unit
length in Lowe's order; ``scales`` (N,) σ in pixels; ``oris`` (N,) radians in [0, 2π), clockwise on the
screen; ``keypoint_scores`` (N,), not there if no response is known, as of features from a COLMAP database:
LightGlue does not read it; ``image_size`` (width, height). All are float32. ``exif_orientation`` is the one
that was applied. There are no texts, so that every array can become a tensor.

hloc's and HPatches' files have the same names with angles in degrees, which LightGlue would take for
radians.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError
from ..features import UNKNOWN_SIZE, Features
from ._conventions import known_scores, unit_length
from ._record import FeatureFile
from ._unit import features_of
from .npz import read_arrays, write_arrays

CONVENTION = (
    "LightGlue: x, y; (0, 0) is the centre of the top-left pixel; scales are sigma, oris radians clockwise "
    "on the screen; RootSIFT descriptors of unit length in Lowe's order"
)
_NAMES = ("keypoints", "descriptors", "scales", "oris", "keypoint_scores", "image_size", "exif_orientation")
_REQUIRED = _NAMES[:4]
LARGEST_ANGLE = float(np.float32(2 * np.pi))
"""An angle beyond it, in either direction, is not in radians."""


def encode(features: Features) -> bytes:
    """Encode features as an npz file for LightGlue.

    Raises
    ------
    OutputError
        If the descriptors are not RootSIFT, or the size of the image is unknown.
    """
    _check(features)
    arrays = {
        "keypoints": features.xy,
        "descriptors": unit_length(features.descriptors),
        "scales": features.scale,
        "oris": features.orientation,
        "image_size": np.array(features.image_size, np.float32),
        "exif_orientation": np.array(features.exif_orientation, np.int32),
    }
    return write_arrays(arrays | known_scores("keypoint_scores", features))


def _check(features: Features) -> None:
    """Refuse what LightGlue would misunderstand without a word."""
    name = features.image_name or "the features"
    if len(features) and features.descriptor_kind != "rootsift":
        raise OutputError(
            f"{name}: LightGlue expects RootSIFT, got SIFT descriptors, whose bytes are too coarse to be "
            "converted exactly; detect again with --rootsift"
        )
    if len(features) and not features.descriptors.any():
        raise OutputError(f"{name}: LightGlue expects descriptors, got none; detect again")
    if tuple(features.image_size) == UNKNOWN_SIZE:
        raise OutputError(f"{name}: LightGlue expects the size of the image; name its folder with --images")


def decode(data: bytes) -> FeatureFile:
    """Decode an npz file for LightGlue."""
    arrays = read_arrays(data, _NAMES)
    for name in _REQUIRED:
        if name not in arrays:
            raise InputError(f"expected an array {name}, which the file lacks")
    arrays["descriptor_kind"] = np.array("rootsift")
    if "keypoint_scores" in arrays:
        arrays["scores"] = arrays.pop("keypoint_scores")
    content = features_of("lightglue", CONVENTION, arrays, in_radians=True)
    _check_radians(arrays["oris"])
    tag = _orientation(arrays.get("exif_orientation"))
    return content._replace(features=replace(content.features, exif_orientation=tag))


def _check_radians(oris: NDArray[Any]) -> None:
    if len(oris) and (largest := float(np.abs(oris).max())) > LARGEST_ANGLE:
        raise InputError(f"expected oris in radians, got {largest:g}; are they in degrees?")


def _orientation(value: NDArray[Any] | None) -> int:
    """EXIF orientation; 1 if it is not recorded."""
    if value is None:
        return 1
    if value.shape != () or value.dtype.kind not in "iu" or not 1 <= int(value) <= 8:
        raise InputError("expected exif_orientation as a whole number from 1 to 8")
    return int(value)
