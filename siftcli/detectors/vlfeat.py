"""VLFeat's SIFT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..features import DESCRIPTOR_LENGTH, Features
from .base import Grey, ThresholdedDetector
from .records import REVERSED_BINS, features_of


class VLFeat(ThresholdedDetector):
    """VLFeat through vlsift, at that package's defaults; it expects images in [0, 255]."""

    name = "vlfeat"
    package = "vlsift"
    module = "vlsift"
    extra = "peers"
    default_threshold = 0.0

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The peak threshold and the first octave."""
        return {"peak_thresh": self.threshold, "first_octave": 0}

    def detect(self, grey: Grey) -> Features:
        """Run vlsift with descriptors."""
        from vlsift.sift.sift import sift

        frames, descriptors = sift(255 * grey, peak_thresh=self.threshold, compute_descriptor=True)
        return features_of(
            grey,
            xy=frames[:, 1::-1],
            scale=frames[:, 2],
            orientation=frames[:, 3],
            descriptors=descriptors.reshape(-1, 4, 4, 8)[..., REVERSED_BINS].reshape(-1, DESCRIPTOR_LENGTH),
        )
