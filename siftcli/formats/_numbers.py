"""Text files of numbers: counts are checked on reading, and writing loses no digits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import DESCRIPTOR_LENGTH
from ._record import shortest

_LONGEST_TOKEN = 64


def numbers(data: bytes) -> NDArray[np.float64]:
    """All numbers in a text, separated by white space.

    Raises
    ------
    InputError
        If the text contains anything else.
    """
    tokens = data.split()
    try:
        return np.fromiter(map(float, tokens), np.float64, count=len(tokens))
    except ValueError as error:
        raise InputError(f"expected numbers only ({_culprit(tokens)!r})") from error


def _culprit(tokens: list[bytes]) -> str:
    for token in tokens:
        try:
            float(token)
        except ValueError:
            return token[:_LONGEST_TOKEN].decode("ascii", "replace")
    return ""


def table(data: bytes, n_columns: int) -> NDArray[np.float64]:
    """(N, n_columns) numbers, one row per line; N is 0 for an empty text.

    Raises
    ------
    InputError
        If a line has a different number of columns.
    """
    lines = data.splitlines()
    wrong = next((i for i, line in enumerate(lines) if len(line.split()) != n_columns), None)
    if wrong is not None:
        raise InputError(
            f"expected {n_columns} numbers a line, got {len(lines[wrong].split())} in line {wrong + 1}"
        )
    return numbers(data).reshape(len(lines), n_columns)


def counted(data: bytes, n_columns: int) -> NDArray[np.float64]:
    """(N, n_columns) numbers after a header ``N 128``.

    Raises
    ------
    InputError
        If the header is different, or is followed by more or fewer numbers.
    """
    values = numbers(data)
    if len(values) < 2:
        raise InputError(f"expected a header 'N {DESCRIPTOR_LENGTH}'")
    n, length = values[:2]
    if length != DESCRIPTOR_LENGTH or n != np.floor(n) or n < 0:
        raise InputError(f"expected a header 'N {DESCRIPTOR_LENGTH}', got '{n:g} {length:g}'")
    return rows(values[2:], n, n_columns)


def rows(values: NDArray[np.float64], n: float, n_columns: int) -> NDArray[np.float64]:
    """Reshape to (n, n_columns), if there are exactly as many numbers.

    Raises
    ------
    InputError
        If there are more or fewer.
    """
    if n * n_columns != len(values):
        raise InputError(f"expected {n:.0f} rows of {n_columns} numbers, got {len(values)} numbers")
    return values.reshape(int(n), n_columns)


def lines(columns: Sequence[NDArray[Any]], descriptors: NDArray[Any] | None = None) -> list[str]:
    """Lines of numbers, with the fewest digits that give the same float32."""
    texts = [shortest(np.asarray(column, dtype=np.float32)) for column in columns]
    frames = [" ".join(frame) for frame in zip(*texts, strict=True)]
    if descriptors is None:
        return frames
    return [f"{a} {b}" for a, b in zip(frames, integer_lines(descriptors), strict=True)]


def integer_lines(descriptors: NDArray[Any]) -> list[str]:
    """Lines of whole numbers."""
    return [" ".join(map(str, row)) for row in descriptors.tolist()]


def text(content: Sequence[str]) -> bytes:
    """Encode lines as a file."""
    return "".join(line + "\n" for line in content).encode("ascii")
