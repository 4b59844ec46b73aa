"""scikit-image's SIFT."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..features import DESCRIPTOR_LENGTH, Features
from .base import Grey, ThresholdedDetector
from .records import features_of, no_features


class ScikitImage(ThresholdedDetector):
    """``skimage.feature.SIFT()`` at its defaults."""

    name = "scikit-image"
    package = "scikit-image"
    module = "skimage"
    default_threshold = 0.04 / 3  # c_dog of skimage.feature.SIFT

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The contrast threshold; all other parameters have their defaults."""
        return {"c_dog": self.threshold}

    def count(self, grey: Grey) -> int:
        """The number of features, without computing descriptors."""
        return len(self._run(grey, "detect").get("keypoints", ()))

    def detect(self, grey: Grey) -> Features:
        """Run ``detect_and_extract``; its error on finding no features becomes an empty result."""
        found = self._run(grey, "detect_and_extract")
        if not found:
            return no_features(grey)
        descriptors = found["descriptors"].reshape(-1, 4, 4, 8)[:, :, ::-1].swapaxes(1, 2)
        return features_of(
            grey,
            xy=found["positions"][:, ::-1],
            scale=found["sigmas"],
            orientation=np.pi / 2 - found["orientations"],
            octave=found["octaves"] - 1,  # scikit-image numbers the doubled image 0
            descriptors=descriptors.reshape(-1, DESCRIPTOR_LENGTH),
        )

    def _run(self, grey: Grey, method: str) -> dict[str, Any]:
        """The attributes of a SIFT object after calling a method; empty if it found no features.

        A new object is created for each image, because a small image permanently reduces an object's
        number of octaves.
        """
        from skimage.feature import SIFT

        if min(grey.shape) < MIN_SIDE_SCIKIT_IMAGE:
            return {}
        sift = SIFT(c_dog=self.threshold)
        try:
            getattr(sift, method)(grey)
        except RuntimeError as error:
            if "found no features" not in str(error):
                raise
            return {}
        return dict(vars(sift))


MIN_SIDE_SCIKIT_IMAGE = 6
"""scikit-image needs 12 samples of the doubled image for an octave; smaller images have none."""
