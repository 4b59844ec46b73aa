"""Running tasks on a Dask cluster; this process collects the results.

Workers read the images themselves, so paths must be valid on all machines (shared storage). If a worker
dies, Dask gives its tasks to others. A task that has seen more workers die than Dask's setting
``distributed.scheduler.allowed-failures`` (3 by default) is tried once more at the end, alone, and is
then reported as failed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Generic, TypeVar

from ..errors import InputError, MissingDependencyError
from ..versions import versions

LOCAL = "local"
TASKS_AHEAD = 2
"""Tasks submitted per thread of the cluster: one running and one waiting."""
CONNECT_S = 20
"""Time to wait for the scheduler, and for its first worker, in seconds."""
CHECKED = ("siftcli", "Numba", "NumPy")
"""Packages on whose version features depend; Dask itself compares others."""

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


class DaskPool(Generic[_Task, _Result]):
    """Runs a function on a cluster.

    Parameters
    ----------
    work
        The function. It, its tasks and its results must be picklable.
    lost
        Called with a task that was given up; returns its result.
    client
        A ``distributed.Client``.
    """

    def __init__(
        self, work: Callable[[_Task], _Result], lost: Callable[[_Task], _Result], client: Any
    ) -> None:
        self.work, self.lost, self.client = work, lost, client

    def run(self, tasks: Iterable[_Task], stop: Callable[[], bool]) -> Iterator[tuple[_Task, _Result]]:
        """Yield tasks with their results, in the order in which they finish.

        Once ``stop`` returns true, no further task is submitted; those submitted are finished.
        """
        from distributed import KilledWorker

        suspects = []
        for task, future in self._finished(tasks, stop):
            try:
                yield task, self._collected(future)
            except KilledWorker:
                suspects.append(task)
        for task in suspects:  # alone, so that no task fails because another one killed its worker
            try:
                result = self._collected(self.client.submit(self.work, task, pure=False))
            except KilledWorker:
                result = self.lost(task)
            yield task, result

    def _finished(self, tasks: Iterable[_Task], stop: Callable[[], bool]) -> Iterator[tuple[_Task, Any]]:
        """Yield tasks with their finished futures."""
        from distributed import as_completed

        waiting, finished = iter(tasks), as_completed()
        handed: dict[Any, _Task] = {}
        while True:
            while len(handed) < self._capacity() and not stop():
                task = next(waiting, None)
                if task is None:
                    break
                future = self.client.submit(self.work, task, pure=False)
                handed[future] = task
                finished.add(future)
            if not handed:
                return
            future = next(finished)
            yield handed.pop(future), future

    def _collected(self, future: Any) -> _Result:
        """Return the result of a future, and let its worker forget it."""
        try:
            result: _Result = future.result()
        finally:
            future.release()
        return result

    def _capacity(self) -> int:
        """How many tasks may be submitted now; workers come and go."""
        return TASKS_AHEAD * max(1, int(sum(self.client.nthreads().values())))


@contextmanager
def connected(address: str, n_workers: int) -> Iterator[Any]:
    """Connect to the scheduler at an address; for ``"local"`` start ``n_workers`` on this machine.

    Raises
    ------
    MissingDependencyError
        If Dask is not installed.
    InputError
        If there is no scheduler or no worker, or a worker has different versions of packages.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingDependencyError(
            "--dask needs the Python packages dask and distributed, which are not installed; "
            "install them with: pip install 'siftcli[dask]'"
        ) from error
    with ExitStack() as stack:
        if address == LOCAL:
            options = {"threads_per_worker": 1, "processes": True, "dashboard_address": None}
            address = stack.enter_context(
                LocalCluster(n_workers=n_workers, silence_logs=logging.CRITICAL, **options)
            )
        try:
            client = stack.enter_context(Client(address, timeout=CONNECT_S))
            client.wait_for_workers(1, timeout=CONNECT_S)
        except (OSError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(
                f"{address}: expected a Dask scheduler with a worker ({reason}); "
                "start them, or check the address"
            ) from error
        check_versions(client.run(versions, on_error="return"), versions())
        yield client


def check_versions(found: dict[str, Any], wanted: dict[str, str]) -> None:
    """Check that every worker has the same versions of packages as this process.

    Parameters
    ----------
    found
        For each worker its versions, or the exception instead of them.
    wanted
        The versions of this process.

    Raises
    ------
    InputError
        If a worker has not.
    """
    for worker, theirs in sorted(found.items()):
        if not isinstance(theirs, dict):
            raise InputError(
                f"{worker}: siftcli cannot be imported there ({theirs}); install it on all workers"
            )
        for name in CHECKED:
            if theirs.get(name) != wanted[name]:
                raise InputError(
                    f"{worker}: expected {name} {wanted[name]} as here, got {theirs.get(name)}; "
                    "install the same versions on all workers"
                )
