"""How many processes are of use: no more than there is work, memory and cores for."""

from __future__ import annotations

from ..io.limits import MAX_MEMORY
from ..system.cores import usable_cores

PROCESSES_PER_CORE = 2
"""A process that waits for a disk leaves its core to another one; more only take memory."""
PROCESS_BYTES = 150_000_000
"""What a process needs at least, with NumPy, the kernels and a small image."""


def most_processes(n_tasks: int) -> int:
    """The largest number of processes that is of use for these tasks, at least 1."""
    return max(1, min(n_tasks, PROCESSES_PER_CORE * usable_cores(), MAX_MEMORY.value // PROCESS_BYTES))
