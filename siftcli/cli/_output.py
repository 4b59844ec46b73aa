"""What commands print: text for people, JSON for programs."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

_Item = TypeVar("_Item")
LONGEST_LINE = 5000
"""Longer than any path may be."""
LOG_INTERVAL_S = 10.0
"""Interval of the progress lines in a log."""


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


def print_circumstances(threads: int | None, seconds: float | None = None) -> None:
    """Print versions, the number of threads and the time that was needed on standard error."""
    from ..versions import versions

    note(", ".join(f"{name} {version}" for name, version in versions().items()))
    time_taken = "" if seconds is None else f"; {seconds:.3f} s"
    note(f"threads: {threads or 'all cores'}{time_taken}")


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


@contextmanager
def progress(
    items: Iterable[_Item], total: int, *, show: bool, unit: str = "images"
) -> Iterator[Iterator[_Item]]:
    """Iterate with a progress bar on standard error, or with progress lines if that is not a terminal."""
    if not (show and total > 1):
        yield iter(items)
        return
    if not sys.stderr.isatty():
        yield log_lines(items, total, unit=unit)
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        """Items per second."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text("" if speed is None else f"{speed:.1f}/s")

    columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    # Lines printed meanwhile go above the bar, unless standard output leads elsewhere.
    console = Console(stderr=True)
    with Progress(*columns, console=console, redirect_stdout=sys.stdout.isatty(), transient=True) as bar:
        yield iter(bar.track(items, total=total))


def log_lines(
    items: Iterable[_Item], total: int, *, unit: str, clock: Callable[[], float] = time.monotonic
) -> Iterator[_Item]:
    """Iterate with a line on standard error every ``LOG_INTERVAL_S``: progress, rate and time left.

    The rate is that since the last line, as items of an earlier run pass in no time.
    """
    n_then, then = 0, clock()
    for n, item in enumerate(items, 1):
        yield item
        now = clock()
        if now - then >= LOG_INTERVAL_S and n < total:
            rate = (n - n_then) / (now - then)
            note(f"{n} of {total} {unit}, {rate:.1f}/s, {_duration((total - n) / rate)} left")
            n_then, then = n, now


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def summary_rows(info: dict[str, Any]) -> list[tuple[str, object]]:
    """Rows that show a summary of features: size, keypoints by octave, what the filters removed."""
    width, height = info["image_size"]
    rows: list[tuple[str, object]] = [("size", f"{width} x {height}"), ("keypoints", info["n_keypoints"])]
    rows += [(f"  octave {octave}", n) for octave, n in info["n_by_octave"].items()]
    removed = dict(info["removed"])
    if "candidates" in removed:
        rows.append(("candidates", removed.pop("candidates")))
    return rows + [(f"  removed: {name.replace('_', ' ')}", n) for name, n in removed.items()]
