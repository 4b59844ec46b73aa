"""Import pycolmap without its noise."""

from __future__ import annotations

import signal
import threading
from typing import Any

WARNINGS_AND_ERRORS, FATAL = 1, 3
"""Log levels of pycolmap."""


def import_pycolmap(level: int = WARNINGS_AND_ERRORS) -> Any:
    """pycolmap, logging from a level on.

    Its import installs a handler that prints a stack trace on SIGTERM, by which a pool ends its workers. The
    handler that was there before is put back.
    """
    before = signal.getsignal(signal.SIGTERM)
    import pycolmap

    if threading.current_thread() is threading.main_thread():  # elsewhere signals cannot be set
        signal.signal(signal.SIGTERM, before)
    pycolmap.logging.minloglevel = level
    return pycolmap
