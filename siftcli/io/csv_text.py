"""CSV files of text: no cell is a formula to a spreadsheet, and no name breaks a row."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a formula begins with, in one spreadsheet or another."""
_MARK = "'"


def cell(text: str) -> str:
    """The text as a cell; an apostrophe before it where it would begin a formula."""
    return _MARK + text if text.startswith(_FORMULA) else text


def csv_text(rows: Iterable[Iterable[object]]) -> str:
    """Rows as a CSV file; texts of others go through :func:`cell` first."""
    return "".join(_line(row) for row in rows)


def _line(row: Iterable[object]) -> str:
    # The writer quotes a carriage return inside a text only where it is part of the line's end.
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(row)
    return line.getvalue().removesuffix("\r\n") + "\n"
