"""Jobs on the engine of batches: several processes, a dead worker is one job's failure.

Each worker uses one thread, in every library, so that ``jobs`` workers use ``jobs`` cores and the
results do not depend on how many there are.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property

from ..parallel.processes import LocalPool
from .settings import Settings
from .work import Record, Task, TaskRunner

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment by which libraries are told to use one thread; read when they are first imported."""


def run_tasks(
    jobs: Sequence[Task], settings: Settings, processes: int
) -> Iterator[tuple[Task, list[Record]]]:
    """Do all jobs; pairs of job and rows in the order of the jobs.

    Parameters
    ----------
    jobs
        What to do.
    settings
        The run's settings.
    processes
        Workers; with 1 the work is done in this process.
    """
    with one_thread(processes):
        yield from LocalPool(_Work(settings), _lost, processes).run(jobs, lambda: False)


def one_thread(processes: int) -> AbstractContextManager[None]:
    """Libraries use one thread meanwhile: in this process, or in new ones if there are several."""
    return _one_thread_in_opencv() if processes == 1 else _one_thread_in_new_processes()


@dataclass(frozen=True)
class _Work:
    """Does jobs with a worker that each process makes for itself."""

    settings: Settings

    @cached_property
    def _worker(self) -> TaskRunner:
        _set_opencv_threads(1)
        return TaskRunner(self.settings)

    def __call__(self, job: Task) -> list[Record]:
        return self._worker.run(job)


def _lost(job: Task) -> list[Record]:
    image, sweep, value = job.key
    reason = "the process that worked on it died; a detector crashed or memory ran out"
    return [{"image": image, "sweep": sweep, "value": value, "detector": None, "error": reason}]


@contextmanager
def _one_thread_in_new_processes() -> Iterator[None]:
    """Processes that begin meanwhile see one-thread settings in their environment."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _set_opencv_threads(n: int) -> int:
    """Tell OpenCV how many threads to use; returns how many it used."""
    from .._cv2 import import_cv2

    cv2 = import_cv2()
    before = int(cv2.getNumThreads())
    cv2.setNumThreads(n)
    return before


@contextmanager
def _one_thread_in_opencv() -> Iterator[None]:
    before = _set_opencv_threads(1)
    try:
        yield
    finally:
        _set_opencv_threads(before)
