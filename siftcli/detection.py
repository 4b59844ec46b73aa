"""Detection in a grey image, with the stages that the parameters choose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .features import Features
from .params import OrientationParams, SiftParams
from .sift import pipeline
from .sift.keypoints import OrientationStage
from .sift.orientation import histogram_stage
from .sift.rows import Grey, RowSource

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def detect(
    grey: Grey,
    params: SiftParams,
    *,
    mask: NDArray[np.bool_] | None = None,
    room: NDArray[np.float32] | None = None,
    threads: int | None = None,
    with_descriptors: bool = True,
    about: Mapping[str, Any] = _NOTHING,
) -> Features:
    """Find the features of a grey image; as :func:`siftcli.sift.pipeline.detect`.

    With ``params.views``, the features of simulated views are added.
    """
    stage = orientation_stage(params)
    found = pipeline.detect(
        grey,
        params,
        stage,
        mask=mask,
        room=room,
        threads=threads,
        with_descriptors=with_descriptors or params.views > 0,  # duplicates are told by their descriptors
        about=about,
    )
    if params.views == 0:
        return found
    if not isinstance(grey, np.ndarray):
        raise TypeError("simulated views need the whole image")

    from .affine_views import detect_in_views

    def detect_in(view: Any, allowed: Any, distance: Any) -> Features:
        return pipeline.detect(view, params, stage, mask=allowed, room=distance, threads=threads)

    found = detect_in_views(grey, params, found, detect_in, mask, room)
    return found if with_descriptors else replace(found, descriptors=np.zeros_like(found.descriptors))


def working_bytes(shape: tuple[int, int], params: SiftParams, rows: RowSource | None = None) -> int:
    """Estimate the memory that :func:`detect` needs for an image of a shape (H, W), in bytes.

    With ``rows`` it is for one whose rows are read when they are asked for.
    """
    n_bytes = pipeline.working_bytes(shape, params, orientation_stage(params), rows)
    if params.views:
        from .affine_views import working_bytes as bytes_of_views

        n_bytes += bytes_of_views(shape, params.views)
    return n_bytes


def orientation_stage(params: OrientationParams) -> OrientationStage:
    """The stage that ``params.orientation`` names; the network is imported only when it is wanted."""
    if params.orientation == "learned":
        from .learned.orientation import network_stage

        return network_stage()
    return histogram_stage(params)
