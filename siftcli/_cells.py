"""Text in a CSV file that a spreadsheet must not take for a formula."""

from __future__ import annotations

_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a formula begins with, in one spreadsheet or another."""
_MARK = "'"


def cell(text: str) -> str:
    """The text as a cell; an apostrophe before it where it would begin a formula."""
    return _MARK + text if text.startswith(_FORMULA) else text
