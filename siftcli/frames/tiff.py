"""TIFF files frame by frame and tile by tile, by tifffile."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..image.decoded import BadImageError, damage, truncated, unsupported
from ..io.limits import require_memory
from .records import Box, Layout, Metadata, Samples
from .tiff_metadata import metadata_of

PLANE_AXES = "C"
"""Axes whose parts are channels of one frame; those before Y and X that are not are counted as frames."""
MAX_FRAMES = 1 << 20
CACHED_SEGMENTS = 64
"""Decoded tiles that are kept: a row of a large picture."""
_REDUCED_OR_MASK = 5
_EXTRA_ALPHA = {1: "premultiplied", 2: "straight"}


class TiffReader:
    """A TIFF file, whose series of pages are frames.

    Raises
    ------
    BadImageError
        If it is damaged, or has samples of an unsupported kind.
    """

    def __init__(self, path: str) -> None:
        import tifffile

        self._segments: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        with damage():
            self.file = tifffile.TiffFile(path)
        try:
            with damage():
                self._open()
        except BaseException:
            self.file.close()
            raise

    def _open(self) -> None:
        self.series = _full_series(self.file)
        first = self.series[0]
        page = first.keyframe
        _check_kind(page)
        lead, shape, n_planes = _leading(first)
        self._planes_at = [_plane_index(one) for one in self.series]
        counts = [_n_frames(one) for one in self.series]
        if sum(counts) > MAX_FRAMES:
            raise BadImageError(f"expected at most {MAX_FRAMES} frames, got {sum(counts)}; split the file")
        frames = [(k, i) for k, n in enumerate(counts) for i in range(n)]
        self._frames = sorted(frames, key=self._page_number) if len(self.series) > 1 else frames
        sizes = tuple(_size(self.series[k]) for k, _ in self._frames)
        n_samples = _n_samples(first)
        for one in self.series[1:]:
            if (_n_samples(one), one.dtype, _leading(one)[2]) != (n_samples, first.dtype, n_planes):
                raise BadImageError(
                    "expected pages of one type of samples, got several; save them as separate files"
                )
        if len(self.series) > 1:
            lead, shape = "T", (len(self._frames),)
        self.layout = Layout(
            sizes=sizes,
            n_planes=n_planes,
            n_samples=n_samples,
            dtype=first.dtype.newbyteorder("=").name,
            alpha=_alpha(page, n_samples),
            axes=lead or "T",
            shape=shape or (1,),
            full_scale=_full_scale(page, first.dtype),
        )
        self.metadata: Metadata = metadata_of(self.file, page)

    def _page_number(self, frame: tuple[int, int]) -> int:
        """The number in the file of a frame's first page."""
        k, i = frame
        pages = self.series[k].pages
        return int(pages[int(self._planes_at[k][i][0]) % len(pages)].index)

    def close(self) -> None:
        """Close the file."""
        self.file.close()

    def frame(self, index: int) -> Samples:
        """(P, H, W, S) samples of a frame."""
        width, height = self.layout.sizes[index]
        require_memory(
            2 * self.layout.frame_bytes, f"a frame of {width} x {height} pixels", "use smaller frames"
        )
        return self.region(index, (0, 0, width, height))

    def region(self, index: int, box: Box) -> Samples:
        """(P, h, w, S) samples of a part of a frame."""
        k, i = self._frames[index]
        with damage():
            parts = [self._plane(k, place, box) for place in self._planes_at[k][i]]
            left, top, right, bottom = box
            shape = (bottom - top, right - left, self.layout.n_samples)
            return np.stack([part.reshape(shape) for part in parts])

    def _plane(self, k: int, place: int, box: Box) -> NDArray[Any]:
        """A part of one page of a series; pages are numbered as the leading axes are."""
        series, (left, top, right, bottom) = self.series[k], box
        native = series.dtype.newbyteorder("=")
        if series.dataoffset is not None:
            whole = self._mapped(series)
            # A copy, so that the map ends here: what it has read counts as memory of this process.
            return np.array(whole[place, top:bottom, left:right], native)
        width, height = _size(series)
        per_page = math.prod(series.shape) // (width * height * self.layout.n_samples * len(series.pages))
        page = series.pages[place // per_page]
        if page is None:  # OME-TIFF may leave planes out
            return np.zeros((bottom - top, right - left, self.layout.n_samples), native)
        if per_page == 1 and 2 * (right - left) * (bottom - top) < width * height and _has_segments(page):
            return self._from_segments(page, box).astype(native, copy=False)
        whole = page.asarray().reshape(per_page, height, width, self.layout.n_samples)
        return np.asarray(whole[place % per_page, top:bottom, left:right], native)

    def _mapped(self, series: Any) -> NDArray[Any]:
        """(pages, H, W, S) an uncompressed series in the file, mapped into memory."""
        width, height = _size(series)
        n_pages = math.prod(series.shape) // (width * height * self.layout.n_samples)
        dtype = series.dtype.newbyteorder(self.file.byteorder)
        shape = (n_pages, height, width, self.layout.n_samples)
        if series.dataoffset + math.prod(shape) * dtype.itemsize > self.file.filehandle.size:
            raise truncated("its samples are cut off")
        return np.memmap(self.file.filehandle.path, dtype, "r", series.dataoffset, shape)

    def _from_segments(self, page: Any, box: Box) -> NDArray[Any]:
        """A part of a page, from the tiles or strips that it lies in."""
        left, top, right, bottom = box
        high, wide = (
            (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
        )
        result = np.zeros((bottom - top, right - left, self.layout.n_samples), page.dtype)
        across = -(-page.imagewidth // wide)
        for row in range(top // high, -(-bottom // high)):
            for column in range(left // wide, -(-right // wide)):
                part = self._segment(page, row * across + column)
                if part is None:
                    continue
                y, x = row * high, column * wide
                y0, x0 = max(y, top), max(x, left)
                y1, x1 = min(y + part.shape[0], bottom), min(x + part.shape[1], right)
                result[y0 - top : y1 - top, x0 - left : x1 - left] = part[y0 - y : y1 - y, x0 - x : x1 - x]
        return result

    def _segment(self, page: Any, number: int) -> NDArray[Any] | None:
        """(h, w, S) a tile or strip; the latest are kept. None where the file has none, which is zero."""
        key = page.index, number
        if key in self._segments:
            self._segments.move_to_end(key)
            return self._segments[key]
        offset, n_bytes = page.dataoffsets[number], page.databytecounts[number]
        if n_bytes == 0:
            return None
        self.file.filehandle.seek(offset)
        tables = page.jpegtables
        found, _, _ = page.decode(self.file.filehandle.read(n_bytes), number, jpegtables=tables)
        part: NDArray[Any] = np.asarray(found)[0]
        self._segments[key] = part
        if len(self._segments) > CACHED_SEGMENTS:
            self._segments.popitem(last=False)
        return part


def _full_series(file: Any) -> list[Any]:
    """The series of full pictures, in the order of their pages."""
    if file.is_ome or file.is_imagej:
        return [file.series[0]]
    found = [one for one in file.series if not (one.keyframe.subfiletype & _REDUCED_OR_MASK)]
    if not found:
        raise BadImageError(
            "expected a full picture, got only thumbnails or masks; export the picture itself"
        )
    return sorted(found, key=lambda one: one.keyframe.index)


def _check_kind(page: Any) -> None:
    if int(page.photometric) == 3:
        raise unsupported("a palette", "convert it to RGB")
    if page.dtype is None or page.dtype.kind not in "uif" or page.bitspersample < 8:
        raise unsupported(f"samples of {page.bitspersample} bits", "convert them to 8 bits or more")
    if page.bitspersample != page.dtype.itemsize * 8:
        raise unsupported(f"samples of {page.bitspersample} bits", f"convert them to {page.dtype}")


def _spatial(series: Any) -> tuple[str, str]:
    """The axes before Y, and those from Y on."""
    axes = series.axes
    at = axes.find("Y")
    if at < 0 or axes[at : at + 2] != "YX" or axes[at + 2 :] not in ("", "S"):
        raise unsupported(f"an array with the axes {axes}", "save it with the axes Y and X last")
    return axes[:at], axes[at:]


def _leading(series: Any) -> tuple[str, tuple[int, ...], int]:
    """The axes that frames are counted along, their lengths, and the number of planes of a frame."""
    before, _ = _spatial(series)
    kept = [(a, n) for a, n in zip(before, series.shape, strict=False) if a not in PLANE_AXES + "S"]
    n_planes = math.prod(n for a, n in zip(before, series.shape, strict=False) if a in PLANE_AXES + "S")
    named = "".join(a if a in "TZ" else "T" for a, _ in kept)
    if len(set(named)) != len(named):
        return "T", (math.prod(n for _, n in kept),), n_planes
    return named, tuple(n for _, n in kept), n_planes


def _plane_index(series: Any) -> NDArray[np.intp]:
    """(frames, P) the page of each plane of each frame."""
    before, _ = _spatial(series)
    shape = series.shape[: len(before)]
    numbers = np.arange(math.prod(shape)).reshape(shape)
    planes = [k for k, a in enumerate(before) if a in PLANE_AXES + "S"]
    frames = [k for k in range(len(before)) if k not in planes]
    n_planes = math.prod(shape[k] for k in planes)
    return np.asarray(numbers.transpose([*frames, *planes]).reshape(-1, n_planes))


def _n_frames(series: Any) -> int:
    return len(_plane_index(series))


def _size(series: Any) -> tuple[int, int]:
    at = series.axes.index("Y")
    return int(series.shape[at + 1]), int(series.shape[at])


def _n_samples(series: Any) -> int:
    return int(series.shape[-1]) if series.axes.endswith("XS") else 1


def _alpha(page: Any, n_samples: int) -> str:
    extra = tuple(int(value) for value in page.extrasamples)
    return _EXTRA_ALPHA.get(extra[-1], "") if extra and n_samples > 1 else ""


def _full_scale(page: Any, dtype: np.dtype[Any]) -> float:
    return 1.0 if dtype.kind == "f" else float(np.iinfo(dtype).max)


def _has_segments(page: Any) -> bool:
    """Whether tiles and strips can be decoded one by one: every segment holds all samples of a pixel."""
    return int(page.planarconfig) == 1 and len(page.dataoffsets) > 1 and page.imagedepth == 1
