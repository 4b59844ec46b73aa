"""Small pictures for the report: the reference, a frame before and after, and their difference."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..alignment.canvas import Canvas
from ..alignment.options import WarpOptions
from ..frames.reading import layout_of, read_frame
from .align_plan import Frame
from .align_work import Options, WarpTask, grey_picture, warped

SIDE_PX = 480
"""Longest side of a thumbnail."""
QUALITY = 80
GAIN = 3.0
"""Differences are shown this many times as large, around grey."""

Grey = NDArray[np.float32]


def thumbnails_of(
    options: Options, task: WarpTask, before: NDArray[Any], after: NDArray[Any]
) -> dict[str, bytes]:
    """WebP pictures of a frame: ``reference``, ``before``, ``after``, and the two differences.

    All are on the canvas. Brightness is that of the stretch for detection, the same in all.
    """
    assert task.thumbnail is not None
    fixed = read_frame(options.path(task.thumbnail), task.thumbnail.index)
    place = WarpOptions(interpolation="nearest")
    shown = {
        "reference": _on_canvas(options, fixed, task.thumbnail, task.canvas, place),
        "before": _on_canvas(options, before, task.frame, task.canvas, place),
        "after": _small(grey_picture(options, _without_nan(after), task.frame).grey),
    }
    pictures = {name: _webp(grey) for name, grey in shown.items()}
    for name in ("before", "after"):
        difference = 0.5 + GAIN * (shown[name] - shown["reference"]) / 2
        pictures[f"{name}_difference"] = _webp(np.clip(difference, 0, 1))
    return pictures


def _on_canvas(
    options: Options, samples: NDArray[Any], frame: Frame, canvas: Canvas, place: WarpOptions
) -> Grey:
    layout = layout_of(options.path(frame))
    moved, _ = warped(samples, None, canvas, place, layout.alpha)
    return _small(grey_picture(options, _without_nan(moved), frame).grey)


def _without_nan(samples: NDArray[Any]) -> NDArray[Any]:
    return np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0) if samples.dtype.kind == "f" else samples


def _small(grey: Grey) -> Grey:
    from ..image.reduction import reduced

    reduction = max(grey.shape) / SIDE_PX
    return reduced(grey, reduction) if reduction > 1 else grey


def _webp(grey: Grey) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    levels = np.rint(np.clip(grey, 0, 1) * 255).astype(np.uint8)
    Image.fromarray(levels).save(stream, "WEBP", quality=QUALITY)
    return stream.getvalue()
