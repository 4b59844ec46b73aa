"""siftcli's own detectors."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from copy import copy
from typing import Any, ClassVar

from .._version import __version__
from ..features import Features
from ..params import SiftParams
from ..presets import DEFAULT_PRESET
from .base import Detector, Grey


class Siftcli(Detector):
    """siftcli's SIFT at its default preset."""

    name = "siftcli"
    package = "siftcli"
    module = "siftcli"
    preset: ClassVar[str] = DEFAULT_PRESET
    options: ClassVar[Mapping[str, Any]] = {}
    """Parameters that differ from the preset."""
    max_features: int | None = None

    @property
    def version(self) -> str:
        """The version of siftcli."""
        return __version__

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The preset and every parameter."""
        return {"preset": self.preset, **self._params.to_dict()}

    def detect(self, grey: Grey) -> Features:
        """Run the pipeline."""
        from .. import detection

        return detection.detect(grey, self._params, threads=self.threads)

    def limited(self, n: int, grey: Grey) -> Detector:
        """A copy with ``max_features``, so that the selection that belongs to it takes effect."""
        other = copy(self)
        other.max_features = n
        return other

    @property
    def _params(self) -> SiftParams:
        return SiftParams.preset(self.preset, max_features=self.max_features, **self.options)


class SiftcliClassic(Siftcli):
    """siftcli's SIFT as described by Lowe, which agrees with OpenCV keypoint by keypoint."""

    name = "siftcli-classic"
    preset = "classic"


class SiftcliLearned(Siftcli):
    """siftcli's SIFT with learned orientations."""

    name = "siftcli-learned"
    options: ClassVar[Mapping[str, Any]] = {"orientation": "learned"}

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The preset, every parameter, and a digest of the network's weights."""
        from ..learned.weights import SHIPPED, read

        digest = hashlib.sha256(read(SHIPPED)).hexdigest()
        return {**super().parameters, "orientation_weights_sha256": digest}


class SiftcliClassicLearned(SiftcliLearned):
    """The classic preset with learned orientations."""

    name = "siftcli-classic-learned"
    preset = "classic"
