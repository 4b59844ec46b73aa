"""COLMAP's SIFT."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..features import Features
from .base import Grey, ThresholdedDetector
from .quiet_pycolmap import import_pycolmap
from .records import features_of


class Colmap(ThresholdedDetector):
    """COLMAP's SIFT (VLFeat inside) through pycolmap, on the CPU."""

    name = "colmap"
    package = "pycolmap"
    module = "pycolmap"
    extra = "peers"
    default_threshold = 0.02 / 3  # peak_threshold of SiftExtractionOptions

    def _options(self) -> Any:
        pycolmap = import_pycolmap()
        options = pycolmap.FeatureExtractionOptions()
        options.use_gpu = False
        options.num_threads = -1 if self.threads is None else self.threads
        options.sift.peak_threshold = self.threshold
        return options

    @property
    def parameters(self) -> Mapping[str, Any]:
        """Every field of ``SiftExtractionOptions``."""
        sift = self._options().sift.todict()
        return {key: value if isinstance(value, int | float) else str(value) for key, value in sift.items()}

    def detect(self, grey: Grey) -> Features:
        """Run COLMAP's CPU extractor."""
        pycolmap = import_pycolmap()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # the replacement takes files, not arrays
            sift = pycolmap.Sift(self._options(), device=pycolmap.Device.cpu)
        frames, descriptors = sift.extract(np.ascontiguousarray(grey))
        return features_of(
            grey,
            xy=frames[:, :2] - 0.5,  # COLMAP's top-left pixel has its centre at (0.5, 0.5)
            scale=frames[:, 2],
            orientation=frames[:, 3],
            descriptors=np.rint(512 * descriptors).clip(0, 255),
            descriptor_kind="rootsift",
        )
