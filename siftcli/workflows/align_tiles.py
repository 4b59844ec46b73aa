"""Large frames: a transform found on a reduced copy and refined on full-size tiles, and warping by tiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..alignment.estimation import Estimate, from_matches
from ..alignment.functions import features_of
from ..alignment.models import Matrix
from ..alignment.warping import (
    MARGIN_PX,
    blur_px,
    blur_reach,
    blurred,
    source_box,
    source_map,
    warp_tile,
)
from ..features import Features, Matches, array_fields
from ..frames.reading import layout_of, metadata_of, read_region
from ..frames.tiff_writing import TILE_PX, TiffShape, write_tiles
from ..image import Picture, read_image
from ..image.reduction import reduced
from ..matching.nearest import match
from .align_plan import Frame
from .align_warp import WarpTask
from .align_work import Options, channel_samples, grey_picture, stretch_for

STRIP_PIXELS = 1 << 22
"""Pixels that are read at once when a copy is reduced."""
REFINED_PX = 1024
"""Side of the tiles that a transform is refined on."""
N_REFINED = 4
"""So many by so many of them, spread over the reference."""
REFINED_FEATURES = 500
"""Strongest features of each."""
UNCERTAINTY = 4.0
"""How far the transform of a reduced copy may be off, in pixels of the copy."""
STRIP_BLOCK = 2048
"""Width of the blocks of a strip that are warped at once."""

Box = tuple[int, int, int, int]


def reduced_picture(options: Options, frame: Frame, limit: int) -> Picture:
    """A frame reduced to a longest side, as grey; it is read strip by strip.

    The factor is whole, so that strips are reduced one by one. Less than a reduced pixel is cut off.
    """
    layout = layout_of(options.path(frame))
    factor = -(-max(frame.size) // limit)
    width, height = (n - n % factor for n in frame.size)
    n_rows = max(1, STRIP_PIXELS // (width * factor)) * factor
    strips = []
    for top in range(0, height, n_rows):
        box = (0, top, width, min(top + n_rows, height))
        samples = read_region(options.path(frame), frame.index, box)
        chosen = channel_samples(samples, options.channel, frame, alpha=layout.alpha)
        means = [reduced(plane, factor) for plane in np.moveaxis(chosen, 2, 0)]
        strips.append(np.stack(means, axis=2))
    small = np.concatenate(strips) / np.float32(layout.full_scale)
    stretch = stretch_for(options, np.dtype(layout.dtype))
    picture = read_image(small, stretch=stretch, nodata=options.nodata)
    return picture._replace(input_size=(width, height), reduction=float(factor))


def refined_on_tiles(options: Options, coarse: Estimate, moving: Frame, reference: Frame) -> Estimate:
    """Estimate a transform again from features at full size, in tiles where the coarse one finds them."""
    assert coarse.matrix is not None
    inverse = source_map(coarse.matrix)
    parts = []
    for box in _spread(reference.size):
        margin = _margin(options, moving)
        there = source_box(inverse, box, moving.size, margin)
        if there is None or (there[2] - there[0]) * (there[3] - there[1]) > 16 * REFINED_PX**2:
            continue
        sides = (_part(options, moving, there), _part(options, reference, box))
        parts.append((*sides, match(*sides, ratio=options.align.ratio, threads=options.threads)))
    if not parts:
        return coarse
    fine = from_matches(
        _together([p[0] for p in parts], moving.size),
        _together([p[1] for p in parts], reference.size),
        _all_matches(parts),
        options.align,
    )
    return fine if fine.matrix is not None else coarse


def _margin(options: Options, frame: Frame) -> int:
    reduction = max(frame.size) / (options.max_image_size or max(frame.size))
    return int(np.ceil(UNCERTAINTY * max(reduction, 1.0))) + MARGIN_PX


def _spread(size: tuple[int, int]) -> list[Box]:
    """Tiles spread evenly over a picture; all of a small one."""
    columns, rows = (
        sorted({int(v) for v in np.linspace(0, max(n - REFINED_PX, 0), min(N_REFINED, -(-n // REFINED_PX)))})
        for n in size
    )
    return [(x, y, min(x + REFINED_PX, size[0]), min(y + REFINED_PX, size[1])) for y in rows for x in columns]


def _part(options: Options, frame: Frame, box: Box) -> Features:
    """The features of a part of a frame, in pixels of the frame."""
    samples = read_region(options.path(frame), frame.index, box)
    params = options.params.override(max_features=options.params.max_features or REFINED_FEATURES)
    features = features_of(grey_picture(options, samples, frame), params, options.threads)
    return replace(features, xy=features.xy + np.array(box[:2], np.float32), image_size=frame.size)


def _together(parts: list[Features], size: tuple[int, int]) -> Features:
    arrays: dict[str, Any] = {
        f.name: np.concatenate([getattr(part, f.name) for part in parts]) for f in array_fields()
    }
    return Features(**arrays, image_size=size, descriptor_kind=parts[0].descriptor_kind)


def _all_matches(parts: list[tuple[Features, Features, Matches]]) -> Matches:
    pairs, n_moving, n_reference = [], 0, 0
    for moving, reference, matches in parts:
        pairs.append(matches.pairs + np.array([n_moving, n_reference], np.int32))
        n_moving, n_reference = n_moving + len(moving), n_reference + len(reference)
    return Matches(
        pairs=np.concatenate(pairs),
        distance=np.concatenate([m.distance for _, _, m in parts]),
        ratio=np.concatenate([m.ratio for _, _, m in parts]),
    )


# --- warping -------------------------------------------------------------------------------------------


def write_large(options: Options, task: WarpTask, path: Path) -> None:
    """Warp a frame into a tiled TIFF file, strip by strip of its tiles."""
    assert task.matrix is not None
    place = options.path(task.frame)
    layout = layout_of(place)
    if layout.n_planes > 1:
        from ..errors import InputError

        raise InputError(
            f"{task.frame.label}: a frame of this size and several planes cannot be warped; split it"
        )
    shape = TiffShape(
        axes="T", shape=(1,), n_planes=1, size=task.canvas.size, n_samples=layout.n_samples,
        dtype=layout.dtype, alpha=layout.alpha,
    )  # fmt: skip
    inverse = source_map(task.matrix, task.canvas.origin)
    metadata = replace(metadata_of(place), imagej=None, ome=None, is_shaped=False)
    write_tiles(path, _tiles(options, task, inverse), shape, metadata)


def _tiles(options: Options, task: WarpTask, inverse: Matrix) -> Iterator[NDArray[Any]]:
    """The tiles of the file, row by row; those of a row are warped in wider blocks."""
    width, height = task.canvas.size
    for top in range(0, height, TILE_PX):
        bottom = min(top + TILE_PX, height)
        for left in range(0, width, STRIP_BLOCK):
            right = min(left + STRIP_BLOCK, width)
            block = _block(options, task, inverse, (left, top, right, bottom))
            for x in range(0, right - left, TILE_PX):
                yield np.ascontiguousarray(block[:, x : x + TILE_PX])


def _block(options: Options, task: WarpTask, inverse: Matrix, box: Box) -> NDArray[Any]:
    layout = layout_of(options.path(task.frame))
    sigma = blur_px(inverse, task.canvas.size)
    there = source_box(inverse, box, task.frame.size, MARGIN_PX + blur_reach(sigma))
    if there is None:
        there = (0, 0, 1, 1)
    samples = read_region(options.path(task.frame), task.frame.index, there)[0]
    soft = blurred(samples, sigma, options.warp)
    result, _ = warp_tile(
        soft, inverse, box, task.frame.size, there[:2], options.warp, alpha=layout.alpha, dtype=samples.dtype
    )
    return result
