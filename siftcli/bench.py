"""Speed beside OpenCV's SIFT, both in one process, taking turns, warm.

A machine's speed drifts; a ratio of two runs that follow each other drifts less.
So what is reported is the median, over pairs, of OpenCV's time over siftcli's. What the first image of a
process takes, and the memory it needs, is measured in fresh processes, one for each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import api
from ._cv2 import import_cv2
from .image import read_image

_Run = Callable[[NDArray[np.uint8]], object]


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


@dataclass(frozen=True)
class FirstImage:
    """Detection and description of an image by a process that has done nothing before."""

    siftcli_s: float
    opencv_s: float
    siftcli_peak_mb: float
    """Memory at its most, above that of the process with its libraries loaded, in 10⁶ bytes."""
    opencv_peak_mb: float

    def to_dict(self) -> dict[str, Any]:
        """Plain names and values, for JSON, with the ratios OpenCV / siftcli."""
        ratio, peak_ratio = self.opencv_s / self.siftcli_s, self.opencv_peak_mb / self.siftcli_peak_mb
        values = {f"first_{name}": value for name, value in asdict(self).items()}
        return values | {"first_ratio": ratio, "first_peak_ratio": peak_ratio}


def compare(
    images: Sequence[str | Path], *, threads: int, n_pairs: int, megapixels: float | None = None
) -> Iterator[Timing]:
    """Time siftcli and ``cv2.SIFT`` (``enable_precise_upscale``) on the grey images, in bytes.

    Parameters
    ----------
    images
        Paths of image files.
    threads
        For both.
    n_pairs
        Runs of each, taking turns, after two that are not counted.
    megapixels
        Enlarge the images to this size first (:func:`enlarged`).

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
            grey = grey_bytes(path, megapixels)
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


def grey_bytes(path: str | Path, megapixels: float | None = None) -> NDArray[np.uint8]:
    """(H, W) grey values of an image, enlarged to a size when one is given."""
    grey = np.rint(255 * read_image(path).grey).astype(np.uint8)
    return grey if megapixels is None else enlarged(grey, megapixels)


def enlarged(grey: NDArray[np.uint8], megapixels: float) -> NDArray[np.uint8]:
    """A picture twice as large, laid beside its mirror images to 3 : 2, with seeded noise of a grey level."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    shape = height, round(height * 1.5)
    double = import_cv2().resize(grey, None, fx=2, fy=2).astype(np.float32)
    padding = [(0, max(0, n - m)) for n, m in zip(shape, double.shape, strict=True)]
    tiled = np.pad(double, padding, mode="symmetric")[: shape[0], : shape[1]]
    noise = np.random.default_rng(0).standard_normal(shape, np.float32)
    return np.asarray(np.clip(np.rint(tiled + noise), 0, 255), np.uint8)


def first_image(path: str | Path, *, threads: int, megapixels: float | None = None) -> FirstImage:
    """Measure what a fresh process of each takes for an image (arguments as of :func:`compare`)."""
    grey = grey_bytes(path, megapixels)
    (ours_s, ours_mb), (theirs_s, theirs_mb) = (
        _in_fresh_process(make, grey, threads) for make in (_siftcli, _opencv)
    )
    return FirstImage(ours_s, theirs_s, ours_mb, theirs_mb)


def _siftcli(threads: int) -> _Run:
    return lambda image: api.detect(image, threads=threads)


def _opencv(threads: int) -> _Run:
    cv2 = import_cv2()
    cv2.setNumThreads(threads)
    sift = cv2.SIFT_create(enable_precise_upscale=True)
    return lambda image: sift.detectAndCompute(image, None)


def _in_fresh_process(
    make: Callable[[int], _Run], grey: NDArray[np.uint8], threads: int
) -> tuple[float, float]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_measure_first, make, grey, threads).result()


def _measure_first(make: Callable[[int], _Run], grey: NDArray[np.uint8], threads: int) -> tuple[float, float]:
    """Seconds, and 10⁶ bytes above the process before, of the first real image of this process."""
    run = make(threads)
    run(grey[:64, :64].copy())  # libraries and kernels are loaded when first used
    before = _memory_mb("VmRSS")
    seconds = _milliseconds(lambda: run(grey)) / 1000
    return seconds, _memory_mb("VmHWM") - before


def _memory_mb(name: str) -> float:
    """A line of Linux's account of this process, in 10⁶ bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kibibytes,) = (line.split()[1] for line in lines if line.startswith(name + ":"))
    return int(kibibytes) * 1.024e-3


def _milliseconds(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)
