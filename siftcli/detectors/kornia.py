"""kornia's SIFT."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np

from ..features import DESCRIPTOR_LENGTH, Features
from .base import Detector, Grey
from .records import REVERSED_BINS, features_of


class Kornia(Detector):
    """kornia's ``SIFTFeatureScaleSpace`` on the CPU, which returns the 8000 strongest features."""

    name = "kornia"
    package = "kornia"
    module = "kornia"
    extra = "kornia"
    frame_sigmas: ClassVar[float] = 6.0
    """Scale of its frames in units of σ."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The name of the class, which runs at its defaults."""
        return {"class": "SIFTFeatureScaleSpace"}

    def detect(self, grey: Grey) -> Features:
        """Run the detector and the descriptor; kornia's angles are counter-clockwise on the screen."""
        import torch
        from kornia import feature

        with _torch_threads(torch, self.threads), torch.inference_mode():
            frames, response, descriptors = feature.SIFTFeatureScaleSpace()(
                torch.from_numpy(grey)[None, None]
            )
            scale = feature.get_laf_scale(frames)[0, :, 0, 0].numpy() / self.frame_sigmas
            angle = -np.deg2rad(feature.get_laf_orientation(frames)[0, :, 0].numpy())
            xy = feature.get_laf_center(frames)[0].numpy()
        # kornia's order is [k][y][x], and its bins k run in the opposite direction.
        ordered = descriptors[0].numpy().reshape(-1, 8, 4, 4)[:, REVERSED_BINS].transpose(0, 2, 3, 1)
        found = response[0].numpy() > KORNIA_PADDING
        return features_of(
            grey,
            xy=xy[found],
            scale=scale[found],
            orientation=angle[found],
            response=response[0].numpy()[found],
            descriptors=np.rint(512 * ordered.reshape(-1, DESCRIPTOR_LENGTH)[found]).clip(0, 255),
            descriptor_kind="rootsift",
        )


KORNIA_PADDING = 1e-6
"""Features with a response up to this are rounding errors or padding, and are dropped."""


@contextmanager
def _torch_threads(torch: Any, threads: int | None) -> Iterator[None]:
    """Limit PyTorch to this number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
