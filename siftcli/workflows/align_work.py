"""The work of finding transforms, in a process of its own: the pairs of a run of frames."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..alignment.adjustment import Pair
from ..alignment.options import NEIGHBOUR_FEATURES, AlignOptions, WarpOptions
from ..errors import InputError, SiftcliError
from ..features import Features
from ..frames.reading import layout_of, read_frame
from ..image import Picture, read_image
from ..image.quiet import quiet_decoders
from ..params import SiftParams
from .align_plan import Frame

LARGEST_CHUNK, SMALLEST_CHUNK = 32, 16
"""Frames of a task. Features of those before it, which its first ones are matched with, are found again."""
LOOK_BACK = 5
"""How many frames before are tried until one can be matched."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """How frames are read, matched and warped: the same for every frame of a run."""

    align: AlignOptions
    warp: WarpOptions
    params: SiftParams
    channel: int | None = None
    """Plane or sample that frames are aligned by, from 1; None for the first plane, or the grey of colour."""
    stretch: str | None = None
    nodata: float | None = None
    max_image_size: int | None = None
    threads: int | None = None
    folder: str = ""
    """Relative paths are relative to it; empty for the current one."""

    def path(self, frame: Frame) -> str:
        """Where this process finds a frame."""
        return os.path.join(self.folder, frame.path) if self.folder else frame.path  # noqa: PTH118


@dataclass(frozen=True)
class Chunk:
    """Frames whose transforms are found by one task."""

    frames: tuple[tuple[int, Frame], ...]
    """The frames with their indices, after those before the chunk that they are matched with."""
    first: int
    """Index of the first frame that is matched."""
    reference: tuple[int, Frame] | None
    """The frame that all are matched with; None if each is matched with the one before it."""
    neighbours: int

    @property
    def own(self) -> list[int]:
        """Indices of the frames that are matched."""
        fixed = None if self.reference is None else self.reference[0]
        return [i for i, _ in self.frames if i >= self.first and i != fixed]


@dataclass(eq=False)
class FrameFound:
    """What was found of one frame."""

    pairs: list[Pair] = field(default_factory=list)
    """The verified ones."""
    n_matches: int = 0
    reason: str = ""
    """If there is no verified pair, why."""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Found:
    """What a task found."""

    frames: dict[int, FrameFound]
    error: str | None = None
    """What ends the run: the reference cannot be used."""


def make_chunks(
    frames: tuple[Frame, ...], reference: int, *, is_chained: bool, neighbours: int, jobs: int
) -> list[Chunk]:
    """Split frames into tasks. What is found does not depend on how they are split."""
    before = max(neighbours, LOOK_BACK) if is_chained or neighbours else 0
    size = min(max(-(-len(frames) // (2 * jobs)), SMALLEST_CHUNK), LARGEST_CHUNK)
    chunks = []
    for first in range(0, len(frames), size):
        members = range(max(0, first - before), min(first + size, len(frames)))
        fixed = None if is_chained else (reference, frames[reference])
        chunks.append(Chunk(tuple((i, frames[i]) for i in members), first, fixed, neighbours))
    return chunks


@dataclass(frozen=True, eq=False)
class Seen:
    """The features of a frame, or why there are none."""

    features: Features | None
    reason: str = ""


_cache: OrderedDict[tuple[Any, ...], Seen] = OrderedDict()
_CACHED = 2 * LARGEST_CHUNK
_pictures: OrderedDict[tuple[Any, ...], Picture] = OrderedDict()
_PICTURES = 2
"""The frame at hand and the one that it is compared with."""
_Value = TypeVar("_Value")


def _kept(
    cache: OrderedDict[tuple[Any, ...], _Value],
    most: int,
    options: Options,
    frame: Frame,
    make: Callable[[Options, Frame], _Value],
) -> _Value:
    """What was made of a frame before, or is made now; the latest ones are kept."""
    path = options.path(frame)
    key = (path, frame.index, repr(options), _mtime(path))
    if key not in cache:
        cache[key] = make(options, frame)
        if len(cache) > most:
            cache.popitem(last=False)
    cache.move_to_end(key)
    return cache[key]


def find_transforms(options: Options, chunk: Chunk) -> Found:
    """Match the frames of a chunk with the reference and with those before them.

    Whatever is wrong with one frame is its reason; what is wrong with the reference ends the run.
    """
    if chunk.reference is not None:
        fixed = _seen(options, chunk.reference[1])
        if fixed.features is None:
            return Found({}, error=fixed.reason)
    frames = dict(chunk.frames)
    return Found({i: _match_frame(options, chunk, i, frames[i]) for i in chunk.own})


def _match_frame(options: Options, chunk: Chunk, i: int, frame: Frame) -> FrameFound:
    moving, found = _seen(options, frame), FrameFound()
    if moving.features is None:
        return FrameFound(reason=moving.reason)
    for j, other, is_needed in _partners(chunk, i):
        if not is_needed and found.pairs:
            break
        target = _seen(options, other)
        if target.features is None:
            found.reason = found.reason or target.reason
            continue
        is_neighbour = chunk.reference is not None and j != chunk.reference[0]
        most = slice(NEIGHBOUR_FEATURES if is_neighbour else None)
        sides = (i, frame, moving.features.select(most)), (j, other, target.features.select(most))
        _add_pair(options, *sides, found)
    return found


def _partners(chunk: Chunk, i: int) -> Iterable[tuple[int, Frame, bool]]:
    """The frames that a frame is matched with, and whether also after another could be matched."""
    if chunk.reference is not None:
        yield (*chunk.reference, True)
    by_index = dict(chunk.frames)
    is_direct = chunk.reference is not None and chunk.neighbours == 0
    reach = 0 if is_direct else max(chunk.neighbours, LOOK_BACK)
    for back in range(1, reach + 1):
        j = i - back
        if j in by_index and (chunk.reference is None or j != chunk.reference[0]):
            yield j, by_index[j], back <= chunk.neighbours


_Side = tuple[int, Frame, Features]


def _add_pair(options: Options, moving: _Side, reference: _Side, found: FrameFound) -> None:
    from ..alignment.estimation import estimate

    i, frame, features = moving
    j, other, others = reference
    result = estimate(features, others, options.align, options.threads)
    if result.matrix is not None and (_is_reduced(options, frame) or _is_reduced(options, other)):
        from .align_tiles import refined_on_tiles

        result = refined_on_tiles(options, result, frame, other)
    elif options.align.refine != "none" and result.matrix is not None and not found.pairs:
        # Of the pairs of a frame the first one: beside it, the others hardly count.
        from ..alignment.functions import refined_by

        result = refined_by(result, options.align, _picture(options, frame), _picture(options, other))
        found.note = result.refinement
    found.n_matches = max(found.n_matches, result.n_matches)
    if result.matrix is None:
        found.reason = found.reason or result.reason
        return
    assert result.control is not None
    assert result.residual_px is not None
    assert result.uncertainty_px is not None
    errors = result.residual_px, result.uncertainty_px
    found.pairs.append(Pair(i, j, result.matrix, result.control, result.n_inliers, *errors))


def _seen(options: Options, frame: Frame) -> Seen:
    """The features of a frame."""
    return _kept(_cache, _CACHED, options, frame, _detected)


def _picture(options: Options, frame: Frame) -> Picture:
    """The grey picture of a frame."""
    return _kept(_pictures, _PICTURES, options, frame, picture_of)


def _mtime(path: str) -> int:
    try:
        return Path(path).stat().st_mtime_ns
    except OSError:
        return 0


def _detected(options: Options, frame: Frame) -> Seen:
    from ..alignment.functions import features_of

    try:
        picture = _picture(options, frame)
        return Seen(features_of(picture, options.params, options.threads))
    except SiftcliError as error:
        return Seen(None, str(error).replace(options.path(frame), frame.label, 1))
    except MemoryError:
        return Seen(None, f"{frame.label}: not enough memory; reduce it with --max-image-size")


def _is_reduced(options: Options, frame: Frame) -> bool:
    """Whether features are found on a reduced copy."""
    return options.max_image_size is not None and max(frame.size) > options.max_image_size


def picture_of(options: Options, frame: Frame) -> Picture:
    """A frame as grey, by the channel that frames are aligned by; reduced if it is too large."""
    if _is_reduced(options, frame):
        from .align_tiles import reduced_picture

        assert options.max_image_size is not None
        return reduced_picture(options, frame, options.max_image_size)
    with quiet_decoders():
        return grey_picture(options, read_frame(options.path(frame), frame.index), frame)


def grey_picture(options: Options, samples: NDArray[Any], frame: Frame) -> Picture:
    """Samples (P, H, W, S) of a frame, or a part of it, as grey."""
    layout = layout_of(options.path(frame))
    chosen = channel_samples(samples, options.channel, frame, alpha=layout.alpha)
    try:
        return read_image(
            _supported(chosen, layout.full_scale),
            stretch=stretch_for(options, chosen.dtype),
            nodata=options.nodata,
        )
    except InputError as error:
        raise InputError(f"{frame.label}: {error}") from error


def stretch_for(options: Options, dtype: np.dtype[Any]) -> str:
    """The stretch that is used for a type of samples."""
    from ..alignment.functions import default_stretch

    return options.stretch or default_stretch(dtype)


def channel_samples(samples: NDArray[Any], channel: int | None, frame: Frame, *, alpha: str) -> NDArray[Any]:
    """(H, W, C) the samples that a frame is aligned by.

    Raises
    ------
    InputError
        If there is no such channel.
    """
    n_planes, _, _, n_samples = samples.shape
    n_channels = n_planes if n_planes > 1 else n_samples - bool(alpha)
    if channel is not None and channel > n_channels:
        raise InputError(f"{frame.label}: expected a channel from 1 to {n_channels}, got {channel}")
    if n_planes > 1:
        return np.asarray(samples[(channel or 1) - 1])
    if channel is not None:
        return samples[0, :, :, channel - 1 : channel]
    is_colour = n_samples in (1, 3) or (n_samples in (2, 4) and alpha)
    return samples[0] if is_colour else samples[0, :, :, :1]


def _supported(samples: NDArray[Any], full_scale: float) -> NDArray[Any]:
    """Samples in a type that images are read from; those of other integers over their full scale."""
    if samples.dtype in (np.uint8, np.uint16) or samples.dtype.kind == "f":
        is_full = samples.dtype.kind == "f" or full_scale == np.iinfo(samples.dtype).max
        return samples if is_full else samples / full_scale
    return samples / full_scale


def chunk_died(chunk: Chunk) -> Found:
    """What a task found whose process died."""
    reason = "the process that worked on it died; check whether it ran out of memory"
    return Found({i: FrameFound(reason=reason) for i in chunk.own})
