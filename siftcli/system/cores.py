"""The cores that a process may use, and on which of them a thread starts."""

from __future__ import annotations

import math
import os
import platform
import sys
from contextlib import suppress
from itertools import cycle
from pathlib import Path

from .control_groups import cores_allowed


def usable_cores() -> int:
    """How many threads can run at once: the affinity of this process, and the quota of its control groups.

    A quota is rounded up: with one of 1.5 cores, two threads are throttled but lose nothing of it. Python's
    own setting (``PYTHON_CPU_COUNT``, from 3.13 on) is heeded.
    """
    n = len(_core_numbers())
    if sys.version_info >= (3, 13):
        n = min(n, os.process_cpu_count() or n)
    quota = cores_allowed()
    return n if quota is None else max(1, min(n, math.ceil(quota)))


def cores_from_the_next() -> cycle[int]:
    """The cores of this process, again and again, from the one after the caller's on."""
    cores, own = sorted(_core_numbers()), _core()
    return cycle([c for c in cores if c > own] + [c for c in cores if c < own] or cores)


def start_on(core: int) -> None:
    """Move the calling thread to a core; it is free to move again at once. Elsewhere than on Linux, nothing.

    After a pause Linux tends to wake all threads of a process on one core, and moves them apart only some
    milliseconds later, when a small image is done.
    """
    if sys.platform == "linux":
        allowed = os.sched_getaffinity(0)
        with suppress(OSError):
            os.sched_setaffinity(0, {core})
            os.sched_setaffinity(0, allowed)


def processor_name() -> str:
    """The processor's name as its maker writes it, or else LLVM's name of its kind, such as ``apple-m1``."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    import llvmlite.binding

    return f"{platform.machine()} {llvmlite.binding.get_host_cpu_name()}"


def _core_numbers() -> list[int]:
    """The numbers of the cores that this process may run on; never empty."""
    if hasattr(os, "sched_getaffinity"):
        return list(os.sched_getaffinity(0))
    if sys.platform == "win32":
        import psutil  # late: it takes some milliseconds

        return psutil.Process().cpu_affinity() or [0]
    return list(range(os.cpu_count() or 1))


def _core() -> int:
    """The core that the calling thread runs on; -1 where the system does not say."""
    try:
        # Field 39, "processor"; the second, a name in brackets, may hold blanks.
        stat = Path("/proc/thread-self/stat").read_text(encoding="utf-8", errors="replace")
        return int(stat.rpartition(")")[2].split()[36])
    except (OSError, ValueError, IndexError):
        return -1
