"""What a program on a terminal needs of the system: signals and the encoding of its streams."""

from __future__ import annotations

import contextlib
import signal
import sys
from collections.abc import Callable

_ENDINGS = ("SIGTERM", "SIGBREAK")
"""Requests to end. The second is Windows': Ctrl-Break, a closed console window, the end of the session."""


def on_termination(end: Callable[..., object]) -> None:
    """Call a function when the program is asked to end. Ctrl-C is another matter: Python raises it."""
    for name in _ENDINGS:
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), end)


def prepare_streams() -> None:
    """Let no character raise an error on the standard streams.

    What a terminal's encoding lacks, such as σ, is escaped. Windows' code page is not used for files and
    pipes: UTF-8, as elsewhere.
    """
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(AttributeError):  # none, or a stream that a caller has put in its place
            if sys.platform == "win32" and not stream.isatty():
                stream.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def has_fork_server() -> bool:
    """Whether processes may be forked from one that has loaded libraries; those of macOS do not allow it."""
    return sys.platform == "linux"
