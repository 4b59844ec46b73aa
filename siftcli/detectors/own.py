"""siftcli's own detectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .._version import __version__
from ..features import Features
from ..params import DEFAULT_PRESET, SiftParams
from .base import Detector, Grey


class Siftcli(Detector):
    """siftcli's SIFT at its default preset."""

    name = "siftcli"
    package = "siftcli"
    module = "siftcli"
    preset: ClassVar[str] = DEFAULT_PRESET

    @property
    def version(self) -> str:
        """The version of siftcli."""
        return __version__

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The preset and every parameter."""
        return {"preset": self.preset, **SiftParams.preset(self.preset).to_dict()}

    def detect(self, grey: Grey) -> Features:
        """Run the pipeline."""
        from ..sift import pipeline

        return pipeline.detect(grey, SiftParams.preset(self.preset), threads=self.threads)


class SiftcliClassic(Siftcli):
    """siftcli's SIFT as Lowe describes it, comparable with OpenCV keypoint by keypoint."""

    name = "siftcli-classic"
    preset = "classic"
