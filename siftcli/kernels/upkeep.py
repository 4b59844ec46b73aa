"""What is in the folder of compiled kernels: to show it, to remove what is no longer used, and to clear it.

A new version of siftcli, Python or Numba, or another processor, has code of its own, so the folder would
grow. What is loaded is marked as used once a day, by the time of its last change. What has not been used for
``UNUSED_DAYS`` is removed when something new is compiled.
"""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from .cache import DAY_S

UNUSED_DAYS = 90
"""Code that nobody has used for so long is removed."""
_STORED = r"(?P<kernel>[\w.<>]+)-[0-9a-f]{16}\.(kernel|[0-9a-f]{16})"
"""Machine code, or what a process that was killed had written of it."""
_NUMBA = r"numba-[0-9a-f]{16}"
NUMBAS_CACHE = "Numba's cache"


@dataclass(frozen=True)
class Kept:
    """One entry of the folder: the machine code of a kernel, or Numba's own cache of one."""

    kernel: str
    """Module and name, or ``NUMBAS_CACHE``."""
    path: Path
    files: tuple[Path, ...]
    """Its regular files."""
    n_bytes: int
    last_used: float
    """Seconds since the epoch, to a day."""


def kept(folder: Path) -> list[Kept]:
    """What is in the folder, by name. Links and files that siftcli has not written are left out."""
    found = []
    for path in sorted(folder.iterdir()):
        if (match := re.fullmatch(_STORED, path.name)) and _is_file(path):
            found.append(_entry(match["kernel"], path, (path,)))
        elif re.fullmatch(_NUMBA, path.name) and path.is_dir() and not path.is_symlink():
            files = tuple(_files_below(path))
            found += [_entry(NUMBAS_CACHE, path, files)] if files else []
    return found


def _entry(kernel: str, path: Path, files: tuple[Path, ...]) -> Kept:
    sizes, times = [], [0.0]
    for file in {path, *files}:
        with suppress(FileNotFoundError):  # another process may remove it
            status = file.lstat()
            times.append(status.st_mtime)
            sizes.append(status.st_size if stat.S_ISREG(status.st_mode) else 0)
    return Kept(kernel, path, files, sum(sizes), max(times))


def _files_below(folder: Path) -> Iterator[Path]:
    for where, _, names in os.walk(folder):
        yield from (path for name in sorted(names) if _is_file(path := Path(where, name)))


def _is_file(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def remove(entries: list[Kept]) -> tuple[int, int]:
    """Remove entries.

    Returns
    -------
    n_files, n_bytes
        What is gone.

    Raises
    ------
    OSError
        If a file cannot be removed.
    """
    n_files = n_bytes = 0
    for entry in entries:
        for file in entry.files:
            file.unlink(missing_ok=True)
        if entry.path.is_dir():
            for where, _, _ in os.walk(entry.path, topdown=False):
                with suppress(OSError):  # what somebody else put there stays
                    Path(where).rmdir()
        n_files, n_bytes = n_files + len(entry.files), n_bytes + entry.n_bytes
    return n_files, n_bytes


def remove_unused(folder: Path) -> None:
    """Remove what has not been used for ``UNUSED_DAYS``. A folder that cannot be changed stays as it is."""
    oldest = time.time() - UNUSED_DAYS * DAY_S
    with suppress(OSError):
        remove([entry for entry in kept(folder) if entry.last_used < oldest])
