"""Limits on the size of inputs.

Every limit can be changed with an environment variable. It applies to all commands, to the Python API
and to the processes of a batch. Workers of a Dask cluster need the variable in their own environment.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from ..errors import InputError, ParameterError
from ..system.memory import total_memory

_PREFIX = "SIFTCLI_"
_LARGEST = 1 << 62


class Limit(NamedTuple):
    """A limit that an environment variable can change."""

    name: str
    default: int | Callable[[], int]
    doc: str
    """What is limited, with its unit."""

    @property
    def variable(self) -> str:
        """Name of the environment variable."""
        return _PREFIX + self.name

    @property
    def value(self) -> int:
        """The limit that applies now.

        Raises
        ------
        ParameterError
            If the variable is not a whole number of at least 1.
        """
        text = os.environ.get(self.variable)
        if text is None:
            return self.default if isinstance(self.default, int) else self.default()
        if not (text.isascii() and text.isdigit() and 0 < int(text[:20]) <= _LARGEST):
            raise ParameterError(f"{self.variable} must be a whole number of at least 1; got {text[:40]!r}")
        return int(text)

    @property
    def how_to_raise(self) -> str:
        """The end of an error message."""
        return f"or raise {self.variable}, which is {self.value}"


MAX_PIXELS = Limit("MAX_PIXELS", 200_000_000, "pixels of an image; checked before it is decoded")


def _pixels_by_rows() -> int:
    """What is set for all images holds for these too, which take time, but little memory."""
    return MAX_PIXELS.value if MAX_PIXELS.variable in os.environ else 4_000_000_000


MAX_ROW_PIXELS = Limit(
    "MAX_ROW_PIXELS",
    _pixels_by_rows,
    "pixels of an image that is read by rows; checked before any is decoded",
)
MAX_IMAGE_BYTES = Limit("MAX_IMAGE_BYTES", 1 << 32, "bytes of an image file")
MAX_FEATURES = Limit("MAX_FEATURES", 10_000_000, "features of an image, unless --max-features is given")
MAX_FILE_BYTES = Limit("MAX_FILE_BYTES", 1 << 32, "bytes of a feature file (of one image)")
MAX_MEMORY = Limit("MAX_MEMORY", total_memory, "bytes that an image may need, as estimated from its size")
PIPE_WAIT_S = Limit("PIPE_WAIT_S", 60, "seconds without a byte after which a pipe is given up")

LIMITS = (MAX_PIXELS, MAX_ROW_PIXELS, MAX_IMAGE_BYTES, MAX_FEATURES, MAX_FILE_BYTES, MAX_MEMORY, PIPE_WAIT_S)


def check_limits() -> None:
    """Check all environment variables.

    Raises
    ------
    ParameterError
        If one is not a whole number of at least 1.
    """
    for limit in LIMITS:
        _ = limit.value


def require_memory(n_bytes: int, what: str, advice: str) -> None:
    """Refuse a step that would need more memory than the limit.

    Parameters
    ----------
    n_bytes
        Estimated memory, in bytes.
    what
        The step; the error message begins with it.
    advice
        What the user can do instead.

    Raises
    ------
    InputError
        If the estimate exceeds ``MAX_MEMORY``.
    """
    if n_bytes > MAX_MEMORY.value:
        raise InputError(
            f"{what} needs about {n_bytes / 1e9:.1f} GB, more than the limit of "
            f"{MAX_MEMORY.value / 1e9:.1f} GB; {advice}, {MAX_MEMORY.how_to_raise}"
        )
