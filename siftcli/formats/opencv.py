"""opencv: a YAML file for ``cv2.FileStorage``, written only.

``keypoints`` is a sequence of ``[x, y, size, angle, response, octave, class_id]``, size 2σ and angle in
degrees, as ``operator>>`` of C++ reads it; ``descriptors`` a float32 matrix. Not read, because OpenCV's
reader turns a small malformed file into a crash or a huge allocation.
"""

from __future__ import annotations

import numpy as np

from .._cv2 import packed_octaves
from ..features import DESCRIPTOR_LENGTH, Features
from ..params import SiftParams
from ._record import shortest

CONVENTION = (
    "OpenCV: x, y, size, angle, response, octave, class_id; (0, 0) is the centre of the top-left pixel; "
    "size is 2 sigma; angle in degrees, clockwise on the screen; descriptor in Lowe's order"
)
_PER_LINE = 16
_NO_CLASS = -1


def encode(features: Features) -> bytes:
    """Encode features as a YAML file of OpenCV's."""
    n = len(features)
    head = ["%YAML:1.0", "---", f'convention: "{CONVENTION}"', f"image_width: {features.image_size[0]}"]
    head += [f"image_height: {features.image_size[1]}", f"descriptor_kind: {features.descriptor_kind}"]
    matrix = [
        "descriptors: !!opencv-matrix",
        f"   rows: {n}",
        f"   cols: {DESCRIPTOR_LENGTH if n else 0}",
        "   dt: f",
        f"   data: [ {_wrapped(features)} ]",
    ]
    return ("\n".join([*head, *_keypoints(features), *matrix]) + "\n").encode("ascii")


def _keypoints(features: Features) -> list[str]:
    if not len(features):
        return ["keypoints: []"]
    degrees = np.rad2deg(features.orientation.astype(np.float64)).astype(np.float32)
    columns = [features.xy[:, 0], features.xy[:, 1], 2 * features.scale, degrees, features.response]
    frames = zip(*(map(_real, shortest(column)) for column in columns), strict=True)
    params = features.params or SiftParams()
    packed = packed_octaves(features.octave, features.scale, params.levels_per_octave, params.sigma)
    rows = [
        f"   - [ {', '.join(frame)}, {octave}, {_NO_CLASS} ]"
        for frame, octave in zip(frames, packed.tolist(), strict=True)
    ]
    return ["keypoints:", *rows]


def _real(number: str) -> str:
    """A number that OpenCV takes for a real one: with a point."""
    mantissa, e, exponent = number.partition("e")
    return number if "." in mantissa else f"{mantissa}.{e}{exponent}"


def _wrapped(features: Features) -> str:
    values = [f"{value}." for value in features.descriptors.ravel().tolist()]
    lines = [", ".join(values[i : i + _PER_LINE]) for i in range(0, len(values), _PER_LINE)]
    return ",\n       ".join(lines)
