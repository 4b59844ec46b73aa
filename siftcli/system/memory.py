"""Memory of the machine and of this process, in bytes."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .control_groups import memory_allowed


def total_memory() -> int:
    """Physical memory, or the limit of this process's control groups if that is lower."""
    physical: int
    if hasattr(os, "sysconf"):  # asked for every image: psutil takes some milliseconds to import
        physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    else:
        import psutil

        physical = psutil.virtual_memory().total
    limit = memory_allowed()
    return physical if limit is None else min(physical, limit)


def available_memory() -> int:
    """Memory that can be given out without swapping, or the limit of the control groups if that is lower."""
    import psutil

    limit = memory_allowed()
    available: int = psutil.virtual_memory().available
    return available if limit is None else min(available, limit)


def resident_memory() -> int:
    """What this process has in memory now."""
    import psutil

    resident: int = psutil.Process().memory_info().rss
    return resident


def peak_memory() -> int:
    """The most that this process has had in memory since it began."""
    if sys.platform == "linux":
        # Not ru_maxrss, which a process inherits from the one that started it.
        lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    if sys.platform == "win32":
        import psutil

        peak: int = psutil.Process().memory_info().peak_wset
        return peak
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # in bytes on macOS
