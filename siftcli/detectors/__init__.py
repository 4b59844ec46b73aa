"""A common interface to siftcli's own SIFT and to those of OpenCV, scikit-image and others.

A detector takes a grey image (H, W), float32 in [0, 1], and returns
:class:`~siftcli.features.Features` in siftcli's conventions.
Each detector runs at its own defaults. To add a detector, write a class and list it in ``REGISTRY``.

Detectors that take 8-bit images get ``rint(255 * grey)``. So an image from an 8-bit file reaches every
detector unchanged.
"""

from __future__ import annotations

from ..errors import ParameterError
from .base import Detector, threshold_for_count
from .colmap import Colmap
from .kornia import Kornia
from .kornia_rs import KorniaRs
from .opencv import OpenCV, OpenCVPrecise, OpenCVSpread
from .own import Siftcli, SiftcliClassic, SiftcliClassicLearned, SiftcliLearned
from .scikit_image import ScikitImage
from .vlfeat import VLFeat

REGISTRY: dict[str, type[Detector]] = {
    cls.name: cls
    for cls in (
        Siftcli, SiftcliLearned, SiftcliClassic, SiftcliClassicLearned,
        OpenCV, OpenCVPrecise, OpenCVSpread, ScikitImage, Colmap, VLFeat, Kornia, KorniaRs,
    )
}  # fmt: skip
"""Name -> detector class, installed or not, in the order of the tables."""

__all__ = ["REGISTRY", "Detector", "create", "installed_detectors", "threshold_for_count"]


def installed_detectors() -> list[str]:
    """Names of the detectors whose packages are installed."""
    return [name for name, cls in REGISTRY.items() if cls.installed()]


def create(name: str, threads: int | None = None) -> Detector:
    """Create the detector with this name.

    Parameters
    ----------
    name
        A key of ``REGISTRY``.
    threads
        As for :class:`Detector`.

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
