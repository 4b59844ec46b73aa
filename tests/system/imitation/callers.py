"""Who calls: siftcli, the standard library or another library."""

from __future__ import annotations

import sys

PACKAGE = "siftcli"
_PASSED_THROUGH = ("pathlib", "os", "io", "contextlib", "tempfile", "shutil")


def is_ours(module: str) -> bool:
    """Whether it is a module of siftcli."""
    return module.partition(".")[0] == PACKAGE


def is_library(module: str) -> bool:
    """Whether it is neither siftcli, nor the standard library, nor the program."""
    name = module.partition(".")[0]
    return name not in ("", "__main__", PACKAGE) and name not in sys.stdlib_module_names


def siftcli_called() -> bool:
    """Whether siftcli called, maybe through pathlib and the like, and not a library that siftcli called."""
    frame = sys._getframe(2)
    while frame is not None:
        name = frame.f_globals.get("__name__", "").partition(".")[0]
        if name not in (*_PASSED_THROUGH, "sitecustomize", "windows"):
            return is_ours(name)
        frame = frame.f_back
    return False
