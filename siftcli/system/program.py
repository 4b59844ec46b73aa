"""What a program on a terminal needs of the system: signals and the encoding of its streams."""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

_ENDINGS = ("SIGTERM", "SIGBREAK")
"""Requests to end. The second is Windows': Ctrl-Break, a closed console window, the end of the session."""


_may_start_processes = False


def allow_processes() -> None:
    """Say that this process is the program, and not a library in a program that expects no processes."""
    global _may_start_processes  # noqa: PLW0603  a process is one program
    _may_start_processes = True


def may_start_processes() -> bool:
    """Whether :func:`allow_processes` was called."""
    return _may_start_processes


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


def without_blas_threads() -> None:
    """Let NumPy's OpenBLAS start no threads, if NumPy is not loaded yet and the user has not asked for some.

    At first they spin for some 50 ms, and take a core from work that does not need them.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def leave(status: int) -> NoReturn:
    """End the process as ``sys.exit`` does, without freeing every object first, which takes 10 ms.

    Where threads are left, or a profiler or a debugger watches, it ends in the normal way.
    """
    if threading.active_count() == 1 and sys.getprofile() is None and sys.gettrace() is None:
        atexit._run_exitfuncs()
        with contextlib.suppress(OSError, ValueError):  # else the normal way reports what is wrong
            for stream in (sys.stdout, sys.stderr):
                if stream is not None:
                    stream.flush()
            os._exit(status)
    sys.exit(status)
