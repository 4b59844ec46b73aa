"""Where the work of an alignment runs: in processes of this machine, or on a Dask cluster, as for detect."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ..errors import ParameterError
from ..parallel.processes import LocalPool
from .align_work import Options

_Task = TypeVar("_Task")
_Result = TypeVar("_Result")


@dataclass
class Engine:
    """Runs functions of options and a task; results come in the order of the tasks."""

    options: Options
    jobs: int
    client: Any = None
    """A ``distributed.Client``; None for this machine."""

    @classmethod
    def open(cls, options: Options, jobs: int, dask: str | None, stack: ExitStack) -> Engine:
        """Connect to a cluster if one is named; ``stack`` closes it.

        Raises
        ------
        InputError
            If there is no such cluster, or its workers have different versions of packages.
        """
        if dask is None:
            return cls(options, jobs)
        from ..parallel.cluster import connected

        client = stack.enter_context(connected(dask, max(jobs, 1)))
        threads = options.threads or 1
        return cls(replace(options, folder=str(Path.cwd()), threads=threads), jobs, client)

    def run(
        self,
        work: Callable[[Options, _Task], _Result],
        lost: Callable[[_Task], _Result],
        tasks: Iterable[_Task],
        stop: Callable[[], bool],
    ) -> Iterator[tuple[_Task, _Result]]:
        """Yield tasks with their results, in the order of the tasks, until ``stop`` returns true."""
        bound = partial(work, self.options)
        if self.client is None:
            yield from LocalPool(bound, lost, self.jobs).run(tasks, stop)
            return
        from ..parallel.cluster import DaskPool

        numbered = enumerate(tasks)
        pool = DaskPool(partial(_second, bound), lambda task: lost(task[1]), self.client)
        yield from _ordered(pool.run(numbered, stop))


def _second(work: Callable[[_Task], _Result], task: tuple[int, _Task]) -> _Result:
    return work(task[1])


def _ordered(
    results: Iterator[tuple[tuple[int, _Task], _Result]],
) -> Iterator[tuple[_Task, _Result]]:
    """Hold results back until those before them have come."""
    waiting: dict[int, tuple[_Task, _Result]] = {}
    following = 0
    for (number, task), result in results:
        waiting[number] = task, result
        while following in waiting:
            yield waiting.pop(following)
            following += 1
    for number in sorted(waiting):
        yield waiting[number]


def check_cluster_use(dask: str | None, jobs: int | None) -> None:
    """Refuse ``jobs`` for a cluster, which has its own workers.

    Raises
    ------
    ParameterError
        If both are given.
    """
    if dask not in (None, "local") and jobs is not None:
        raise ParameterError("--jobs has no effect on a Dask cluster; use --dask local, or drop --jobs")
