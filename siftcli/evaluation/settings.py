"""The settings of an evaluation: everything that its results depend on besides the images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from .. import detectors
from .._poselib import check_poselib
from ..errors import ParameterError
from ..image.stretch import NO_STRETCH, check_stretch, plain_nodata
from ..matching.options import DEFAULT_RATIO
from ..views.pairs import Transform
from ..views.transforms import TRANSFORMS
from .options import DEFAULT_DETECTORS, DEFAULT_SWEEPS, DEFAULT_VALUES

BY_HOMOGRAPHY = frozenset({"mirror", "perspective"})
"""Sweeps whose maps are not similarities."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The settings of an evaluation; equal settings and images give equal results.

    Raises
    ------
    ParameterError
        If a sweep or a detector is unknown, or a list is empty.
    MissingDependencyError
        If a detector is not installed, or PoseLib where homographies are estimated.
    """

    sweeps: Mapping[str, Sequence[float]] = field(
        default_factory=lambda: {name: DEFAULT_VALUES[name] for name in DEFAULT_SWEEPS}
    )
    """Sweep name -> values."""
    detectors: Sequence[str] = DEFAULT_DETECTORS
    max_features: int | None = None
    """Features per image in the comparison at equal counts. None uses, for each image, the smallest
    number that any of the detectors finds in the reference."""
    ratio: float = DEFAULT_RATIO
    seed: int = 0

    stretch: str = NO_STRETCH
    """As for :func:`siftcli.detect`. Invalid pixels are filled, and are not masked out."""
    nodata: float | None = None

    datasets: Sequence[str] = ()
    """Names of the dataset's groups of pairs, which are evaluated instead of sweeps."""

    def __post_init__(self) -> None:
        for name in self.sweeps:
            if name not in TRANSFORMS:
                raise ParameterError(f"unknown sweep {name!r}; expected some of {', '.join(TRANSFORMS)}")
        if not (self.datasets or self.sweeps) or not all(len(values) for values in self.sweeps.values()):
            raise ParameterError("an evaluation needs at least one sweep, and each at least one value")
        if not self.detectors or len(set(self.detectors)) != len(self.detectors):
            raise ParameterError(f"expected detectors, each once; got {', '.join(self.detectors) or 'none'}")
        for name in self.detectors:
            detectors.create(name)
        check_stretch(self.stretch, self.nodata)
        if self.datasets or BY_HOMOGRAPHY & self.sweeps.keys():
            check_poselib("an evaluation of homographies", "sweeps but mirror and perspective do without")

    @classmethod
    def for_dataset(cls, names: Sequence[str], **options: Any) -> Self:
        """Settings of an evaluation on a dataset instead of sweeps."""
        return cls(sweeps={}, datasets=tuple(names), **options)

    @property
    def reading(self) -> dict[str, Any]:
        """Keyword arguments for :func:`siftcli.image.read_image`."""
        return {"stretch": self.stretch, "nodata": self.nodata}

    def transforms(self) -> list[Transform]:
        """Every transform of every sweep, in the order given."""
        return [TRANSFORMS[sweep](value) for sweep, values in self.sweeps.items() for value in values]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, including each detector's version and parameters."""
        made = [detectors.create(name) for name in self.detectors]
        return {
            "sweeps": {name: [float(v) for v in values] for name, values in self.sweeps.items()},
            "datasets": list(self.datasets),
            "detectors": {d.name: {"version": d.version, "parameters": dict(d.parameters)} for d in made},
            "max_features": self.max_features,
            "ratio": self.ratio,
            "seed": self.seed,
            "stretch": self.stretch,
            "nodata": plain_nodata(self.nodata),
        }
