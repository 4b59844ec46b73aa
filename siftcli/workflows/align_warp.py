"""The work of warping one frame, in a process of its own: read, warp, encode."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..alignment.canvas import Canvas
from ..alignment.options import WarpOptions
from ..errors import SiftcliError
from ..frames.reading import layout_of, metadata_of, read_frame
from ..image.quiet import quiet_decoders
from .align_plan import Frame
from .align_work import Options


@dataclass(frozen=True, eq=False)
class WarpTask:
    """A frame to warp."""

    index: int
    frame: Frame
    matrix: NDArray[np.float64] | None
    """None for a frame that is kept as it is."""
    canvas: Canvas
    format: str | None = None
    """Encode the picture in this format; None returns its samples."""
    wants_mask: bool = False
    thumbnail: Frame | None = None
    """Make thumbnails beside this reference."""


@dataclass(frozen=True, eq=False)
class Warped:
    """A warped frame."""

    index: int
    samples: NDArray[Any] | None = None
    """(P, h, w, S), unless it was encoded."""
    data: bytes | None = None
    """The encoded picture."""
    valid: NDArray[np.bool_] | None = None
    thumbnails: dict[str, bytes] | None = None
    error: str | None = None


def warp_frame(options: Options, task: WarpTask) -> Warped:
    """Read, warp and encode a frame. What is wrong with it is its error."""
    from ..frames.encoding import encode

    try:
        with quiet_decoders():
            path = options.path(task.frame)
            samples = read_frame(path, task.frame.index)
            layout = layout_of(path)
            result, valid = warped(samples, task.matrix, task.canvas, options.warp, layout.alpha)
            thumbnails = None
            if task.thumbnail is not None:
                from .align_thumbnails import thumbnails_of

                thumbnails = thumbnails_of(options, task, samples, result, valid)
            mask = valid if task.wants_mask else None
            if task.format is None:
                return Warped(task.index, samples=result, valid=mask, thumbnails=thumbnails)
            data = encode(result, metadata_of(path), task.format, layout.alpha)
            return Warped(task.index, data=data, valid=mask, thumbnails=thumbnails)
    except SiftcliError as error:
        text = str(error)
        return Warped(task.index, error=text if task.frame.path in text else f"{task.frame.label}: {text}")
    except MemoryError:
        return Warped(task.index, error=f"{task.frame.label}: not enough memory; use fewer --jobs")


def warped(
    samples: NDArray[Any],
    matrix: NDArray[np.float64] | None,
    canvas: Canvas,
    options: WarpOptions,
    alpha: str,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Warp (P, H, W, S) onto a canvas; samples of a frame without a transform, or the identity, are moved."""
    from ..alignment.warping import check_fill, placed, warp_samples

    check_fill(samples.dtype, options)
    if matrix is None or np.array_equal(matrix, np.eye(3)):
        parts = [placed(plane, canvas.size, canvas.origin, options) for plane in samples]
    elif samples.shape[3] == 1:  # planes of one sample are warped together
        together, valid = warp_samples(
            np.moveaxis(samples[:, :, :, 0], 0, 2), matrix, canvas.size, options, origin=canvas.origin
        )
        return np.moveaxis(together, 2, 0)[:, :, :, None], valid
    else:
        parts = [
            warp_samples(plane, matrix, canvas.size, options, alpha=alpha, origin=canvas.origin)
            for plane in samples
        ]
    return np.stack([part for part, _ in parts]), parts[0][1]


def warping_died(task: WarpTask) -> Warped:
    """The frame whose process died."""
    return Warped(
        task.index,
        error=f"{task.frame.label}: the process that worked on it died; check whether it ran out of memory",
    )
