"""Processing one image of a batch, on this machine or another: read, detect, draw."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import InputError, SiftcliError
from ..features import Features
from ..image import Picture, read_image, read_mask
from ..image.by_rows import RowPicture, open_rows, what_needs_all
from ..image.quiet import quiet_decoders
from ..image.stretch import plain_nodata
from ..io.provenance import FileState, Provenance, settings_text
from ..io.reading import STANDARD_INPUT
from ..io.writing import is_special
from ..params import SiftParams
from ..versions import versions
from .detect_plan import Job
from .pages import Page
from .summary import SCHEMA, summarise


@dataclass(frozen=True)
class DetectionOptions:
    """How images are read and features detected: the same for every image of a run."""

    params: SiftParams
    threads: int | None = None
    exif_orientation: str = "apply"
    max_image_size: int | None = None
    records_provenance: bool = False
    """Whether the outputs record what they were made from."""
    is_batch: bool = False
    stretch: str = "none"
    nodata: float | None = None
    page: Page = 1
    """The page as requested. Which page of an image is read is a field of the image itself."""
    has_stored_frame: bool = False
    """Whether masks are in the frame of the stored pixels."""

    @cached_property
    def settings(self) -> str:
        """Everything besides the image and its mask that the result depends on, as of ``settings_text``."""
        names = ("exif_orientation", "max_image_size", "stretch", "page")
        head = {"siftcli": __version__, "params": self._params}
        values = {name: getattr(self, name) for name in names}
        return settings_text({**head, **values, "nodata": plain_nodata(self.nodata)})

    @property
    def _params(self) -> dict[str, Any]:
        """The parameters, with the digest of the orientation weights instead of their path."""
        params = self.params.to_dict()
        if self.params.orientation == "learned":
            from ..learned.weights import shipped_or

            path = params.pop("orientation_weights")
            try:
                params["orientation_weights_digest"] = shipped_or(path).digest
            except InputError:  # reported when an image is processed
                params["orientation_weights_digest"] = None
        return params


class Outcome(NamedTuple):
    """What became of a job: features, or the reason why there are none."""

    job: Job
    features: Features | None = None
    error: str | None = None
    time_s: float = 0.0
    """Reading, detection and writing."""
    skipped: bool = False
    """Whether nothing was done because the output already has the image."""
    is_known: bool = True
    """For a skipped image, whether its features record what they were made from."""
    n_pages: int = 1
    """Pages of the image file."""
    is_faint: bool = False
    """Whether fewer than 10 features were found in an image that uses under a quarter of its range."""
    provenance: Provenance | None = None
    """What the features were made from, for outputs that record it."""
    drawing: bytes | None = None
    """The drawing as a PNG file, until it is written."""

    def to_dict(self) -> dict[str, Any]:
        """Describe it in plain types, for JSON.

        ``schema``, ``image`` (``PATH[N]`` for one of all pages), then ``error``, or else
        ``output``, ``drawing``, ``time_s`` and the keys of :func:`siftcli.workflows.summary.summarise`.
        """
        head = {"schema": SCHEMA, "image": self.job.image.label}
        if self.skipped:
            return {**head, "was_there": True}
        if self.features is None:
            return {**head, "error": self.error}
        written = {
            name: None if path is None else str(path)
            for name, path in (("output", self.job.output), ("drawing", self.job.drawing))
        }
        return {**head, **written, "time_s": self.time_s, **summarise(self.features)}


def process_image(options: DetectionOptions, job: Job) -> Outcome:
    """Read an image, detect its features and draw them.

    Whatever is wrong with the image is reported in the outcome. Only for a single image
    (``options.is_batch`` is false) is an unexpected exception raised.
    """
    # Imported where the work is done: the process that hands out jobs need not load the kernels.
    from ..api import detect_in_picture

    start = time.perf_counter()
    outcome, error = Outcome(job), None
    try:
        _refuse_special(options, job)
        # Recorded before the image is read: if the file changes meanwhile, the next run notices.
        provenance = _provenance(options, job) if options.records_provenance else None
        picture, mask = _read(options, job)
        features = detect_in_picture(picture, options.params, mask=mask, threads=options.threads)
        features = replace(features, image_name=Path(job.image.name).name)
        outcome = Outcome(
            job,
            features,
            n_pages=picture.n_pages,
            is_faint=picture.looks_faint(len(features), options.params.max_features),
            provenance=provenance,
            drawing=None if job.drawing is None else _drawn(options, job, features),
        )
    except SiftcliError as reason:
        error = str(reason).replace(job.image.path, job.image.label, 1)
        if job.image.origin and not os.path.lexists(job.image.path):
            error = f"{job.image.origin}: {error}"
    except MemoryError:
        error = f"{job.image.label}: not enough memory; reduce it with --max-image-size"
    except Exception as reason:
        if not options.is_batch:
            raise
        error = f"{job.image.label}: {type(reason).__name__} in siftcli ({reason}); please report it"
    return outcome._replace(error=error, time_s=time.perf_counter() - start)


def process_remotely(options: DetectionOptions, folder: str, expected: dict[str, str], job: Job) -> Outcome:
    """Process an image on a cluster's worker; relative paths are relative to ``folder``.

    Versions are checked again, because a worker may have joined the cluster after the run began.
    """
    from ..parallel.cluster import check_versions

    try:
        check_versions({"this worker": versions()}, expected)
    except InputError as error:
        return Outcome(job, error=f"{job.image.label}: {error}")
    path = os.path.join(folder, job.image.path)  # noqa: PTH118  an absolute path stays as it is
    mask = None if job.mask is None else Path(folder, job.mask)
    outcome = process_image(options, job._replace(image=job.image._replace(path=path), mask=mask))
    return outcome._replace(job=job)


def _refuse_special(options: DetectionOptions, job: Job) -> None:
    """Refuse pipes and devices in a batch: they may never end, and cannot be read twice for a digest."""
    if not (options.is_batch or options.records_provenance):
        return
    for path in (job.image.path, job.mask):
        if path is not None and (path == STANDARD_INPUT or is_special(path)):
            raise InputError(f"{path}: expected a file, got a pipe or a device; read it alone, into a file")


def _read(
    options: DetectionOptions, job: Job
) -> tuple[Picture, NDArray[np.bool_] | None] | tuple[RowPicture, None]:
    rows = open_rows(
        job.image.path,
        exif_orientation=options.exif_orientation,
        max_image_size=options.max_image_size,
        page=job.image.page - 1,
        stretch=options.stretch,
        nodata=options.nodata,
        whole_for=what_needs_all(
            mask=job.mask is not None, views=options.params.views, drawing=job.drawing is not None
        ),
        around=quiet_decoders,
    )
    if rows is not None:
        return rows, None
    return read_inputs(options, job)


def read_inputs(options: DetectionOptions, job: Job) -> tuple[Picture, NDArray[np.bool_] | None]:
    """The picture as features are found in it, and its mask."""
    with quiet_decoders():
        picture = _picture(options, job, options.exif_orientation).reduced(options.max_image_size)
        if job.mask is None:
            return picture, None
        return picture, read_mask(job.mask, picture, stored_frame=options.has_stored_frame)


def _picture(options: DetectionOptions, job: Job, exif_orientation: str) -> Picture:
    """The picture at full size."""
    return read_image(
        job.image.path,
        exif_orientation=exif_orientation,
        page=job.image.page - 1,
        stretch=options.stretch,
        nodata=options.nodata,
    )


def _provenance(options: DetectionOptions, job: Job) -> Provenance | None:
    try:
        mask = None if job.mask is None else FileState.of(job.mask)
        return Provenance(options.settings, FileState.of(job.image.path), mask)
    except (OSError, ValueError):
        return None  # the reason is reported when it is read


def _drawn(options: DetectionOptions, job: Job, features: Features) -> bytes:
    from ..drawing.keypoints import draw_png

    with quiet_decoders():
        grey = _picture(options, job, "apply" if features.exif_orientation != 1 else "ignore").grey
    return draw_png(grey, features)


def workers_died(job: Job) -> Outcome:
    """Return the outcome for an image whose workers on a cluster died."""
    return Outcome(
        job,
        error=f"{job.image.label}: the Dask workers that processed it died, more than "
        "distributed.scheduler.allowed-failures of them; check whether they ran out of memory",
    )


def process_died(job: Job) -> Outcome:
    """Return the outcome for an image whose process died."""
    return Outcome(
        job,
        error=f"{job.image.label}: the process that worked on it died; check whether it ran out of memory",
    )
