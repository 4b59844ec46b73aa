"""All that is measured of an image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..detectors import create
from ..params import SiftParams
from .cases import Bytes, Case
from .floor import Floor, multiply_adds, peak, pyramid_ms
from .fresh import FirstImage, first_image
from .warm import Row, compare


@dataclass(frozen=True)
class Measured:
    """One image."""

    rows: tuple[Row, ...]
    """Warm: a row for each number of threads and detector."""
    first: tuple[FirstImage, ...]
    """In fresh processes, with the most threads: one a detector."""
    floor: Floor


def measure(
    cases: Sequence[Case], detectors: Sequence[str], *, thread_counts: Sequence[int], n_pairs: int | None
) -> Iterator[Measured]:
    """Time the detectors on each image.

    Parameters
    ----------
    cases
        The images.
    detectors
        Names of the registry; the others are compared with the first.
    thread_counts
        Each is timed.
    n_pairs
        Runs of each detector, taking turns; see :func:`~siftcli.bench.warm.compare`.

    Yields
    ------
    Measured
        One an image.

    Raises
    ------
    ParameterError, MissingDependencyError, InputError
        If a detector is unknown or not installed, or an image cannot be read.
    """
    for name in detectors:
        create(name)  # one that cannot be used is told before any work
    for case in cases:
        grey = case.grey()
        rows = [
            row
            for threads in thread_counts
            for row in compare(case, grey, detectors, threads=threads, n_pairs=n_pairs)
        ]
        first = [first_image(case, grey, name, max(thread_counts)) for name in detectors]
        yield Measured(tuple(rows), tuple(first), _floor(case, grey, rows))


def _floor(case: Case, grey: Bytes, rows: Sequence[Row]) -> Floor:
    on_one_thread = [r.both_ms.median for r in rows if (r.detector, r.threads) == ("siftcli", 1)]
    return Floor(
        image=case.path.name,
        way=case.way,
        size=(grey.shape[1], grey.shape[0]),
        multiply_adds=multiply_adds(grey.shape, SiftParams()),
        peak_per_s=peak(),
        pyramid_ms=pyramid_ms(grey),
        both_ms=on_one_thread[0] if on_one_thread else None,
    )
