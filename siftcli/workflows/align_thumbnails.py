"""Small pictures for the report: the reference, a frame before and after, and their difference."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..alignment.options import WarpOptions
from ..frames.reading import layout_of, read_frame
from ..image.reduction import reduced
from ..image.stretch import PERCENTILES
from .align_plan import Frame
from .align_warp import WarpTask, warped
from .align_work import Options, channel_samples

SIDE_PX = 480
"""Longest side of a thumbnail."""
QUALITY = 80
GAIN = 3.0
"""Differences are shown this many times as large, around grey."""

Grey = NDArray[np.float32]


def thumbnails_of(
    options: Options, task: WarpTask, before: NDArray[Any], after: NDArray[Any], valid: NDArray[np.bool_]
) -> dict[str, bytes]:
    """WebP pictures of a frame: ``reference``, ``before``, ``after``, and the two differences.

    All are on the canvas, with the brightness of the reference stretched to its percentiles. A frame
    without a transform has no picture after it.
    """
    assert task.thumbnail is not None
    fixed = read_frame(options.path(task.thumbnail), task.thumbnail.index)
    low, high = _range(_grey(options, fixed, task.thumbnail))
    place, moved = WarpOptions(interpolation="nearest"), {}
    for name, samples, frame in (("reference", fixed, task.thumbnail), ("before", before, task.frame)):
        alpha = layout_of(options.path(frame)).alpha
        moved[name] = (frame, *warped(samples, None, task.canvas, place, alpha))
    if task.matrix is not None:
        moved["after"] = task.frame, after, valid
    shown = {
        name: _small((_grey(options, samples, frame) - low) / (high - low))
        for name, (frame, samples, _) in moved.items()
    }
    pictures = {name: _webp(grey) for name, grey in shown.items()}
    for name in set(shown) - {"reference"}:
        both = _small((moved[name][2] & moved["reference"][2]).astype(np.float32))
        difference = GAIN * (shown[name] - shown["reference"]) / 2 * both
        pictures[f"{name}_difference"] = _webp(np.asarray(0.5 + difference, np.float32))
    return pictures


def _grey(options: Options, samples: NDArray[Any], frame: Frame) -> Grey:
    """(H, W) the channel that frames are aligned by, the mean of colours."""
    alpha = layout_of(options.path(frame)).alpha
    chosen = channel_samples(samples, options.channel, frame, alpha=alpha)
    colours = chosen[..., :-1] if chosen.shape[2] in (2, 4) else chosen
    return np.asarray(np.nan_to_num(colours.astype(np.float32)).mean(axis=2))


def _range(grey: Grey) -> tuple[float, float]:
    low, high = (float(v) for v in np.percentile(grey, PERCENTILES))
    return (low, high) if high > low else (low, low + 1.0)


def _small(grey: Grey) -> Grey:
    reduction = max(grey.shape) / SIDE_PX
    return reduced(grey, reduction) if reduction > 1 else grey


def _webp(grey: Grey) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    levels = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(levels).save(stream, "WEBP", quality=QUALITY)
    return stream.getvalue()
