"""The choices and defaults of an evaluation; does not import NumPy."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from ..errors import ParameterError

DETECTOR_NAMES = (
    "siftcli",
    "siftcli-learned",
    "siftcli-classic",
    "siftcli-classic-learned",
    "opencv",
    "opencv-precise",
    "opencv-spread",
    "scikit-image",
    "colmap",
    "vlfeat",
    "kornia",
    "kornia-rs",
)
"""Every detector in the registry."""
LEARNED: Mapping[str, str] = {"siftcli": "siftcli-learned", "siftcli-classic": "siftcli-classic-learned"}
"""siftcli's own detectors, and their variants with learned orientations."""
ORIENTATIONS = ("histogram", "learned")
"""Methods by which siftcli's own detectors assign orientations."""
DATASET_NAMES = ("oxford", "hpatches", "csv", "poses")
MODES = ("rendered", "canvas")
"""How images are rotated by angles that are not multiples of 90°."""
MAX_VALUES = 1000
"""Maximum number of values in a sweep; catches a typing error such as 0:360:0.001 early."""
DEFAULT_DETECTORS = ("siftcli", "opencv", "opencv-precise", "scikit-image")
"""Detectors compared by default: those that are always installed."""
ROTATION_STEP_DEG = 15
"""Step of the rotation sweep, in degrees; the same as in OpenCV's test of rotation invariance."""

DEFAULT_VALUES: Mapping[str, tuple[float, ...]] = {
    "rotation": tuple(range(0, 360, ROTATION_STEP_DEG)),
    "canvas": tuple(range(0, 360, ROTATION_STEP_DEG)),
    "lossless": (90, 180, 270),
    "mirror": (0,),
    "scale": (0.5, 0.7, 1.4, 2, 4),
    "blur": (0.5, 1, 1.5, 2, 3),
    "noise": (2, 5, 10, 15, 20),
    "jpeg": (90, 75, 50, 30, 15),
    "brightness": (-80, -40, 40, 80),
    "contrast": (0.4, 0.6, 0.8, 1.25, 1.6),
    "perspective": (10, 20, 30, 40),
}
"""Default values of each sweep."""
DEFAULT_SWEEPS = ("rotation", "lossless")
"""Sweeps that are run by default: rotations of the image."""


def parse_values(text: str) -> tuple[float, ...]:
    """Parse ``start:end:step`` (end excluded), such as ``0:360:15``, or a list such as ``30,45,90``.

    Raises
    ------
    ParameterError
        If the text has neither form, repeats a value, or gives more than ``MAX_VALUES`` values.
    """
    try:
        if ":" not in text:
            values = [float(part) for part in text.split(",")]
        else:
            start, end, step = (float(part) for part in text.split(":"))
            n = math.ceil((end - start) / step)
            values = [start + step * k for k in range(n)] if n <= MAX_VALUES else []
    except (ValueError, ZeroDivisionError, OverflowError):
        values = []
    if not values or not all(map(math.isfinite, values)) or len(set(values)) < len(values):
        raise ParameterError(
            f"--angles expects values such as 0:360:15 (the end excluded) or 30,45,90, each once, "
            f"at most {MAX_VALUES}; got {text!r}"
        )
    return tuple(values)


def with_orientation(names: Sequence[str], orientation: str) -> tuple[str, ...]:
    """Replace siftcli's own detectors by their variants with this orientation method."""
    return tuple(LEARNED.get(name, name) for name in names) if orientation == "learned" else tuple(names)
