"""What an evaluation is to do, and everything its results depend on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import detectors
from ..errors import ParameterError
from .measure import RATIO
from .transforms import TRANSFORMS, Transform

DEFAULT_DETECTORS = ("siftcli", "opencv", "opencv-precise", "scikit-image")
"""Detectors compared unless others are named: those that are always there."""
ROTATION_STEP_DEG = 15
"""OpenCV's own test of rotation invariance uses it."""

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
"""Values of each sweep."""
DEFAULT_SWEEPS = ("rotation", "lossless")
"""Sweeps run unless others are named: how features survive turning."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """An evaluation's settings; two runs with equal settings and images have equal results.

    Raises
    ------
    ParameterError
        If a sweep or a detector is unknown, or a list is empty.
    MissingDependencyError
        If a detector is not installed.
    """

    sweeps: Mapping[str, Sequence[float]] = field(
        default_factory=lambda: {name: DEFAULT_VALUES[name] for name in DEFAULT_SWEEPS}
    )
    """Values of each sweep by its name."""
    detectors: Sequence[str] = DEFAULT_DETECTORS
    max_features: int | None = None
    """Features an image of the equal-count table; when not given, for each image the smallest
    number that any of the detectors finds in the reference."""
    ratio: float = RATIO
    seed: int = 0

    def __post_init__(self) -> None:
        for name in self.sweeps:
            if name not in TRANSFORMS:
                raise ParameterError(f"unknown sweep {name!r}; expected some of {', '.join(TRANSFORMS)}")
        if not self.sweeps or not all(len(values) for values in self.sweeps.values()):
            raise ParameterError("an evaluation needs at least one sweep, and each at least one value")
        if not self.detectors or len(set(self.detectors)) != len(self.detectors):
            raise ParameterError(f"expected detectors, each once; got {', '.join(self.detectors) or 'none'}")
        for name in self.detectors:
            detectors.create(name)

    def transforms(self) -> list[Transform]:
        """Every transform of every sweep, in the order given."""
        return [TRANSFORMS[sweep](value) for sweep, values in self.sweeps.items() for value in values]

    def to_dict(self) -> dict[str, Any]:
        """Plain values that identify the settings, with each detector's version and parameters."""
        made = [detectors.create(name) for name in self.detectors]
        return {
            "sweeps": {name: [float(v) for v in values] for name, values in self.sweeps.items()},
            "detectors": {d.name: {"version": d.version, "parameters": dict(d.parameters)} for d in made},
            "max_features": self.max_features,
            "ratio": self.ratio,
            "seed": self.seed,
        }
