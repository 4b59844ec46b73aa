"""The list of failures beside the outputs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from .writing import write_inside


def write_failures(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write which images failed, and why. Without failures an old list is removed.

    Names that start like a formula get an apostrophe in front.
    """
    failed = list(rows)
    if not failed:
        path.unlink(missing_ok=True)
        return
    from .csv_text import cell, csv_text  # late: there is seldom something to write

    cells = [[cell(value) for value in row] for row in failed]
    path.parent.mkdir(parents=True, exist_ok=True)
    text = csv_text([header, *cells])
    write_inside(path, text.encode("utf-8", "surrogateescape"), overwrite=True)
