"""Rows of an image, from top to bottom, as the strips of an octave ask for them.

Strips need their source's rows in order, and each only for a while. So a source need not be held whole: a
window moves over it, into which rows are brought when a strip asks for them, by the decoder of a file or by
the strips of the octave before.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .blur import Source
from .octave import Strip


class RowSource(Protocol):
    """An image whose rows are read when they are asked for."""

    @property
    def shape(self) -> tuple[int, int]:
        """(H, W) pixels."""

    @property
    def working_bytes(self) -> int:
        """Estimate of what reading holds at once, in bytes."""

    def blocks(self) -> Generator[NDArray[np.float32], None, None]:
        """Yield all rows, grey values in [0, 1], in blocks (R, W) from top to bottom; again at each call."""


Grey = NDArray[np.float32] | RowSource
"""(H, W) grey values in [0, 1]: an array, C-contiguous, or rows that are read when they are asked for."""

Supply = Generator[Strip | None, None, None]
"""Brings some rows to a window whenever it is asked, and yields the strip that it made for that, if any."""


class Window:
    """Some rows of an image, which later ones replace."""

    def __init__(self, shape: tuple[int, int], samples: NDArray[np.float32]) -> None:
        """A window on an image of this shape, for as many rows as ``samples`` (R, W or more); none is there.

        It grows where that is not enough.
        """
        self.rows = Source(samples, 0, shape)
        """The rows that are there."""
        self.stop = 0
        """Rows before this one have been brought."""
        self.supply: Supply | None = None
        """Brings rows that are not there yet; without it they have been brought before they are asked for."""
        self._wanted = 0

    @property
    def height(self) -> int:
        """Rows of the image."""
        return self.rows.shape[0]

    def until(self, first: int, stop: int) -> Iterator[Strip]:
        """Bring all rows before ``stop``; those before ``first`` are not wanted any more.

        Yields the strips of finer octaves that are made on the way.
        """
        self._wanted = max(first, self._wanted)
        while self.stop < stop and self.supply is not None:
            strip = next(self.supply)
            if strip is not None:
                yield strip

    def make_room(self, n: int) -> Source:
        """What has room for the next ``n`` rows, which the caller fills in."""
        source, start, self.stop = self.rows, self.stop, self.stop + n
        if self.stop - source.first_row <= len(source.samples):
            return source
        kept = source.samples[self._wanted - source.first_row : start - source.first_row]
        samples, n_rows = source.samples, self.stop - self._wanted
        if n_rows > len(samples):
            samples = np.empty((n_rows, samples.shape[1]), np.float32)
        samples[: len(kept)] = kept
        self.rows = Source(samples, self._wanted, source.shape)
        return self.rows

    def close(self) -> None:
        """Give back what brings the rows."""
        if self.supply is not None:
            self.supply.close()


def window_on(image: Grey, n_rows: int) -> Window:
    """A window on an image: all of an array, or one that is made for ``n_rows`` rows."""
    shape = image.shape[0], image.shape[1]
    if isinstance(image, np.ndarray):
        window = Window(shape, image)
        window.stop = len(image)
    else:
        window = Window(shape, np.empty((min(n_rows, shape[0]), shape[1]), np.float32))
        window.supply = _bring(image, window)
    return window


def _bring(image: RowSource, window: Window) -> Generator[None, None, None]:
    """Bring the next block of an image whenever asked."""
    blocks = image.blocks()
    try:
        for block in blocks:
            start = window.stop
            source = window.make_room(len(block))
            source.samples[start - source.first_row : window.stop - source.first_row] = block
            yield None
    finally:
        blocks.close()
