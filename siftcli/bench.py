"""Speed beside OpenCV's SIFT, both in one process, taking turns, warm.

A machine's speed drifts; a ratio of two runs that follow each other drifts less.
So what is reported is the median, over pairs, of OpenCV's time over siftcli's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import api
from ._cv2 import import_cv2
from .image import read_image


@dataclass(frozen=True)
class Timing:
    """Detection and description of one image by both, over several pairs of runs."""

    image: str
    size: tuple[int, int]
    """(width, height)."""
    threads: int
    n_siftcli: int
    """Features found."""
    n_opencv: int
    siftcli_ms: float
    """Median."""
    opencv_ms: float
    """Median."""
    ratio: float
    """Median over the pairs of OpenCV's time divided by siftcli's: above 1, siftcli is faster."""
    ratio_low: float
    """Smallest of the middle half of the pairs."""
    ratio_high: float
    """Largest of the middle half of the pairs."""

    def to_dict(self) -> dict[str, Any]:
        """Plain names and values, for JSON."""
        return asdict(self)


def compare(images: Sequence[str | Path], *, threads: int, n_pairs: int) -> Iterator[Timing]:
    """Time siftcli and ``cv2.SIFT`` (``enable_precise_upscale``) on the grey images, in bytes.

    Parameters
    ----------
    images
        Paths of image files.
    threads
        For both.
    n_pairs
        Runs of each, taking turns, after two that are not counted.

    Yields
    ------
    Timing
        One an image.
    """
    cv2 = import_cv2()
    sift = cv2.SIFT_create(enable_precise_upscale=True)
    threads_before = cv2.getNumThreads()
    cv2.setNumThreads(threads)
    try:
        for path in images:
            grey = np.rint(255 * read_image(path).grey).astype(np.uint8)
            yield _compare_on(Path(path).name, grey, sift, threads, n_pairs)
    finally:
        cv2.setNumThreads(threads_before)


def _compare_on(name: str, grey: NDArray[np.uint8], sift: Any, threads: int, n_pairs: int) -> Timing:
    n_siftcli = len(api.detect(grey, threads=threads))
    n_opencv = len(sift.detectAndCompute(grey, None)[0])
    ours, theirs = [], []
    for _ in range(n_pairs):
        ours.append(_milliseconds(lambda: api.detect(grey, threads=threads)))
        theirs.append(_milliseconds(lambda: sift.detectAndCompute(grey, None)))
    ratios = sorted(b / a for a, b in zip(ours, theirs, strict=True))
    return Timing(
        image=name,
        size=(grey.shape[1], grey.shape[0]),
        threads=threads,
        n_siftcli=n_siftcli,
        n_opencv=n_opencv,
        siftcli_ms=median(ours),
        opencv_ms=median(theirs),
        ratio=median(ratios),
        ratio_low=ratios[n_pairs // 4],
        ratio_high=ratios[-1 - n_pairs // 4],
    )


def _milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)
