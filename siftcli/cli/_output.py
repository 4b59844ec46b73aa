"""What commands print: text for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ..system.cores import usable_cores
from ..words import counted

LONGEST_LINE = 5000
"""Longer than any path may be."""


def printable(text: object) -> str:
    """Escape what could command a terminal or cannot be encoded: a file name may hold anything."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in str(text))


def complain(message: object) -> None:
    """Print an error on one line of standard error; very long ones, which may quote a file, are cut."""
    line = printable(message)
    print(f"siftcli: {line if len(line) <= LONGEST_LINE else line[:LONGEST_LINE] + ' ...'}", file=sys.stderr)


def say_table(text: str) -> None:
    """Print a text of several lines on standard output."""
    for line in text.splitlines():
        say(line)


def say(message: object) -> None:
    """Print one line on standard output (``print`` because a progress bar redirects it)."""
    print(printable(message))


def note(message: object) -> None:
    """Print one line on standard error that is not an error."""
    print(printable(message), file=sys.stderr)


def print_circumstances(threads: int | None, seconds: float | None = None, *, jobs: int = 1) -> None:
    """Print versions, the numbers of threads and processes, and the time needed on standard error."""
    from ..versions import versions

    note(", ".join(f"{name} {version}" for name, version in versions().items()))
    time_taken = "" if seconds is None else f"; {seconds:.3f} s"
    each = f" in each of {jobs} processes" if jobs > 1 else ""
    n_cores = usable_cores()
    n_threads = threads or n_cores
    scarce = f" on {counted(n_cores, 'usable core')}" if n_threads * jobs > n_cores else ""
    note(f"threads: {n_threads}{each}{scarce}{time_taken}")


def say_nothing(_message: object) -> None:
    """Stand in for :func:`note` and print nothing."""


def print_json(value: Any) -> None:
    """Print an object on one line; NaN and infinity become null."""
    print(json.dumps(_finite(value), allow_nan=False))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value


def print_table(
    title: str, rows: Iterable[tuple[object, ...]], *, heads: Sequence[str] = (), n_names: int = 1
) -> None:
    """Print columns below a title and, if there are any, their heads.

    The first ``n_names`` columns hold names, the others numbers. Only a terminal has a width: what is
    piped is not broken.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    rows = list(rows)
    table = Table(box=None, pad_edge=False)
    table.show_header, table.padding = bool(heads), (0, 1, 0, 0) if heads else (0, 1)
    for i, head in enumerate(heads or [""] * len(rows[0])):
        table.add_column(head, justify="left" if i < n_names else "right", overflow="fold", vertical="bottom")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    width = None if sys.stdout.isatty() else LONGEST_LINE
    console = Console(file=sys.stdout, highlight=False, markup=False, width=width)
    with console.capture() as text:  # rich has an exit status of its own for a closed pipe
        console.print(Text(printable(title), style="bold"), soft_wrap=True)
        console.print(table)
    print(text.get(), end="")


def summary_rows(info: dict[str, Any]) -> list[tuple[str, object]]:
    """Rows that show a summary of features: size, keypoints by octave, what the filters removed."""
    width, height = info["image_size"]
    rows: list[tuple[str, object]] = [("size", f"{width} x {height}"), ("keypoints", info["n_keypoints"])]
    rows += [(f"  octave {octave}", n) for octave, n in info["n_by_octave"].items()]
    removed = dict(info["removed"])
    if "candidates" in removed:
        rows.append(("candidates", removed.pop("candidates")))
    return rows + [(f"  removed: {name.replace('_', ' ')}", n) for name, n in removed.items()]
