"""The comparison set behind one call: siftcli, OpenCV, scikit-image, and what else is installed.

A detector takes a grey image (H, W), float32 in [0, 1], and returns
:class:`~siftcli.features.Features` in the project's conventions, whatever its own are.
Each runs at its own defaults. Adding one is one class, named in ``REGISTRY``.

Images that come from 8-bit files or were quantised to 8 bits reach every peer unchanged: those
that take bytes get ``rint(255 * grey)``.
"""

from __future__ import annotations

from ..errors import ParameterError
from .base import Detector, threshold_for_count
from .colmap import Colmap
from .kornia import Kornia
from .opencv import OpenCV, OpenCVPrecise, OpenCVSpread
from .own import Siftcli, SiftcliClassic, SiftcliClassicLearned, SiftcliLearned
from .scikit_image import ScikitImage
from .vlfeat import VLFeat

REGISTRY: dict[str, type[Detector]] = {
    cls.name: cls
    for cls in (
        Siftcli, SiftcliLearned, SiftcliClassic, SiftcliClassicLearned,
        OpenCV, OpenCVPrecise, OpenCVSpread, ScikitImage, Colmap, VLFeat, Kornia,
    )
}  # fmt: skip
"""Every known detector by its name, installed or not, in the order of the tables."""

__all__ = ["REGISTRY", "Detector", "create", "installed_detectors", "threshold_for_count"]


def installed_detectors() -> list[str]:
    """Names of the detectors that can be used here."""
    return [name for name, cls in REGISTRY.items() if cls.installed()]


def create(name: str, threads: int | None = None) -> Detector:
    """The detector of this name.

    Raises
    ------
    ParameterError
        If the name is unknown.
    MissingDependencyError
        If its package is not installed; the message names the extra.
    """
    if name not in REGISTRY:
        raise ParameterError(f"unknown detector {name!r}; expected one of {', '.join(REGISTRY)}")
    return REGISTRY[name](threads)
