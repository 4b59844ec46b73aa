"""Images in, files out, one after the other.

Everything that can be wrong with a request is found by :func:`make_plan`, before any
work; what goes wrong with one image later is told in its :class:`Outcome`, and the
others continue.
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .api import detect
from .draw import draw_png
from .errors import OutputError, SiftcliError
from .features import Features
from .formats import encode, save, write_output
from .formats._collections import WriteOptions, Writer, open_writer
from .image import check_max_image_size, read_image
from .params import SiftParams
from .plan import Job, Plan, make_plan
from .summary import SCHEMA, summarise
from .work_list import ImageFile, find_images

__all__ = [
    "ImageFile",
    "Job",
    "Outcome",
    "Plan",
    "features_bytes",
    "find_images",
    "make_plan",
    "run",
    "write_failures",
]

FAILURES = "failures.csv"


@dataclass(frozen=True)
class Outcome:
    """What became of a job: features, or the reason for none."""

    job: Job
    features: Features | None
    error: str | None
    time_s: float
    """Reading, detection and writing."""
    was_there: bool = False
    """Whether nothing was done because the collection has the image."""

    def to_dict(self) -> dict[str, Any]:
        """Describe it in plain types, for JSON.

        ``schema``, ``image``, then ``error``, or else ``output``, ``drawing``, ``time_s`` and
        the keys of :func:`siftcli.summary.summarise`.
        """
        head = {"schema": SCHEMA, "image": self.job.image.path}
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
    exif_orientation: str = "apply",
    max_image_size: int | None = None,
) -> Iterator[Outcome]:
    """Detect, and write what the plan says, image by image.

    Parameters
    ----------
    plan
        From :func:`make_plan`.
    params, threads, exif_orientation, max_image_size
        As for :func:`siftcli.detect`.

    Returns
    -------
    iterator of Outcome
        In the order of the plan, each when it is done.

    Raises
    ------
    ParameterError
        At once, if an option is out of range.
    """
    check_max_image_size(max_image_size)

    def find(job: Job) -> Features:
        return detect(
            job.image.path,
            params,
            mask=job.mask,
            threads=threads,
            exif_orientation=exif_orientation,
            max_image_size=max_image_size,
        )

    if plan.collection is not None:
        return _run_into_collection(plan, plan.collection, find)
    return (_outcome(job, lambda job: _write(job, find(job), plan)) for job in plan.jobs)


def _run_into_collection(
    plan: Plan, options: WriteOptions, find: Callable[[Job], Features]
) -> Iterator[Outcome]:
    with open_writer(plan.jobs[0].output or "", plan.format, options) as writer:
        for job in plan.jobs:
            if not options.overwrite and writer.has(job.image.name):
                yield Outcome(job, None, None, 0.0, was_there=True)
            else:
                yield _outcome(job, lambda job: _write(job, find(job), plan, writer))


def _outcome(job: Job, work: Callable[[Job], Features]) -> Outcome:
    start = time.perf_counter()
    features, error = None, None
    try:
        features = work(job)
    except SiftcliError as reason:
        error = str(reason)
    except MemoryError:
        error = f"{job.image.path}: not enough memory; reduce it with --max-image-size"
    return Outcome(job, features, error, time.perf_counter() - start)


def _write(job: Job, features: Features, plan: Plan, writer: Writer | None = None) -> Features:
    if writer is not None:
        writer.write(job.image.name, features)
    elif job.output is not None:
        _make_folder(job.output, plan)
        save(features, job.output, plan.format, overwrite=plan.overwrite)
    if job.drawing is not None:
        _make_folder(job.drawing, plan)
        exif = "apply" if features.exif_orientation != 1 else "ignore"
        picture = read_image(job.image.path, exif_orientation=exif)
        write_output(job.drawing, draw_png(picture.grey, features), overwrite=plan.overwrite)
    return features


def _make_folder(path: Path, plan: Plan) -> None:
    if not plan.makes_folders:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path.parent} cannot be made: {error.strerror}; choose another folder") from error


def write_failures(folder: Path, outcomes: Iterable[Outcome]) -> None:
    """Write ``failures.csv``: the images that failed, and why. Without any, an old one is emptied."""
    rows = [(outcome.job.image.path, outcome.error) for outcome in outcomes if outcome.error is not None]
    path = folder / FAILURES
    if not rows and not path.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([("image", "reason"), *rows])
    write_output(path, text.getvalue().encode("utf-8", "surrogateescape"), overwrite=True)


def features_bytes(outcome: Outcome, plan: Plan) -> bytes:
    """Encode what goes to the standard output under a plan with ``to_stdout``."""
    return b"" if outcome.features is None else encode(outcome.features, plan.format)
