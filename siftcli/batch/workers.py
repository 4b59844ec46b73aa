"""Tasks on several processes of this machine: in order, few at a time; a dead worker fails one task.

Processes, not threads: a process that dies takes no other with it. They were no slower either: 40
images on two cores took two processes 1.2 s in every run, and two threads 1.2 to 5.4 s in four.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import Generic, TypeVar

TASKS_AHEAD = 4
"""Tasks handed out a worker; the most whose results can wait for an earlier one."""
PARENT_POLL_S = 1.0
"""How often a worker looks whether its parent still lives."""

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class LocalPool(Generic[_Task, _Result]):
    """Runs a function on worker processes.

    Parameters
    ----------
    work
        What is done; it and its tasks and results can be pickled.
    lost
        Makes the result of a task whose worker died of it, from the task.
    processes
        Workers.
    """

    def __init__(
        self, work: Callable[[_Task], _Result], lost: Callable[[_Task], _Result], processes: int
    ) -> None:
        self.work, self.lost, self.processes = work, lost, processes

    def run(self, tasks: Iterable[_Task], stop: Callable[[], bool]) -> Iterator[tuple[_Task, _Result]]:
        """Do tasks, in their order, until ``stop``; what was handed out by then is still done."""
        waiting = iter(tasks)
        handed: deque[tuple[_Task, Future[_Result] | None]] = deque()
        while True:
            with _pool(self.processes) as pool:
                # What was under way when a worker died runs alone, so that only its own death counts.
                while handed:
                    task, future = handed.popleft()
                    yield task, self._alone(task) if _is_lost(future) else _result(future)
                try:
                    yield from self._fill(pool, waiting, handed, stop)
                except BrokenProcessPool:
                    continue
            return

    def _fill(
        self,
        pool: ProcessPoolExecutor,
        waiting: Iterator[_Task],
        handed: deque[tuple[_Task, Future[_Result] | None]],
        stop: Callable[[], bool],
    ) -> Iterator[tuple[_Task, _Result]]:
        while True:
            while len(handed) < TASKS_AHEAD * self.processes and not stop():
                task = next(waiting, None)
                if task is None:
                    break
                handed.append((task, None))
                with _interruptions_ignored():
                    handed[-1] = (task, pool.submit(self.work, task))
            if not handed:
                return
            task, future = handed[0]
            result = _result(future)
            handed.popleft()
            yield task, result

    def _alone(self, task: _Task) -> _Result:
        try:
            with _pool(1) as pool:
                with _interruptions_ignored():
                    future = pool.submit(self.work, task)
                return future.result()
        except BrokenProcessPool:
            return self.lost(task)


def _is_lost(future: Future[_Result] | None) -> bool:
    return future is None or not future.done() or isinstance(future.exception(), BrokenProcessPool)


def _result(future: Future[_Result] | None) -> _Result:
    assert future is not None
    return future.result()


@contextmanager
def _pool(processes: int) -> Iterator[ProcessPoolExecutor]:
    # Spawned: a forked child inherits locks in whatever state the threads of this process left them.
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, start_worker, (os.getpid(),))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _interruptions_ignored() -> Iterator[None]:
    """Let a new process begin deaf to Ctrl-C, which a terminal sends to all: the parent decides."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def start_worker(parent: int) -> None:
    """Make this process a worker that ends with its parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: a killed run must not leave workers behind."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)
