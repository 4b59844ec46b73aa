"""Progress on standard error: a bar on a terminal, a line now and then where it is piped."""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ._output import note

_Item = TypeVar("_Item")
LOG_INTERVAL_S = 10.0
"""Least time between two lines."""
LINES_OF_A_RATE = 6
"""The rate is that since so many lines before."""
SLOW_PER_S = 0.5
"""Below this rate the time of one is told."""

Follow = Callable[[int, int], None]
"""Told how many are done, and of how many."""


@contextmanager
def progress(
    items: Iterable[_Item], total: int, *, show: bool, unit: str = "images"
) -> Iterator[Iterator[_Item]]:
    """Iterate with progress on standard error."""
    with counter(unit, show=show and not (total <= 1 and sys.stderr.isatty())) as follow:
        yield _followed(items, total, follow)


def _followed(items: Iterable[_Item], total: int, follow: Follow) -> Iterator[_Item]:
    follow(0, total)
    for n, item in enumerate(items, 1):
        yield item
        follow(n, total)


@contextmanager
def counter(unit: str, *, show: bool) -> Iterator[Follow]:
    """Show progress that is told by numbers; the first number is what was there before."""
    if not show:
        yield lambda _done, _total: None
    elif sys.stderr.isatty():
        with _bar(unit) as follow:
            yield follow
    else:
        lines = Lines(unit)
        with _every(LOG_INTERVAL_S, lines.beat):
            yield lines.reach


@contextmanager
def waiting(what: str, *, show: bool) -> Iterator[None]:
    """Show that something takes long whose parts are not counted."""
    if not show:
        yield
        return
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.text import Text

        with Console(stderr=True).status(Text(what)):
            yield
        return
    start = time.monotonic()
    with _every(LOG_INTERVAL_S, lambda: note(f"{what}, {duration(time.monotonic() - start)} so far")):
        yield


class Lines:
    """Progress as lines, each at least ``LOG_INTERVAL_S`` after the last."""

    def __init__(self, unit: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.unit, self.clock = unit, clock
        self.lock = threading.Lock()
        self.start = self.told = clock()
        self.counted: deque[tuple[int, float]] = deque(maxlen=LINES_OF_A_RATE)
        """How many were done at the latest lines, and when; first at the beginning."""
        self.done = self.total = 0

    def reach(self, done: int, total: int) -> None:
        """Tell how many are done, if it is time to: with the latest rate, and the time left.

        The latest, because items of an earlier run pass in no time, and over several lines, because items
        may come in bunches.
        """
        with self.lock:
            now = self.clock()
            self.done, self.total = done, total
            if not self.counted:
                self.counted.append((done, now))
            elif now - self.told >= LOG_INTERVAL_S and done < total:
                self._tell(now)

    def beat(self) -> None:
        """Tell that the work goes on, if nothing was told for a while."""
        with self.lock:
            now = self.clock()
            if now - self.told < LOG_INTERVAL_S:
                return
            self._tell(now)

    def _tell(self, now: float) -> None:
        n, then = self.counted[0] if self.counted else (self.done, now)
        so_far = f"{duration(now - self.start)} so far"
        if not self.total:
            note(f"preparing {self.unit}, {so_far}")
        elif self.done == self.total:
            note(f"{self._count()}, finishing, {so_far}")
        elif self.done == n:
            note(f"{self._count()}, {so_far}")
        else:
            rate = (self.done - n) / (now - then)
            speed = f"{rate:.1f}/s" if rate >= SLOW_PER_S else f"{1 / rate:.1f} s each"
            note(f"{self._count()}, {speed}, {duration((self.total - self.done) / rate)} left")
        self.told = now
        if self.counted:
            self.counted.append((self.done, now))

    def _count(self) -> str:
        unit = self.unit.removesuffix("s") if self.total == 1 else self.unit
        return f"{self.done} of {self.total} {unit}"


def duration(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


@contextmanager
def _every(seconds: float, act: Callable[[], None]) -> Iterator[None]:
    """Call a function now and then, from a thread, until the context ends."""
    is_over = threading.Event()

    def beat() -> None:
        while not is_over.wait(seconds):
            act()

    thread = threading.Thread(target=beat, name="progress", daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@contextmanager
def _bar(unit: str) -> Iterator[Follow]:
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
        """Items per second, or seconds per item."""

        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            if not speed:
                return Text("")
            return Text(f"{speed:.1f}/s" if speed >= SLOW_PER_S else f"{1 / speed:.1f} s each")

    columns = (TextColumn(unit), BarColumn(), MofNCompleteColumn(), Rate(), TimeRemainingColumn())
    # Lines printed meanwhile go above the bar, unless standard output leads elsewhere.
    console = Console(stderr=True)
    with Progress(*columns, console=console, redirect_stdout=sys.stdout.isatty(), transient=True) as bar:
        task = bar.add_task(unit, total=None)

        def follow(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield follow
