"""Rows and keypoints shared out among threads; kernels release the GIL.

Every row and keypoint has its own part of the result, so the result does not depend
on the number of threads or on their timing.
"""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

_Result = TypeVar("_Result")

SMALLEST_SHARE = 1 << 16
"""Samples a block must have before handing it to a thread pays."""


def _starter_apart() -> Callable[[], None]:
    """Moves each thread that calls it to another core than the last, beginning beside the caller's own.

    After a pause Linux tends to wake all threads of a process on one core, and moves them apart only some
    milliseconds later, when a small image is done. They are free to move again at once.
    """
    allowed = os.sched_getaffinity(0)
    cores = sorted(allowed)
    own = _core()
    following = itertools.cycle([c for c in cores if c > own] + [c for c in cores if c < own] or cores)

    def start() -> None:
        with suppress(OSError):
            os.sched_setaffinity(0, {next(following)})
            os.sched_setaffinity(0, allowed)

    return start


def _core() -> int:
    """The core that the calling thread runs on; -1 where the system does not say."""
    try:
        # Field 39, "processor"; the second, a name in brackets, may hold blanks.
        return int(Path("/proc/thread-self/stat").read_text().rpartition(")")[2].split()[36])
    except (OSError, ValueError, IndexError):
        return -1


class _Job(Generic[_Result]):
    """Blocks of work that any threads take, one after another."""

    def __init__(self, work: Callable[[int], _Result], n_blocks: int) -> None:
        self.work, self.waiting, self.n_unfinished = work, iter(range(n_blocks)), n_blocks
        self.results: dict[int, _Result] = {}
        self.errors: list[BaseException] = []


class Threads:
    """A context manager of ``n`` threads, the caller's among them; all cores of this process when None."""

    def __init__(self, n: int | None = None) -> None:
        self.n = n or len(os.sched_getaffinity(0))
        self._others: list[threading.Thread] = []
        self._open: list[_Job[Any]] = []
        self._is_closed = False
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        # An interrupt may strike while a lock is taken, which another thread then waits for in vain.
        patience_s = None if kind is None or issubclass(kind, Exception) else 1.0
        for other in self._others:
            other.join(patience_s)

    def over_rows(self, n_rows: int, n_samples: int, work: Callable[[int, int], _Result]) -> list[_Result]:
        """``work(start, stop)`` over blocks of ``n_rows`` rows; results in the order of the rows.

        Parameters
        ----------
        n_rows
            Rows, or whatever takes equally long, to share out.
        n_samples
            Size of the whole work; small work is not shared out.
        work
            Called once a block, from any thread.
        """
        n_blocks = self._n_shares(n_rows, n_samples)
        edges = [n_rows * i // n_blocks for i in range(n_blocks + 1)]
        return self._share_out(lambda i: work(edges[i], edges[i + 1]), n_blocks)

    def over_keypoints(self, n: int, n_samples: int, work: Callable[[NDArray[np.int64]], None]) -> None:
        """``work(n_taken)`` in each thread that is free, until ``n`` keypoints are taken.

        Some take longer than others, and a thread may join late; so kernels themselves take the next ones
        and count them in ``n_taken`` (``_sharing.py``).

        Parameters
        ----------
        n
            Keypoints, or candidates, to share out.
        n_samples
            Size of the whole work; small work is not shared out.
        work
            Called at most as often as there are threads, with the same array of one number; it need not find
            any left.
        """
        n_taken = np.zeros(1, np.int64)
        self._share_out(lambda _: work(n_taken), self._n_shares(n, n_samples))

    def _n_shares(self, n_rows: int, n_samples: int) -> int:
        return max(1, min(self.n, n_rows, n_samples // SMALLEST_SHARE))

    def _share_out(self, work: Callable[[int], _Result], n_blocks: int) -> list[_Result]:
        """``work`` of each block, by all threads that are free; the results in order."""
        if n_blocks == 1:
            return [work(0)]
        job = self._offer(work, n_blocks)
        self._work_on(job)
        with self._changed:
            self._changed.wait_for(lambda: job.n_unfinished == 0 or self._is_closed)
        return _results(job)

    def beside(self, work: Callable[[], _Result]) -> Callable[[], _Result]:
        """Let another thread do some work, if one is free; calling what is returned gives its result."""
        if self.n == 1:
            return work
        job = self._offer(lambda _: work(), 1)

        def result() -> _Result:
            self._work_on(job)
            self._help(lambda: job.n_unfinished == 0)
            return _results(job)[0]

        return result

    def _offer(self, work: Callable[[int], _Result], n_blocks: int) -> _Job[_Result]:
        """A job that other threads may take blocks of; the first one starts them."""
        if not self._others:
            self._start_apart = _starter_apart()
            for _ in range(self.n - 1):
                other = threading.Thread(target=self._stand_by, daemon=True)
                other.start()
                self._others.append(other)
        job = _Job(work, n_blocks)
        with self._changed:
            self._open.append(job)
            self._changed.notify_all()
        return job

    def _stand_by(self) -> None:
        self._start_apart()
        self._help(lambda: False)

    def _help(self, is_over: Callable[[], bool]) -> None:
        """Work on what is open, the oldest first, until something is over or all is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._open or is_over() or self._is_closed)
                if is_over() or self._is_closed:
                    return
                job = self._open[0]
            self._work_on(job)

    def _work_on(self, job: _Job[Any]) -> None:
        """Take blocks of a job until none is left."""
        for i in job.waiting:  # each is taken by one thread
            try:
                job.results[i] = job.work(i)
            except BaseException as error:  # for the thread whose job it is
                job.errors.append(error)
            with self._changed:
                job.n_unfinished -= 1
                if job.n_unfinished == 0:
                    self._changed.notify_all()
        with self._changed, suppress(ValueError):
            self._open.remove(job)


def _results(job: _Job[_Result]) -> list[_Result]:
    """In the order of the blocks; the first error of one is raised."""
    if job.errors:
        first, job.errors = job.errors[0], []  # lest job and traceback keep each other and all they hold
        raise first
    return [job.results[i] for i in range(len(job.results))]
