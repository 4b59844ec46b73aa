"""Discard what image libraries print to standard error themselves, so that errors appear once."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

_STDERR = 2


class _Silence:
    """Redirects standard error to the null device while at least one thread is inside."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._n_inside = 0
        self._undo = ExitStack()

    def begin(self) -> None:
        """Enter; the first one redirects."""
        with self._lock:
            self._n_inside += 1
            if self._n_inside == 1:
                self._redirect()

    def end(self) -> None:
        """Leave; the last one restores."""
        with self._lock:
            self._n_inside -= 1
            if self._n_inside == 0:
                self._undo.close()

    def _redirect(self) -> None:
        self._undo.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        try:
            kept = os.dup(_STDERR)
        except OSError:  # a program that was started without a standard error
            return
        self._undo.callback(os.close, kept)
        self._undo.callback(os.dup2, kept, _STDERR)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDERR)
        os.close(nowhere)


_silence = _Silence()


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Discard what libtiff and libpng write to standard error, and Pillow's warnings.

    For programs only, as it silences the whole process. ``siftcli.detect`` does not use it, because other
    threads of its caller may print.
    """
    _silence.begin()
    try:
        yield
    finally:
        _silence.end()
