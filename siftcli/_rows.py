"""Which rows of features or matches are meant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .errors import ParameterError

Rows = slice | NDArray[Any] | Sequence[int] | Sequence[bool]
"""A slice, a boolean mask, or row numbers."""


def checked_rows(rows: Rows, n: int) -> slice | NDArray[Any]:
    """Rows of n as a slice or an array of numbers or bool.

    Raises
    ------
    ParameterError
        If they are not of these kinds, a mask has another length, or a row does not exist.
    """
    if isinstance(rows, slice):
        return rows
    array = np.asarray(rows)
    if array.size == 0 and array.ndim == 1 and array.dtype.kind == "f":
        array = array.astype(np.intp)  # an empty list
    if array.ndim != 1 or array.dtype.kind not in "iub":
        raise ParameterError(
            f"rows must be a slice, a mask or an array of whole numbers; got {_short(rows)}; one row is [3:4]"
        )
    if array.dtype == np.uint8:
        raise ParameterError(
            "rows of uint8 may be a mask or numbers; pass rows.astype(bool) or rows.astype(int)"
        )
    if array.dtype == np.bool_ and len(array) != n:
        raise ParameterError(f"a mask of {n} rows must have as many values; got {len(array)}")
    if array.dtype != np.bool_ and array.size and not (-n <= array.min() and array.max() < n):
        wrong = int(array.max() if array.max() >= n else array.min())
        raise ParameterError(f"rows must be below {n}, the number of rows; got {wrong}")
    return array


def _short(value: Any) -> str:
    text = f"an array of {value.dtype}, shape {value.shape}" if isinstance(value, np.ndarray) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
