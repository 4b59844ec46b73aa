"""How many processes and threads are of use: no more than there is work, memory and cores for."""

from __future__ import annotations

from ..io.limits import MAX_MEMORY
from ..system.cores import usable_cores

SMALLEST_BATCH = 16
"""Fewest tasks for which starting processes pays off."""
PROCESSES_PER_CORE = 2
"""A process that waits for a disk leaves its core to another one; more only take memory."""
PROCESS_BYTES = 150_000_000
"""What a process needs at least, with NumPy, the kernels and a small image."""


def most_processes(n_tasks: int) -> int:
    """The largest number of processes that is of use for these tasks, at least 1."""
    return max(1, min(n_tasks, PROCESSES_PER_CORE * usable_cores(), MAX_MEMORY.value // PROCESS_BYTES))


def shared_cores(n_tasks: int, jobs: int | None, threads: int | None) -> tuple[int, int | None]:
    """Choose the number of jobs and of threads per job, so that together they use all cores.

    There are no more jobs than are of use (:func:`most_processes`).
    """
    n_cores = usable_cores()
    if jobs is None:
        jobs = 1 if n_tasks < SMALLEST_BATCH else max(1, n_cores // (threads or 1))
    jobs = min(jobs, most_processes(n_tasks))
    if threads is None and jobs > 1:
        threads = max(1, n_cores // jobs)
    return jobs, threads
