"""Detection in many images: several processes detect, this process writes.

:func:`make_plan` finds everything that is wrong with a request before any work begins. What goes
wrong with one image later is reported in its :class:`Outcome`, and the other images are processed
nevertheless.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from ..errors import ParameterError, SiftcliError, StorageError
from ..formats import encode
from ..image import check_max_image_size
from ..image.stretch import NO_STRETCH, check_stretch
from ..io.reading import STANDARD_INPUT
from ..io.writing import write_inside, write_output
from ..parallel.processes import LocalPool
from ..parallel.sharing import shared_cores
from ..params import SiftParams
from ..versions import versions
from .detect_image import (
    DetectionOptions,
    Outcome,
    process_died,
    process_image,
    process_remotely,
    workers_died,
)
from .detect_outputs import Output, State, make_folder, open_output, split
from .detect_plan import Job, Plan


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
    """Detect features and write the outputs of a plan.

    Parameters
    ----------
    plan
        From :func:`make_plan`.
    params
        As for :func:`siftcli.detect`.
    threads
        Threads per image. By default the cores are shared equally among the jobs.
    jobs
        Images processed at once, each in its own process. By default one per core, or a single one
        for fewer than ``sharing.SMALLEST_BATCH`` images. The result depends on neither.
    check
        Compare the content of finished images, not only their size and modification time, to find
        those that have changed.
    strict
        Stop at the first image that fails.
    dask
        Address of the scheduler of a Dask cluster, or ``"local"`` to start ``jobs`` workers on this
        machine for this run. The workers read the images and masks themselves.
    stop
        Called before an image is started. Once it returns true, no further image is started; those
        in progress are finished and written.
    **reading
        ``exif_orientation``, ``max_image_size``, ``stretch`` and ``nodata``, as for
        :func:`siftcli.detect`.

    Returns
    -------
    iterator of Outcome
        First the images that are skipped, then the others, each as soon as it is written. These
        come in the order of the plan, from a cluster in the order in which they are finished.

    Raises
    ------
    ParameterError
        At once, if an option is out of range.
    InputError
        If there is no such cluster, or its workers have different versions of packages.
    OutputError
        If another run is writing to the same output, if existing features were made with other
        settings or from other images, or if the disk is full.
    """
    check_max_image_size(reading.get("max_image_size"))
    check_stretch(reading.get("stretch", NO_STRETCH), reading.get("nodata"))
    if check and not plan.records_provenance:
        raise ParameterError(
            "--check has no effect without an output that can be resumed; name a folder of npz files or a "
            "collection, or drop --check"
        )
    if dask is not None:
        _check_cluster_use(dask, jobs, plan)
    jobs, threads = shared_cores(len(plan.jobs), jobs, threads)
    options = DetectionOptions(
        params,
        threads,
        records_provenance=plan.records_provenance,
        is_batch=plan.is_batch,
        page=plan.page,
        has_stored_frame=plan.has_stored_frame,
        **reading,
    )
    if dask is None:
        pool = LocalPool(partial(process_image, options), process_died, jobs)
        return _outcomes(plan, options, nullcontext(pool.run), check=check, strict=strict, stop=stop)
    options = replace(options, threads=threads or 1)
    return _outcomes(plan, options, _on_cluster(options, dask, jobs), check=check, strict=strict, stop=stop)


def _check_cluster_use(dask: str, jobs: int | None, plan: Plan) -> None:
    from ..parallel.cluster import LOCAL

    if dask != LOCAL and jobs is not None:
        raise ParameterError("--jobs has no effect on a Dask cluster; use --dask local, or drop --jobs")
    if plan.jobs[0].image.path == STANDARD_INPUT:
        raise ParameterError("--dask cannot read the standard input (-); name a file that the workers see")
    if plan.to_stdout:
        raise ParameterError("--dask cannot write to the standard output; name a file or a folder with -o")


@contextmanager
def _on_cluster(options: DetectionOptions, address: str, jobs: int) -> Iterator[_Engine]:
    from ..parallel.cluster import DaskPool, connected

    work = partial(process_remotely, options, str(Path.cwd()), versions())
    with connected(address, max(jobs, 1)) as client:
        yield DaskPool(work, workers_died, client).run


_Engine: TypeAlias = Callable[[Iterable[Job], Callable[[], bool]], Iterator[tuple[Job, Outcome]]]
"""Processes jobs until the second argument returns true."""


def _outcomes(
    plan: Plan,
    options: DetectionOptions,
    engine: AbstractContextManager[_Engine],
    *,
    check: bool,
    strict: bool,
    stop: Callable[[], bool],
) -> Iterator[Outcome]:
    failed: list[Job] = []
    settings = options.settings
    with ExitStack() as stack:
        output = open_output(plan, settings, stack)
        kept, to_do = split(plan, output, settings, check=check)
        for job, state in kept.items():
            yield Outcome(job, skipped=True, is_known=state is State.DONE)
        if not to_do:
            return
        process = stack.enter_context(engine)
        for job, outcome in process(to_do, lambda: stop() or (strict and bool(failed))):
            result = written(outcome, plan, output)
            if result.error is not None:
                failed.append(job)
            yield result


def written(outcome: Outcome, plan: Plan, output: Output) -> Outcome:
    """Write features and drawing; only a full disk ends the run, other errors are this image's own."""
    job, features = outcome.job, outcome.features
    if features is None:
        return outcome
    start = time.perf_counter()
    error = None
    try:
        output.write(job, features, outcome.provenance)
        if job.drawing is not None and outcome.drawing is not None:
            make_folder(job.drawing, plan)
            write = write_inside if plan.is_batch else write_output
            overwrite = plan.overwrite or outcome.provenance is not None
            write(job.drawing, outcome.drawing, overwrite=overwrite)
    except StorageError:
        raise
    except SiftcliError as reason:
        error, features = str(reason), None
    time_s = outcome.time_s + time.perf_counter() - start
    return outcome._replace(features=features, error=error, time_s=time_s, drawing=None)


def features_bytes(outcome: Outcome, plan: Plan) -> bytes:
    """Encode the features for the standard output, under a plan with ``to_stdout``."""
    return b"" if outcome.features is None else encode(outcome.features, plan.format)
