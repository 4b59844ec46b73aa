"""Rows and keypoints shared out among threads; kernels release the GIL.

Every block writes to its own part of the result, so the result does not depend
on the number of threads or on their timing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

_Result = TypeVar("_Result")

SMALLEST_SHARE = 1 << 16
"""Samples a block must have before handing it to a thread pays."""

BLOCKS_A_THREAD = 4
"""Where some rows take longer than others."""


class Threads:
    """A context manager of ``n`` threads, the caller's among them; all cores of this process when None."""

    def __init__(self, n: int | None = None) -> None:
        self.n = n or len(os.sched_getaffinity(0))
        self._pool = ThreadPoolExecutor(self.n - 1) if self.n > 1 else None

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
            other.result()
        return [results[i] for i in range(n_blocks)]
