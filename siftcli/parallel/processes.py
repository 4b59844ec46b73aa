"""Tasks on several processes of this machine: in order, few at a time; a dead worker fails one task.

Processes, not threads: a process that dies takes no other with it. They were no slower either: 40
images on two cores took two processes 1.2 s in every run, and two threads 1.2 to 5.4 s in four.
Each has a pipe of its own, so that its death tells which task it had. No thread is needed for that:
a task costs this process 0.15 ms, and 0.5 ms with ``concurrent.futures``.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

TASKS_AHEAD = 4
"""Tasks taken a worker; the most whose results can wait for an earlier one."""
TASKS_IN_HAND = 2
"""Tasks given to a worker: one under way and one waiting."""
PARENT_POLL_S = 1.0
"""How often a worker looks whether its parent still lives."""

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class LocalPool(Generic[_Task, _Result]):
    """Runs a function on worker processes.

    Parameters
    ----------
    work
        What is done; it and its tasks and results can be pickled.
    lost
        Makes the result of a task whose worker died of it, from the task.
    processes
        Workers; with 1 the work is done in this process.
    """

    def __init__(
        self, work: Callable[[_Task], _Result], lost: Callable[[_Task], _Result], processes: int
    ) -> None:
        self.work, self.lost, self.processes = work, lost, processes

    def run(self, tasks: Iterable[_Task], stop: Callable[[], bool]) -> Iterator[tuple[_Task, _Result]]:
        """Do tasks, in their order, until ``stop``; what was taken by then is still done.

        What ``work`` raises is raised when it is the task's turn.
        """
        if self.processes > 1:
            yield from _Run(self, tasks, stop).results()
            return
        for task in tasks:
            if stop():
                return
            yield task, self.work(task)


class _Run(Generic[_Task, _Result]):
    """One run of a pool: which task is where. Tasks are known by their numbers."""

    def __init__(
        self, pool: LocalPool[_Task, _Result], tasks: Iterable[_Task], stop: Callable[[], bool]
    ) -> None:
        self.pool, self.tasks, self.stop = pool, iter(tasks), stop
        self.taken: dict[int, _Task] = {}
        """Those whose results were not handed on."""
        self.n_taken = 0
        self.waiting: deque[int] = deque()
        self.suspects: deque[int] = deque()
        """Their workers died. Each is done once more, alone, so that only its own death counts."""
        self.suspected: set[int] = set()
        self.finished: dict[int, tuple[Any, Exception | None]] = {}
        self.workers: list[_Worker] = []

    def results(self) -> Iterator[tuple[_Task, _Result]]:
        """Tasks and their results, in the order of the tasks."""
        try:
            self.workers = [_Worker(self.pool.work) for _ in range(self.pool.processes)]
            while True:
                self._take()
                self._hand_out()
                if not self.taken:
                    return
                first = next(iter(self.taken))
                if first not in self.finished:
                    self._collect()
                    continue
                result, error = self.finished.pop(first)
                if error is not None:
                    raise error
                yield self.taken.pop(first), result
        finally:
            for worker in self.workers:
                worker.end()

    def _take(self) -> None:
        while len(self.taken) < TASKS_AHEAD * self.pool.processes and not self.stop():
            for task in self.tasks:
                self.taken[self.n_taken] = task
                self.waiting.append(self.n_taken)
                self.n_taken += 1
                break
            else:
                return

    def _hand_out(self) -> None:
        if self.suspects:
            if not any(worker.in_hand for worker in self.workers):
                self._give(self.workers[0], self.suspects.popleft())
            return
        for n_in_hand in range(TASKS_IN_HAND):
            for worker in self.workers:
                if self.waiting and len(worker.in_hand) == n_in_hand:
                    self._give(worker, self.waiting.popleft())

    def _give(self, worker: _Worker, number: int) -> None:
        worker.in_hand.append(number)
        with suppress(OSError):  # it has died: told when its results are collected
            worker.connection.send(self.taken[number])

    def _collect(self) -> None:
        """Wait for a result, or a death."""
        from multiprocessing.connection import wait

        busy = {worker.connection: worker for worker in self.workers if worker.in_hand}
        for connection in wait(list(busy)):
            worker = busy[connection]  # type: ignore[index]
            try:
                self.finished[worker.in_hand[0]] = worker.connection.recv()
                worker.in_hand.popleft()
            except (EOFError, OSError):
                self._replace(worker)

    def _replace(self, dead: _Worker) -> None:
        """Another worker for one that died; of its tasks the first was under way."""
        dead.end()
        self.workers[self.workers.index(dead)] = _Worker(self.pool.work)
        number = dead.in_hand.popleft()
        self.waiting.extendleft(reversed(dead.in_hand))
        if number in self.suspected:
            self.finished[number] = self.pool.lost(self.taken[number]), None
        else:
            self.suspected.add(number)
            self.suspects.append(number)


class _Worker:
    """A process that does tasks, and the numbers of those that it has."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        import multiprocessing  # late: a single image needs no processes

        # Spawned: a forked child inherits locks in whatever state the threads of this process left them.
        context = multiprocessing.get_context("spawn")
        self.in_hand: deque[int] = deque()
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, work, os.getpid()), daemon=True)
        with _interruptions_ignored():
            self.process.start()
        theirs.close()  # its end is the worker's alone, so that its death closes it

    def end(self) -> None:
        """End it, whatever it does: it writes nothing."""
        self.process.terminate()
        self.process.join()
        self.connection.close()


@contextmanager
def _interruptions_ignored() -> Iterator[None]:
    """Let a new process begin deaf to Ctrl-C, which a terminal sends to all: the parent decides."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(connection: Connection, work: Callable[[Any], Any], parent: int) -> None:
    """Do tasks until the parent sends no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with suppress(EOFError, ConnectionError):
        while True:
            connection.send(_done(work, connection.recv()))


def _done(work: Callable[[Any], Any], task: Any) -> tuple[Any, Exception | None]:
    try:
        return work(task), None
    except Exception as error:
        return None, error


def _end_with(parent: int) -> None:
    """End this process when its parent is gone: a killed run must not leave workers behind."""
    while os.getppid() == parent:
        time.sleep(PARENT_POLL_S)
    os._exit(1)
