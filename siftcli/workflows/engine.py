"""Where tasks run: in this process, in several on this machine, or on a Dask cluster."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from ..errors import InputError, ParameterError, SiftcliError
from ..parallel.processes import LocalPool
from ..versions import versions

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")
_Given_contra = TypeVar("_Given_contra", contravariant=True)
_Made_co = TypeVar("_Made_co", covariant=True)
Engine: TypeAlias = Callable[[Iterable[_Task], Callable[[], bool]], Iterator[tuple[_Task, _Result]]]
"""Runs tasks until the second argument returns true, and yields them with their results."""

DIED = "the process that worked on it died; check whether it ran out of memory"
WORKERS_DIED = (
    "the Dask workers that processed it died, more than distributed.scheduler.allowed-failures of them; "
    "check whether they ran out of memory"
)


def failure(error: Exception, label: str, what: str) -> str:
    """One line on an error within a task: its own, or one that names the task and what was tried."""
    if isinstance(error, SiftcliError):
        return str(error)
    if isinstance(error, MemoryError):
        return f"{label}: not enough memory to {what}"
    return f"{label}: {type(error).__name__} in siftcli ({error}); please report it"


class Work(Protocol[_Given_contra, _Made_co]):
    """Work on tasks that opens files at the first, in the process that works. It must be picklable."""

    def __call__(self, task: _Given_contra, /) -> _Made_co:
        """Return the result of a task."""

    def failed(self, task: _Given_contra, reason: str, /) -> _Made_co:
        """Return the result of a task that could not be worked on."""

    def close(self) -> None:
        """Close the files that this process has opened."""


def check_cluster_use(dask: str | None, jobs: int | None) -> None:
    """Check the options of an engine.

    Raises
    ------
    ParameterError
        If ``jobs`` is given for a cluster that has its own workers.
    """
    from ..parallel.cluster import LOCAL

    if dask not in (None, LOCAL) and jobs is not None:
        raise ParameterError("--jobs has no effect on a Dask cluster; use --dask local, or drop --jobs")


@contextmanager
def engine(work: Work[Any, Any], *, jobs: int, dask: str | None) -> Iterator[Engine[Any, Any]]:
    """Provide an engine for some work.

    Parameters
    ----------
    work
        The work. On a cluster its paths must be absolute and valid on all machines.
    jobs
        Number of processes on this machine, with Dask only for ``"local"``.
    dask
        Address of the scheduler of a Dask cluster, or ``"local"`` to start workers on this machine.

    Raises
    ------
    InputError
        If there is no such cluster, or its workers have different versions of packages.
    """
    if dask is None:
        try:
            yield LocalPool(work, lambda task: work.failed(task, DIED), jobs).run
        finally:
            work.close()
        return
    from ..parallel.cluster import DaskPool, connected

    remote = _Remotely(work, os.urandom(8).hex(), tuple(versions().items()))
    with connected(dask, jobs) as client:
        yield DaskPool(remote, lambda task: work.failed(task, WORKERS_DIED), client).run
        client.run(_forget, remote.run, on_error="ignore")


@dataclass(frozen=True)
class _Remotely:
    """Work in a worker's thread. Its open files and caches are kept from task to task of one run."""

    work: Work[Any, Any]
    run: str
    expected: tuple[tuple[str, str], ...]

    def __call__(self, task: Any) -> Any:
        """Return the result of a task; a worker that joined late may have other versions of packages."""
        from ..parallel.cluster import check_versions

        try:
            check_versions({"this worker": versions()}, dict(self.expected))
        except InputError as error:
            return self.work.failed(task, str(error))
        place = (self.run, threading.get_ident())
        return _OPENED.setdefault(place, self.work)(task)


_OPENED: dict[tuple[str, int], Work[Any, Any]] = {}
"""The work of each run and thread of this worker."""


def _forget(run: str) -> None:
    """Drop the open files of a run that has ended; called on each worker."""
    for place in [place for place in list(_OPENED) if place[0] == run]:
        _OPENED.pop(place, None)
