"""CSV files that are safe to open in a spreadsheet: no cell is a formula, and no name breaks a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""First characters of formulas in common spreadsheet programs."""
_MARK = "'"


def cell(text: str) -> str:
    """Return the text of a cell, with an apostrophe in front if it would start a formula."""
    return _MARK + text if text.startswith(_FORMULA) else text


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Encode rows as a CSV file. Text from outside must go through :func:`cell` first."""
    return "".join(_line(row) for row in rows)


def _line(row: Iterable[object]) -> str:
    # csv.writer quotes a carriage return only if its line terminator contains one.
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(row)
    return line.getvalue().removesuffix("\r\n") + "\n"
