"""What libraries that decode images print past Python is discarded: an error is told once."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

_STDERR = 2


@contextmanager
def quiet_decoders() -> Iterator[None]:
    """Discard what libtiff and libpng write to standard error, and Pillow's warnings.

    For a program that reads one image at a time: the whole process writes nowhere meanwhile.
    The library itself never does this, as other threads may have something to say.
    """
    try:
        kept = os.dup(_STDERR)
    except OSError:  # a program that was started without a standard error
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, _STDERR)
        os.close(nowhere)
        try:
            yield
        finally:
            os.dup2(kept, _STDERR)
            os.close(kept)
