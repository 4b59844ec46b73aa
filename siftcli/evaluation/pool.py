"""Jobs on several processes: results as they come, a dead worker is one job's failure.

Each worker uses one thread, in every library, so that ``jobs`` workers use ``jobs`` cores and the
results do not depend on how many there are.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager

from .settings import Settings
from .work import Job, Record, Worker

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
"""Environment by which libraries are told to use one thread; read when they are first imported."""
JOBS_AHEAD = 2
"""Jobs handed out a worker: one under way and one waiting."""
PARENT_POLL_S = 2.0
"""How often a worker looks whether its parent still lives."""

_worker: Worker | None = None


def run_jobs(jobs: Sequence[Job], settings: Settings, processes: int) -> Iterator[tuple[Job, list[Record]]]:
    """Do all jobs; pairs of job and rows in the order in which they finish.

    Parameters
    ----------
    jobs
        What to do, started in this order.
    settings
        The run's settings.
    processes
        Workers; with 1 the work is done in this process.
    """
    if processes == 1:
        with _one_thread_in_opencv():
            worker = Worker(settings)
            for job in jobs:
                yield job, worker.run(job)
        return
    remaining = list(jobs)
    while remaining:
        under_way: list[Job] = []
        try:
            for job, records in _run_in_pool(remaining, settings, processes, under_way):
                remaining.remove(job)
                yield job, records
        except BrokenProcessPool:
            for job in under_way:
                remaining.remove(job)
                yield job, _run_alone(job, settings)


def _run_in_pool(
    jobs: Sequence[Job], settings: Settings, processes: int, under_way: list[Job]
) -> Iterator[tuple[Job, list[Record]]]:
    """Do jobs on one pool; ``under_way`` holds those handed out and not back."""
    waiting = iter(list(jobs))
    with _pool(settings, processes) as pool:
        futures: dict[Future[list[Record]], Job] = {}
        while True:
            while len(futures) < JOBS_AHEAD * processes and (job := next(waiting, None)):
                under_way.append(job)
                futures[pool.submit(_do, job)] = job
            if not futures:
                return
            for future in wait(futures, return_when=FIRST_COMPLETED).done:
                job, records = futures[future], future.result()
                del futures[future]
                under_way.remove(job)
                yield job, records


def _run_alone(job: Job, settings: Settings) -> list[Record]:
    """Do a job that was under way when a worker died, so that only its own death counts."""
    try:
        with _pool(settings, 1) as pool:
            return pool.submit(_do, job).result()
    except BrokenProcessPool:
        image, sweep, value = job.key
        reason = "the process that worked on it died; a detector crashed or memory ran out"
        return [{"image": image, "sweep": sweep, "value": value, "detector": None, "error": reason}]


@contextmanager
def _pool(settings: Settings, processes: int) -> Iterator[ProcessPoolExecutor]:
    """New processes, that see one-thread settings in their environment."""
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(processes, context, _start, (settings, os.getpid()))
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _start(settings: Settings, parent: int) -> None:
    """Make this process a worker."""
    global _worker  # noqa: PLW0603  a pool's initialiser has no other way to leave something behind
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    _set_opencv_threads(1)
    _worker = Worker(settings)


def _do(job: Job) -> list[Record]:
    assert _worker is not None
    return _worker.run(job)


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: a killed run must not leave workers behind."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)


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
