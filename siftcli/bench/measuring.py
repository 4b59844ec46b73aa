"""Run all measurements of an image."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count

from ..detectors import create
from ..params import SiftParams
from .cases import Case
from .options import DEFAULT_PAIRS, SECONDS_A_ROW
from .records import FirstImage, Row, Spread
from .roofline import Roofline, multiply_adds, peak, pyramid_ms
from .stages import Stage, time_stages
from .worker import Worker

_Times = list[list[float]]
"""One list of milliseconds per detector."""


@dataclass(frozen=True)
class Measured:
    """The measurements of one image."""

    rows: list[Row]
    """Warm runs: a row for each number of threads and detector."""
    first: list[FirstImage]
    """First image of a process, at the largest number of threads: one per detector."""
    roofline: Roofline
    stages: Sequence[Stage] = ()
    """A record for each number of threads and stage, if they were asked for."""


def measure(
    cases: Sequence[Case],
    detectors: Sequence[str],
    *,
    thread_counts: Sequence[int],
    n_pairs: int | None,
    equal_counts: bool = False,
    with_stages: bool = False,
    tell: Callable[[int], object] = lambda _n: None,
) -> Iterator[Measured]:
    """Time the detectors on each image: first in a new process, then warm and alternately.

    Parameters
    ----------
    cases
        The images.
    detectors
        Names in the registry; each is compared with the first.
    thread_counts
        Numbers of threads; the detectors are timed with each of them.
    n_pairs
        Number of runs of each detector. None for up to ``DEFAULT_PAIRS`` runs, within
        ``SECONDS_A_ROW``.
    equal_counts
        Whether the warm runs keep no more features of an image than any of the detectors finds in it.
    with_stages
        Whether each stage is timed alone too.
    tell
        Told how many measurements are done, of ``measurements_of_a_case`` for each image.

    Yields
    ------
    Measured
        The measurements of one image.

    Raises
    ------
    ParameterError, MissingDependencyError, InputError
        If a detector is unknown or not installed, or an image cannot be read.
    """
    for name in detectors:
        create(name)  # fail early if one cannot be used
    done = count(1)
    tell(0)
    for case in cases:
        grey, most = case.grey(), max(thread_counts)
        image = case.path.name, case.way, (grey.shape[1], grey.shape[0])
        with ExitStack() as stack:
            workers = [stack.enter_context(Worker(name, grey)) for name in detectors]
            first = [FirstImage(*image, most, w.detector, *w.first(most)) for w in workers]
            tell(next(done))
            counts = [f.n_features for f in first]
            if equal_counts:
                least = max(1, min(counts))
                counts = [worker.limit(least, most) for worker in workers]
            rows = []
            for n in thread_counts:
                rows += _compare(workers, first, counts, n, n_pairs)
                tell(next(done))
        on_one_thread = [row.both_ms.median for row in rows if (row.detector, row.threads) == ("siftcli", 1)]
        roofline = Roofline(
            *image,
            multiply_adds=multiply_adds(grey.shape, SiftParams()),
            peak_per_s=peak(),
            pyramid_ms=pyramid_ms(grey),
            both_ms=on_one_thread[0] if on_one_thread else None,
        )
        stages = time_stages(image, grey, thread_counts) if with_stages else []
        tell(next(done))
        yield Measured(rows, first, roofline, stages)


def measurements_of_a_case(thread_counts: Sequence[int]) -> int:
    """How many measurements an image takes: the first runs, a row for each number of threads, the floor."""
    return len(thread_counts) + 2


def _compare(
    workers: Sequence[Worker],
    first: Sequence[FirstImage],
    counts: Sequence[int],
    threads: int,
    n_pairs: int | None,
) -> list[Row]:
    """One row per detector."""
    detect_ms, both_ms = _alternate(workers, threads, n_pairs)
    return [
        Row(
            image=f.image,
            way=f.way,
            size=f.size,
            threads=threads,
            detector=f.detector,
            n_features=n_features,
            n_pairs=len(both),
            detect_ms=Spread.of(alone) if alone else None,
            both_ms=Spread.of(both),
            ratio=Spread.of([b / a for a, b in zip(both_ms[0], both, strict=True)]),
        )
        for f, n_features, alone, both in zip(first, counts, detect_ms, both_ms, strict=True)
    ]


def _alternate(workers: Sequence[Worker], threads: int, n_pairs: int | None) -> tuple[_Times, _Times]:
    """Milliseconds of detection alone, and of detection and description, in alternating runs."""
    alone: _Times = [[] for _ in workers]
    both: _Times = [[] for _ in workers]
    start = time.perf_counter()
    for n_done in range(n_pairs or DEFAULT_PAIRS):
        if n_pairs is None and n_done and time.perf_counter() - start > SECONDS_A_ROW:
            break
        for worker, times in zip(workers, alone, strict=True):
            times.extend(worker.detect_ms(threads))
        for worker, times in zip(workers, both, strict=True):
            times.extend(worker.both_ms(threads))
    return alone, both
