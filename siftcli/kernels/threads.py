"""Threads that share out rows and keypoints; kernels release the GIL.

Every row and every keypoint has its own part of the result, so the result does not depend on the number of
threads or on their timing. All state that threads share is read and written under one lock, so nothing
here depends on the interpreter's.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from itertools import islice
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from ..system.cores import cores_from_the_next, start_on, usable_cores

_Result = TypeVar("_Result")

SMALLEST_SHARE = 1 << 16
"""Samples a block must have for it to pay to hand it to another thread."""


class _Job(Generic[_Result]):
    """Work in blocks, of which any thread takes the next; the fields are protected by the lock of Threads."""

    def __init__(self, work: Callable[[int], _Result], n_blocks: int) -> None:
        self.work, self.n_blocks = work, n_blocks
        self.n_taken, self.n_done = 0, 0
        self.results: dict[int, _Result] = {}
        self.errors: list[BaseException] = []

    @property
    def is_done(self) -> bool:
        return self.n_done == self.n_blocks


class Threads:
    """A context manager of ``n`` threads, the caller's among them; all usable cores when None."""

    def __init__(self, n: int | None = None) -> None:
        self.n = n or usable_cores()
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
        # An interrupt may come while a lock is held, which another thread then waits for forever.
        patience_s = None if kind is None or issubclass(kind, Exception) else 1.0
        for other in self._others:
            other.join(patience_s)

    def over_rows(self, n_rows: int, n_samples: int, work: Callable[[int, int], _Result]) -> list[_Result]:
        """``work(start, stop)`` for blocks of ``n_rows`` rows; the results in the order of the rows.

        Parameters
        ----------
        n_rows
            Rows, or other items that take equally long, to share out.
        n_samples
            Size of the whole work, in samples; small work is not shared out.
        work
            Called once a block, from any thread.
        """
        n_blocks = self._n_shares(n_rows, n_samples)
        edges = [n_rows * i // n_blocks for i in range(n_blocks + 1)]
        return self._share_out(lambda i: work(edges[i], edges[i + 1]), n_blocks)

    def over_keypoints(self, n: int, n_samples: int, work: Callable[[NDArray[np.int64]], None]) -> None:
        """``work(counter)`` in each thread that is free, for the parallel for loop of a kernel.

        Some keypoints take longer than others, and a thread may join late; so kernels take the next ones
        themselves (``parallel_for.py``).

        Parameters
        ----------
        n
            Keypoints, or candidates, to share out.
        n_samples
            Size of the whole work, in samples; small work is not shared out.
        work
            Called at most once a thread, each time with the same counter, (1,) int64; it may find no
            keypoint left.
        """
        counter = np.zeros(1, np.int64)
        self._share_out(lambda _: work(counter), self._n_shares(n, n_samples))

    def submit(self, work: Callable[[], _Result]) -> Callable[[], _Result]:
        """Let another thread do some work, if one is free; calling what is returned gives its result."""
        if self.n == 1:
            return work
        job = self._offer(lambda _: work(), 1)

        def result() -> _Result:
            self._work_on(job)
            self._help(lambda: job.is_done)
            return _results(job)[0]

        return result

    def _n_shares(self, n_rows: int, n_samples: int) -> int:
        return max(1, min(self.n, n_rows, n_samples // SMALLEST_SHARE))

    def _share_out(self, work: Callable[[int], _Result], n_blocks: int) -> list[_Result]:
        """``work`` for each block, by all threads that are free; the results in order."""
        if n_blocks == 1:
            return [work(0)]
        job = self._offer(work, n_blocks)
        self._work_on(job)
        with self._changed:
            self._changed.wait_for(lambda: job.is_done or self._is_closed)
        return _results(job)

    def _offer(self, work: Callable[[int], _Result], n_blocks: int) -> _Job[_Result]:
        """A job whose blocks other threads may take; the first job starts the threads."""
        if not self._others:
            for core in islice(cores_from_the_next(), self.n - 1):
                other = threading.Thread(target=self._stand_by, args=(core,), daemon=True)
                other.start()
                self._others.append(other)
        job = _Job(work, n_blocks)
        with self._changed:
            self._open.append(job)
            self._changed.notify_all()
        return job

    def _stand_by(self, core: int) -> None:
        start_on(core)
        self._help(lambda: False)

    def _help(self, is_over: Callable[[], bool]) -> None:
        """Work on open jobs, the oldest first, until something is over or all is closed."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._open or is_over() or self._is_closed)
                if is_over() or self._is_closed:
                    return
                job = self._open[0]
            self._work_on(job)

    def _work_on(self, job: _Job[Any]) -> None:
        """Take blocks of a job until none is left."""
        while (i := self._take(job)) is not None:
            result = None
            try:
                result = job.work(i)
            except BaseException as error:  # for the thread whose job it is
                with self._changed:
                    job.errors.append(error)
            with self._changed:
                job.results[i] = result
                job.n_done += 1
                if job.is_done:
                    self._changed.notify_all()

    def _take(self, job: _Job[Any]) -> int | None:
        """The next block of a job, which no other thread gets; None when all are taken."""
        with self._changed:
            if job.n_taken == job.n_blocks:
                return None
            job.n_taken += 1
            if job.n_taken == job.n_blocks:
                self._open.remove(job)
            return job.n_taken - 1


def _results(job: _Job[_Result]) -> list[_Result]:
    """In the order of the blocks; if there was an error, the first is raised."""
    if job.errors:
        first, job.errors = job.errors[0], []  # or job and traceback would keep each other alive
        raise first
    return [job.results[i] for i in range(job.n_blocks)]
