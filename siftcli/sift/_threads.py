"""Rows and keypoints shared out among threads; kernels release the GIL.

Every block writes to its own part of the result, so the result does not depend
on the number of threads or on their timing.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

_Result = TypeVar("_Result")

SMALLEST_SHARE = 1 << 16
"""Samples a block must have before handing it to a thread pays."""

BLOCKS_A_THREAD = 4
"""Where some rows take longer than others."""


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


class Threads:
    """A context manager of ``n`` threads, the caller's among them; all cores of this process when None."""

    def __init__(self, n: int | None = None) -> None:
        self.n = n or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.n - 1, initializer=_starter_apart()) if self.n > 1 else None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._pool:
            self._pool.shutdown()

    def over_rows(
        self, n_rows: int, n_samples: int, work: Callable[[int, int], _Result], *, even: bool = True
    ) -> list[_Result]:
        """``work(start, stop)`` over blocks of ``n_rows`` rows; results in the order of the rows.

        Parameters
        ----------
        n_rows
            Rows (or keypoints) to share out.
        n_samples
            Size of the whole work; small work is not shared out.
        work
            Called once a block, from any thread.
        even
            Whether all rows take as long; otherwise there are more blocks than threads.
        """
        n_blocks = max(1, min(self.n, n_rows, n_samples // SMALLEST_SHARE))
        if n_blocks == 1 or self._pool is None:
            return [work(0, n_rows)]
        n_threads = n_blocks
        if not even:
            n_blocks = min(n_rows, BLOCKS_A_THREAD * n_blocks)
        edges = [n_rows * i // n_blocks for i in range(n_blocks + 1)]
        results: dict[int, _Result] = {}
        waiting = iter(range(n_blocks))

        def work_on() -> None:
            for i in waiting:  # each is taken by one thread
                results[i] = work(edges[i], edges[i + 1])

        others = [self._pool.submit(work_on) for _ in range(n_threads - 1)]
        work_on()
        for other in others:
            if not other.cancel():  # else all threads were busy, and nothing is left for it to do
                other.result()
        return [results[i] for i in range(n_blocks)]

    def beside(self, work: Callable[[], _Result]) -> Callable[[], _Result]:
        """Let another thread do some work, if one is free; calling what is returned gives its result."""
        if self._pool is None:
            return work
        begun = self._pool.submit(work)
        return lambda: work() if begun.cancel() else begun.result()
