"""Images in, files out: many at once, written by one.

Everything that can be wrong with a request is found by :func:`make_plan`, before any
work; what goes wrong with one image later is told in its :class:`Outcome`, and the
others continue.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import ParameterError, SiftcliError, StorageError
from ..features import Features
from ..formats import encode
from ..image import check_max_image_size
from ..image.stretch import NO_STRETCH, check_stretch
from ..io.provenance import settings_text
from ..io.writing import write_inside, write_output
from ..parallel.processes import LocalPool
from ..params import SiftParams
from ..versions import versions
from .detect_image import Found, Request, find, find_elsewhere, killed, lost
from .detect_outputs import Output, State, make_folder, open_output, split
from .detect_plan import Job, Plan
from .summary import SCHEMA, summarise

SMALLEST_BATCH = 16
"""Images from which on starting processes (about 1 s) pays."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job: features, or the reason for none."""

    job: Job
    features: Features | None
    error: str | None
    time_s: float
    """Reading, detection and writing."""
    was_there: bool = False
    """Whether nothing was done because the output has the image."""
    is_known: bool = True
    """Whether the features say what they were made from; if not, they were kept unexamined."""
    n_pages: int = 1
    """Pages of the image's file, of which it is one."""
    is_faint: bool = False
    """Whether fewer than 10 features were found in a picture that uses under a quarter of its range."""

    def to_dict(self) -> dict[str, Any]:
        """Describe it in plain types, for JSON.

        ``schema``, ``image`` (``PATH[N]`` for one of all pages), then ``error``, or else
        ``output``, ``drawing``, ``time_s`` and the keys of :func:`siftcli.workflows.summary.summarise`.
        """
        head = {"schema": SCHEMA, "image": self.job.image.label}
        if self.was_there:
            return {**head, "was_there": True}
        if self.features is None:
            return {**head, "error": self.error}
        written = {
            name: None if path is None else str(path)
            for name, path in (("output", self.job.output), ("drawing", self.job.drawing))
        }
        return {**head, **written, "time_s": self.time_s, **summarise(self.features)}


def run(
    plan: Plan,
    params: SiftParams,
    *,
    threads: int | None = None,
    jobs: int | None = None,
    check: bool = False,
    strict: bool = False,
    dask: str | None = None,
    stop: Callable[[], bool] = lambda: False,
    **reading: Any,
) -> Iterator[Outcome]:
    """Detect, and write what the plan says.

    Parameters
    ----------
    plan
        From :func:`make_plan`.
    params
        As for :func:`siftcli.detect`.
    threads
        Threads inside an image; when not given the cores are shared out among the jobs.
    jobs
        Images at once, on processes of their own. When not given one a core, and one in all for
        fewer than ``SMALLEST_BATCH`` images. The result does not depend on either.
    check
        Tell by their content, not by size and time, whether images that are done have changed.
    strict
        Stop at the first image that fails.
    dask
        Address of the scheduler of a Dask cluster that does the work, or ``"local"`` for one of
        ``jobs`` workers here, for this run. Images and masks are read by its workers.
    stop
        Asked before an image is begun; when true, those that are under way are finished and
        written, and no other is begun.
    **reading
        ``exif_orientation``, ``max_image_size``, ``stretch`` and ``nodata``, as for
        :func:`siftcli.detect`.

    Returns
    -------
    iterator of Outcome
        Those that were there already, then the others, each when it is written: in the order of
        the plan, from a cluster in the order in which they are done.

    Raises
    ------
    ParameterError
        At once, if an option is out of range.
    InputError
        If there is no such cluster, or its workers have other versions.
    OutputError
        If another run writes there, what is there was made with other settings or is of other pictures,
        or the disk is full.
    """
    check_max_image_size(reading.get("max_image_size"))
    check_stretch(reading.get("stretch", NO_STRETCH), reading.get("nodata"))
    if dask is not None:
        _check_cluster_use(dask, jobs, plan)
    jobs, threads = shared_cores(len(plan.jobs), jobs, threads)
    request = Request(
        params,
        threads,
        keeps_origins=plan.keeps_origins,
        is_batch=plan.is_batch,
        page=plan.page,
        has_stored_frame=plan.has_stored_frame,
        **reading,
    )
    if dask is None:
        pool = LocalPool(partial(find, request), lost, jobs)
        return _run(plan, request, nullcontext(pool.run), check=check, strict=strict, stop=stop)
    request = replace(request, threads=threads or 1)
    return _run(plan, request, _on_cluster(request, dask, jobs), check=check, strict=strict, stop=stop)


def _check_cluster_use(dask: str, jobs: int | None, plan: Plan) -> None:
    from ..parallel.cluster import LOCAL

    if dask != LOCAL and jobs is not None:
        raise ParameterError("--jobs has no effect on a Dask cluster; use --dask local, or drop --jobs")
    if plan.to_stdout:
        raise ParameterError("--dask cannot write to the standard output; name a file or a folder with -o")


@contextmanager
def _on_cluster(request: Request, address: str, jobs: int) -> Iterator[_Engine]:
    from ..parallel.cluster import DaskPool, connected

    work = partial(find_elsewhere, request, str(Path.cwd()), versions())
    with connected(address, max(jobs, 1)) as client:
        yield DaskPool(work, killed, client).run


def shared_cores(n_images: int, jobs: int | None, threads: int | None) -> tuple[int, int | None]:
    """Settle how many images at once, and threads inside each, so that together they fill the cores."""
    n_cores = len(os.sched_getaffinity(0))
    if jobs is None:
        jobs = 1 if n_images < SMALLEST_BATCH else max(1, n_cores // (threads or 1))
    if threads is None and jobs > 1:
        threads = max(1, n_cores // jobs)
    return jobs, threads


_Engine: TypeAlias = Callable[[Iterable[Job], Callable[[], bool]], Iterator[tuple[Job, Found]]]
"""Does jobs until it is told to stop."""


def _run(
    plan: Plan,
    request: Request,
    engine: AbstractContextManager[_Engine],
    *,
    check: bool,
    strict: bool,
    stop: Callable[[], bool],
) -> Iterator[Outcome]:
    failed: list[Job] = []
    settings = settings_text(request.settings)
    with ExitStack() as stack:
        output = open_output(plan, settings, stack)
        kept, to_do = split(plan, output, settings, check=check)
        for job, state in kept.items():
            yield Outcome(job, None, None, 0.0, was_there=True, is_known=state is State.DONE)
        if not to_do:
            return
        for job, found in stack.enter_context(engine)(to_do, lambda: stop() or (strict and bool(failed))):
            outcome = _written(job, found, plan, output)
            if outcome.error is not None:
                failed.append(job)
            yield outcome


def _written(job: Job, found: Found, plan: Plan, output: Output) -> Outcome:
    """Write what was found; a disk that is full ends the run, other trouble concerns one image."""
    if found.features is None:
        return Outcome(job, None, found.error, found.time_s, n_pages=found.n_pages)
    start = time.perf_counter()
    error = None
    try:
        output.write(job, found.features, found.origin)
        if job.drawing is not None and found.drawing is not None:
            make_folder(job.drawing, plan)
            write = write_inside if plan.is_batch else write_output
            write(job.drawing, found.drawing, overwrite=plan.overwrite or found.origin is not None)
    except StorageError:
        raise
    except SiftcliError as reason:
        error = str(reason)
    time_s = found.time_s + time.perf_counter() - start
    return Outcome(
        job,
        None if error else found.features,
        error,
        time_s,
        n_pages=found.n_pages,
        is_faint=found.is_faint,
    )


def features_bytes(outcome: Outcome, plan: Plan) -> bytes:
    """Encode what goes to the standard output under a plan with ``to_stdout``."""
    return b"" if outcome.features is None else encode(outcome.features, plan.format)
