"""Large pictures whose rows are decoded when they are asked for, ahead by another thread.

Decoded whole, a picture takes memory in proportion to its size, several times that of its grey values. Here
only some bands are held; a picture is decoded again each time all of its rows are asked for.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, nullcontext
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import Features
from ..io.limits import MAX_IMAGE_BYTES, MAX_PIXELS, MAX_ROW_PIXELS, Limit
from ..io.reading import STANDARD_INPUT, OpenFile
from .decoded import BadImageError, Decoded, damage
from .grey import plain_grey
from .stretch import FAINT_RANGE, FEW_FEATURES, NO_STRETCH

if TYPE_CHECKING:
    from .bands import Bands

SMALLEST = 1 << 26
"""Pixels from which on a picture is read by rows: decoding it twice then costs less than holding it."""
_STARTS = (b"II", b"MM", b"P5", b"P6")
_ROWS_AT_ONCE_BYTES = 4 << 20
"""Grey values that are handed on at once."""
_COPIES = 4
"""Copies of the samples of a band while it is unpacked, the next one included."""

Around = Callable[[], AbstractContextManager[None]]


class GreyRows(NamedTuple):
    """The grey values of a picture, decoded from its file each time they are asked for."""

    path: str
    bands: Bands
    """How it is decoded."""
    state: tuple[int, ...]
    """That of the file when it was opened."""
    around: Around
    """What a band is decoded in."""

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) pixels."""
        return self.bands.size[1], self.bands.size[0]

    @property
    def working_bytes(self) -> int:
        """Estimate of what reading holds at once, in bytes."""
        bands = self.bands
        return _COPIES * bands.n_rows * bands.row_bytes + 2 * max(_ROWS_AT_ONCE_BYTES, 4 * self.shape[1])

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Yield all rows, grey values in [0, 1], in blocks (R, W) from top to bottom; again at each call.

        Raises
        ------
        InputError
            If the file is damaged, or has changed since it was opened.
        """
        n_rows = max(1, _ROWS_AT_ONCE_BYTES // (4 * self.shape[1]))
        try:
            for decoded in self._decoded():
                for first in range(0, len(decoded.samples), n_rows):
                    part = decoded._replace(samples=decoded.samples[first : first + n_rows])
                    yield plain_grey(part, np.float32)
        except (BadImageError, InputError) as error:
            raise InputError(f"{self.path}: {error}") from error

    def _decoded(self) -> Generator[Decoded, None, None]:
        """The bands, the next of which is decoded meanwhile."""
        from concurrent.futures import ThreadPoolExecutor

        height, n_rows = self.shape[0], self.bands.n_rows
        with OpenFile(self.path) as file, ThreadPoolExecutor(1, "siftcli-decoder") as ahead:
            self._check(file)
            coming = [ahead.submit(self._decode, file, 0, min(n_rows, height))]
            for first in range(n_rows, height + n_rows, n_rows):
                decoded = coming.pop().result()
                if first < height:
                    coming.append(ahead.submit(self._decode, file, first, min(first + n_rows, height)))
                yield decoded
            self._check(file)

    def _decode(self, file: OpenFile, first: int, stop: int) -> Decoded:
        with self.around(), damage():
            decoded = self.bands.decode(file, first, stop)
        if decoded.samples.shape[:2] != (stop - first, self.shape[1]):
            raise BadImageError("the file has changed while it was read; try again")
        return decoded

    def _check(self, file: OpenFile) -> None:
        if file.state != self.state:
            raise BadImageError("the file has changed while it was read; try again")


class RowPicture(NamedTuple):
    """A picture that is ready for detection but for its rows; as :class:`Picture`, which is read whole."""

    grey: GreyRows
    name: str
    """Name of the file."""
    n_pages: int
    """Pages of the file."""
    left_out: None = None
    """No pixel is left out."""
    exif_orientation: int = 1
    """None was applied."""

    @property
    def label(self) -> str:
        """How error messages refer to it."""
        return self.name

    @property
    def input_size(self) -> tuple[int, int]:
        """(width, height): the frame of the coordinates."""
        return self.grey.bands.size

    def to_input_frame(self, features: Features) -> Features:
        """The features as they are: nothing was reduced."""
        return features

    def looks_faint(self, n_features: int, max_features: int | None) -> bool:
        """Whether few features were found in an image that uses a small part of its range."""
        if n_features == max_features or n_features >= FEW_FEATURES:
            return False
        extremes = [(block.min(), block.max()) for block in self.grey.blocks()]
        low, high = min(low for low, _ in extremes), max(high for _, high in extremes)
        return 0 < float(high - low) < FAINT_RANGE


def open_rows(
    source: str | PathLike[str] | NDArray[Any],
    *,
    exif_orientation: str = "apply",
    max_image_size: int | None = None,
    page: int = 0,
    stretch: str = NO_STRETCH,
    nodata: float | None = None,
    whole_for: str = "",
    around: Around = nullcontext,
) -> RowPicture | None:
    """Open a large TIFF or raw PGM/PPM to be read by rows.

    Parameters
    ----------
    source, exif_orientation, max_image_size, page, stretch, nodata
        As for :func:`siftcli.image.read_image`.
    whole_for
        What needs the whole picture, if anything does.
    around
        Makes a context in which each band is decoded.

    Returns
    -------
    RowPicture
        None for a picture that is to be read at once, or cannot be read, which reading it tells.

    Raises
    ------
    InputError
        If it has too many pixels to be read by rows; or to be read at once, and it must be.
    """
    if not isinstance(source, str | PathLike):
        return None
    path = os.fspath(source)
    if path == STANDARD_INPUT or not Path(path).is_file():  # a pipe can be opened once only
        return None
    try:
        with OpenFile(path) as file:
            found, state = _found(file, page), file.state
    except (BadImageError, InputError, OSError, ValueError):
        return None
    if found is None:
        return None
    if not whole_for and max(found.size) > (max_image_size or math.inf):
        whole_for = "it is reduced to --max-image-size (max_image_size)"
    elif not whole_for and (stretch != NO_STRETCH or nodata is not None):
        whole_for = "--stretch (stretch) or --nodata (nodata) is given"
    elif not whole_for and exif_orientation == "apply" and found.exif_orientation != 1:
        whole_for = f"its EXIF orientation {found.exif_orientation} is applied"
    whole_for = whole_for or found.why_whole
    if whole_for:
        _check(path, found.size, MAX_PIXELS, f", as it is read at once because {whole_for};")
        return None
    _check(path, found.size, MAX_ROW_PIXELS, ";")
    return RowPicture(GreyRows(path, found, state, around), Path(path).name, found.n_pages)


def what_needs_all(*, mask: bool, views: int, drawing: bool = False) -> str:
    """What needs a whole picture, if anything does, as the end of a sentence."""
    reasons = {"a mask is given": mask, "views are simulated (--views, views)": views, "it is drawn": drawing}
    return next((reason for reason, holds in reasons.items() if holds), "")


def _found(file: OpenFile, page: int) -> Bands | None:
    """How a page of a large TIFF or PGM/PPM is decoded; None for any other file."""
    if not (len(file) <= MAX_IMAGE_BYTES.value and file[:3].startswith(_STARTS)):
        return None
    from .bands import bands_of

    return bands_of(file, page, SMALLEST)


def _check(path: str, size: tuple[int, int], limit: Limit, why: str) -> None:
    width, height = size
    if width * height > limit.value:
        raise InputError(
            f"{path}: expected at most {limit.value / 1e6:g} megapixels, got {width} x {height}{why} "
            f"reduce the image or cut it into tiles first, {limit.how_to_raise}"
        )
