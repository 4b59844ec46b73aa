"""Pictures of other formats than TIFF: one frame each, or one a page of an animation."""

from __future__ import annotations

import io
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..image import upright
from ..image.decoded import Decoded
from ..image.decoding import decode
from .records import Box, Layout, Metadata, Samples

FORMATS = {"PNG": "png", "JPEG": "jpeg", "MPO": "jpeg", "WEBP": "webp"}
"""Pillow's names of the formats that are written again; pictures of others are written as TIFF."""
_ORIENTATION = 0x0112


class PlainReader:
    """A picture file that siftcli decodes; its frames have the size of the first."""

    def __init__(self, path: str) -> None:
        self.path = path
        first = self._decoded(0)
        samples = upright(first.samples, first.exif_orientation)
        height, width, n_samples = samples.shape
        alpha = "premultiplied" if first.premultiplied else "straight"
        self.layout = Layout(
            sizes=((width, height),) * first.n_pages,
            n_planes=1,
            n_samples=n_samples,
            dtype=samples.dtype.name,
            alpha=alpha if n_samples in (2, 4) else "",
            shape=(first.n_pages,),
            full_scale=first.full_scale,
        )
        self.metadata = _metadata(path)

    def _decoded(self, index: int) -> Decoded:
        return _decode(self.path, index)

    def frame(self, index: int) -> Samples:
        """(1, H, W, S) samples of a frame, upright."""
        found = self._decoded(index)
        return np.asarray(upright(found.samples, found.exif_orientation)[None])

    def region(self, index: int, box: Box) -> Samples:
        """(1, h, w, S) samples of a part of a frame."""
        left, top, right, bottom = box
        return self.frame(index)[:, top:bottom, left:right]

    def close(self) -> None:
        """Forget the decoded picture."""
        _decode.cache_clear()


@lru_cache(maxsize=1)
def _decode(path: str, index: int) -> Decoded:
    return decode(path, index)


def _metadata(path: str) -> Metadata:
    """What Pillow reads of the header; nothing of a file that only other decoders read."""
    from PIL import Image

    with suppress(Exception), Image.open(io.BytesIO(Path(path).read_bytes())) as image:
        dpi = image.info.get("dpi")
        exif = image.getexif()
        exif.pop(_ORIENTATION, None)
        return Metadata(
            format=FORMATS.get(image.format or "", "tiff"),
            icc=image.info.get("icc_profile") or None,
            resolution=None if not dpi or not dpi[0] else (float(dpi[0]), float(dpi[1])),
            exif=exif.tobytes() if len(exif) else None,
        )
    return Metadata(format="tiff")
