"""Keypoints of people's own: text with ``x y scale angle`` on each line, read and never written.

Numbers are separated by commas or white space; blank lines and those that begin with ``#`` are skipped. A
first line of words names the columns; ``x``, ``y``, ``scale`` and ``angle`` are then taken wherever they
stand, and other columns are left out. (0, 0) is the centre of the top-left pixel; scale is σ in pixels;
angle is in radians or degrees, from +x towards +y, clockwise on the screen.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..features import Features
from ._conventions import foreign
from ._numbers import table

COLUMNS = ("x", "y", "scale", "angle")
ANGLE_UNITS = ("radians", "degrees")
CONVENTION = "x, y; (0, 0) is the centre of the top-left pixel; scale is sigma; angle clockwise on the screen"
_FULL_TURN = float(np.float32(2 * np.pi))


def decode(data: bytes, angle_unit: str = ANGLE_UNITS[0]) -> Features:
    """Decode a table of keypoints: features without descriptors, of an image of unknown size.

    Raises
    ------
    InputError
        If it is no such table, a number is out of range, or angles beyond a full turn are to be radians.
    """
    try:
        lines = data.decode("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"expected text with {' '.join(COLUMNS)} on each line") from error
    rows = [line.replace(",", " ") for line in lines if line.strip() and not line.lstrip().startswith("#")]
    names = _names(rows[0]) if rows else ()
    values = _values(rows[1:] if names else rows, names or COLUMNS)
    angle = np.deg2rad(values[:, 3]) if angle_unit == "degrees" else values[:, 3]
    if angle_unit == "radians" and (np.abs(angle) > _FULL_TURN).any():
        row = int(np.argmax(np.abs(angle) > _FULL_TURN))
        raise InputError(
            f"expected angles in radians, at most 2 pi, got {angle[row]:g} for keypoint {row + 1}; "
            "pass --angle-unit degrees"
        )
    found = foreign("table", CONVENTION, xy=values[:, :2], scale=values[:, 2], orientation=angle)
    return found.features


def _names(line: str) -> Sequence[str]:
    """Names of the columns, if the first line has any."""
    words = line.lower().split()
    if not any(_is_word(word) for word in words):
        return ()
    missing = [name for name in COLUMNS if words.count(name) != 1]
    if missing:
        raise InputError(f"expected a column {missing[0]!r} in the first line, got {' '.join(words)[:80]!r}")
    return words


def _is_word(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return True
    return False


def _values(rows: Sequence[str], names: Sequence[str]) -> NDArray[np.float64]:
    """(N, 4) of ``COLUMNS``; columns with other names need not be numbers."""
    picked = [names.index(name) for name in COLUMNS]
    cells = [row.split() for row in rows]
    wrong = next((i for i, row in enumerate(cells) if len(row) != len(names)), None)
    if wrong is not None:
        raise InputError(
            f"expected {len(names)} columns ({' '.join(names)[:80]}), got {len(cells[wrong])} for keypoint "
            f"{wrong + 1}"
        )
    lines = (" ".join(row[i] for i in picked) for row in cells)
    return table("\n".join(lines).encode(), len(COLUMNS))
