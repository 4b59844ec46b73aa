"""Where machine code from a file may be linked and run."""

from __future__ import annotations

import sys


def links_object_files() -> bool:
    """Whether linking stored machine code was tested on this system: ELF files of Linux only.

    On others it might end the process, which no fallback would catch.
    """
    return sys.platform == "linux"
