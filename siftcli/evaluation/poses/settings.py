"""The settings of a benchmark of poses: everything that its results depend on besides the scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from typing import Any

from ... import detectors
from ..._poselib import check_poselib
from ...errors import MissingDependencyError, ParameterError
from . import options
from .scenes import Limits


@dataclass(frozen=True, kw_only=True)
class PoseSettings:
    """The settings of a benchmark of poses; equal settings and scenes give equal results.

    Raises
    ------
    ParameterError
        If a name is unknown, a list is empty or repeats an entry, or limits do not rise.
    MissingDependencyError
        If a detector, PoseLib, or pycolmap for a reconstruction is not installed.
    """

    detectors: Sequence[str]
    budgets: Sequence[str] = (*map(str, options.BUDGETS), options.AT_DEFAULTS)
    """Features per image, and ``"default"`` for each detector's own number."""
    degradations: Sequence[str] = options.DEGRADATION_NAMES[:1]
    geometries: Sequence[str] = options.GEOMETRIES[:1]
    min_angle_deg: float = 0.0
    max_angle_deg: float = options.MAX_ANGLE_DEG
    min_overlap: float = 0.0
    max_overlap: float = 1.0
    max_side_px: int = options.MAX_SIDE_PX
    reconstruct: bool = False
    """Also reconstruct every scene with COLMAP's mapper."""
    n_seeds: int = options.N_SEEDS
    seed: int = 0

    def __post_init__(self) -> None:
        options.check_names("detectors", self.detectors, tuple(detectors.REGISTRY))
        options.check_names("degradations", self.degradations, options.DEGRADATION_NAMES)
        options.check_names("geometries", self.geometries, options.GEOMETRIES)
        options.parse_budgets(",".join(self.budgets))
        options.check_range("--view-angles", self.min_angle_deg, self.max_angle_deg, 180)
        options.check_range("--overlap", self.min_overlap, self.max_overlap, 1)
        if self.n_seeds < 1:
            raise ParameterError(f"expected at least 1 seed; got {self.n_seeds}")
        for name in self.detectors:
            detectors.create(name)
        check_poselib("an evaluation of poses")
        if self.reconstruct and find_spec("pycolmap") is None:
            raise MissingDependencyError.of_extra("--reconstruct", "pycolmap", "colmap")

    @property
    def limits(self) -> Limits:
        """Which pairs are measured."""
        return Limits(self.min_angle_deg, self.max_angle_deg, self.min_overlap, self.max_overlap)

    @property
    def seeds(self) -> range:
        """Seeds of the estimates."""
        return range(self.seed, self.seed + self.n_seeds)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON, including each detector's version and parameters."""
        made = [detectors.create(name) for name in self.detectors]
        values = {key: list(v) if isinstance(v, tuple) else v for key, v in asdict(self).items()}
        described = {d.name: {"version": d.version, "parameters": dict(d.parameters)} for d in made}
        return {**values, "detectors": described}
