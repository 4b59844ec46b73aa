"""Says on standard error that kernels are compiled, which takes the first run its time."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

TEXT = "siftcli: compiling its kernels for this machine, once (10 to 20 s)"
RENEWED_EVERY_S = 0.1


class Notice:
    """On a terminal a line that renews while something is compiled; elsewhere one plain line, once.

    Parameters
    ----------
    clock
        Seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.is_silent = False
        """Whether nothing is said, as in processes whose parent shows how far they are."""
        self.n_compiled = 0
        """Kernels compiled by this process."""
        self._clock = clock
        self._depth = 0
        self._kernel = ""
        self._is_told = False
        self._began = self._renewed = 0.0

    def begin(self, function: Callable[..., object]) -> None:
        """A kernel, or a subroutine of the one that is being compiled, is compiled now."""
        self._depth += 1
        now = self._clock()
        if self._depth == 1:
            self._kernel = function.__module__.rpartition(".")[2]
            self.n_compiled += 1
        if self._depth == 1 or now - self._renewed >= RENEWED_EVERY_S:
            self.tell(self._kernel)

    def end(self) -> None:
        """It is compiled. No line is left, so that others can be written."""
        self._depth -= 1
        if not self._depth:
            self.clear()

    def tell(self, what: str) -> None:
        """Say what is being compiled, here or by other processes."""
        if self.is_silent:
            return
        self._renewed = self._clock()
        self._began = self._began or self._renewed
        if sys.stderr.isatty():
            _renew(sys.stderr, f"{TEXT}: {what}, {self._renewed - self._began:.0f} s")
        elif not self._is_told:
            print(f"{TEXT} ...", file=sys.stderr)
        self._is_told = True

    def clear(self) -> None:
        """Leave no line on a terminal."""
        if self._is_told and not self.is_silent and sys.stderr.isatty():
            _renew(sys.stderr, "")


def _renew(terminal: TextIO, line: str) -> None:
    width = shutil.get_terminal_size().columns - 1  # a line that wraps could not be renewed
    terminal.write(f"\r\x1b[K{line[:width]}")
    terminal.flush()


NOTICE = Notice()
"""That of this process."""
