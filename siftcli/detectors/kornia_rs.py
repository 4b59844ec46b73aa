"""kornia-rs: the SIFT of kornia's library in Rust."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np

from ..errors import ParameterError
from ..features import Features
from .base import Detector, Grey
from .records import features_of_opencv

_THREADS = "RAYON_NUM_THREADS"
"""The variable of the environment that tells kornia-rs its number of threads, when it first needs them."""


class KorniaRs(Detector):
    """``kornia_rs.imgproc.Sift()`` on the CPU, which imitates OpenCV's default.

    Its threads start once in a process, so later detections cannot use more or fewer.
    """

    name = "kornia-rs"
    package = "kornia-rs"
    module = "kornia_rs"
    extra = "peers"

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The arguments of ``Sift``; empty for its defaults."""
        return {}

    @cached_property
    def _sift(self) -> Any:
        """Its detector, which keeps the memory that it works in."""
        _set_threads(self.threads)
        from kornia_rs.imgproc import Sift

        return Sift()

    def detect(self, grey: Grey) -> Features:
        """Run ``detect_and_compute`` on samples in [0, 255].

        Raises
        ------
        ParameterError
            If the process has used kornia-rs with another number of threads.
        """
        keypoints, descriptors = self._sift.detect_and_compute(np.ascontiguousarray(255 * grey[:, :, None]))
        rows = [(k.x, k.y, k.size, k.angle, k.response, k.packed_octave) for k in keypoints]
        return features_of_opencv(grey, rows, descriptors)


def _set_threads(n: int | None) -> None:
    """Tell kornia-rs its number of threads before it starts them."""
    if n is None:
        return
    if KorniaRs.module in sys.modules and os.environ.get(_THREADS) != str(n):
        raise ParameterError(
            f"kornia-rs keeps the number of threads that it started with; use {n} in a process of its own "
            "(siftcli bench: pass one --threads a run)"
        )
    os.environ[_THREADS] = str(n)
