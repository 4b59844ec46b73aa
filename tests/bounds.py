"""Limits of time and memory that a hostile file must not exceed."""

from __future__ import annotations

import contextlib
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import numpy as np

HANG_S = 60
"""A case that takes longer counts as a hang; the slowest one takes a second on a busy machine."""
MEMORY_BYTES = 512 << 20
"""Address space that a case may use in addition to that of the process at its start."""
LONGEST_MESSAGE = 1000


@contextlib.contextmanager
def bounded(memory: int = MEMORY_BYTES) -> Iterator[None]:
    """Make allocations beyond the limit fail with MemoryError."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + memory, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


@contextlib.contextmanager
def timed(seconds: int = HANG_S) -> Iterator[None]:
    """Raise TimeoutError after this many seconds."""

    def fail(*_: object) -> None:
        raise TimeoutError(f"more than {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def assert_one_clear_line(message: str, name: str) -> None:
    """Check that a message is one line, names the file, gives a reason, and is not about memory."""
    assert name in message
    assert "\n" not in message
    assert len(name) + 10 < len(message) < LONGEST_MESSAGE
    assert "not enough memory" not in message
    assert "Traceback" not in message


def assert_valid(features) -> None:
    """Check that every value is finite and within its range."""
    for column in (features.xy, features.scale, features.orientation, features.response):
        assert np.isfinite(column).all()
    assert ((features.orientation >= 0) & (features.orientation < np.float32(2 * np.pi))).all()
    assert (features.scale > 0).all()
    assert (np.abs(features.sign) == 1).all()
    assert features.descriptors.shape == (len(features), 128)
