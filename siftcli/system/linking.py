"""Where machine code from a file may be run, and memory to run it from."""

from __future__ import annotations

import ctypes
import mmap
import sys
from pathlib import Path
from typing import Any

import numpy as np

_READ, _RUN = 1, 4
"""Linux' PROT_READ and PROT_EXEC. Python's own mapping can set them from the start only."""
_IDENTITY = {
    "vendor_id", "cpu family", "model", "stepping", "flags",
    "CPU implementer", "CPU architecture", "CPU variant", "CPU part", "CPU revision", "Features",
}  # fmt: skip
"""What Linux tells of a processor of the x86 family, and of ARM's."""


def links_object_files() -> bool:
    """Whether linking stored machine code was tested on this system: ELF files of Linux only.

    On others it might end the process, which no fallback would catch.
    """
    return sys.platform == "linux"


def processor() -> str:
    """The kind of the processor and its features, on Linux.

    Raises
    ------
    OSError
        If the system does not tell.
    """
    with Path("/proc/cpuinfo").open("rb", buffering=0) as file:
        first = file.read(1 << 14).decode("ascii", "replace").partition("\n\n")[0]
    found = [line for line in first.splitlines() if line.partition("\t")[0].rstrip(" :") in _IDENTITY]
    if not found:
        raise OSError("the processor is not known")
    return "\n".join(found)


def code_memory(n_bytes: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Zeroed memory, (n_bytes,) uint8, of whole pages; a fork of the process has its own."""
    return np.frombuffer(mmap.mmap(-1, n_bytes, access=mmap.ACCESS_COPY), np.uint8)


def make_runnable(memory: np.ndarray[Any, np.dtype[np.uint8]], n_bytes: int) -> None:
    """Let the first bytes of such memory, whole pages, be run and no longer written.

    Raises
    ------
    OSError
        If the system does not allow it.
    """
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    if protect(memory.ctypes.data, n_bytes, _READ | _RUN):
        raise OSError(ctypes.get_errno(), "code may not be run from memory")
