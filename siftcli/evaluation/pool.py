"""Run tasks in several processes; if a worker dies, only its task fails.

Each worker uses one thread in every library. So N workers use N cores, and the results do not
depend on N.
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
"""Environment variables that limit libraries to one thread; read when a library is first imported."""

LOST = "the process that worked on it died; a detector crashed or memory ran out"
"""Reason of a failure without an exception."""


def run_tasks(
    tasks: Sequence[Task], settings: Settings, processes: int
) -> Iterator[tuple[Task, list[Record]]]:
    """Run all tasks and yield each with its rows, in the order of the tasks.

    Parameters
    ----------
    tasks
        The tasks to run.
    settings
        The settings of the run.
    processes
        Number of workers; with 1, the tasks run in this process.
    """
    with one_thread(processes):
        yield from LocalPool(_Work(settings), _lost, processes).run(tasks, lambda: False)


def one_thread(processes: int) -> AbstractContextManager[None]:
    """Limit libraries to one thread in a context: in this process, or in new ones if there are several."""
    return _one_thread_in_opencv() if processes == 1 else _one_thread_in_new_processes()


@dataclass(frozen=True)
class _Work:
    """Run tasks with a :class:`TaskRunner` that each process creates for itself."""

    settings: Settings

    @cached_property
    def _runner(self) -> TaskRunner:
        set_opencv_threads(1)
        return TaskRunner(self.settings)

    def __call__(self, task: Task) -> list[Record]:
        return self._runner.run(task)


def _lost(task: Task) -> list[Record]:
    image, sweep, value = task.key
    return [{"image": image, "sweep": sweep, "value": value, "detector": None, "error": LOST}]


@contextmanager
def _one_thread_in_new_processes() -> Iterator[None]:
    """Let processes that start within this context use one thread in every library."""
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


def set_opencv_threads(n: int) -> int:
    """Set OpenCV's number of threads and return the previous one."""
    from .._cv2 import import_cv2

    cv2 = import_cv2()
    before = int(cv2.getNumThreads())
    cv2.setNumThreads(n)
    return before


@contextmanager
def _one_thread_in_opencv() -> Iterator[None]:
    before = set_opencv_threads(1)
    try:
        yield
    finally:
        set_opencv_threads(before)
