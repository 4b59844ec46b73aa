"""How worker processes start: forked from a server that has imported what they need, or spawned.

The server is a process that only imports modules, while the program still reads its command and plans. So
it has no locks that a fork would inherit, as the program itself may have. A spawned worker imports all
by itself, which takes 0.3 s of a core.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.context import BaseContext

from ..system.program import has_fork_server

_served: dict[str, str] | None = None
"""The environment in which the server was started; None if there is no server."""


def announce_workers(*modules: str) -> None:
    """Start the server, where the system has one; workers that start later are forked from it.

    Parameters
    ----------
    modules
        What the workers will need. Modules that are not installed are passed over.
    """
    global _served  # noqa: PLW0603  a process has one server
    if _served is not None or not has_fork_server():
        return
    from multiprocessing import forkserver

    forkserver.set_forkserver_preload(list(modules))
    with interruptions_ignored():
        forkserver.ensure_running()
    _served = dict(os.environ)


def worker_context() -> BaseContext:
    """How the next worker starts; spawned if the environment is no longer the one that the server has."""
    return get_context("forkserver" if dict(os.environ) == _served else "spawn")


@contextmanager
def interruptions_ignored() -> Iterator[None]:
    """Start a process that ignores Ctrl-C: a terminal sends it to all processes, but the parent decides."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
