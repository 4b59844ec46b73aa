"""What is done with one image of a batch, here or on another machine: read, detect, draw."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import InputError, SiftcliError
from ..features import Features
from ..image import Picture, read_image, read_mask
from ..image.quiet import quiet_decoders
from ..image.stretch import plain_nodata
from ..io.provenance import Origin, Source, settings_text
from ..io.writing import is_special
from ..params import SiftParams
from ..versions import versions
from .detect_plan import Job
from .pages import Page


@dataclass(frozen=True)
class Request:
    """What a worker needs to know besides the image."""

    params: SiftParams
    threads: int | None = None
    exif_orientation: str = "apply"
    max_image_size: int | None = None
    keeps_origins: bool = False
    """Whether the outputs tell what they were made from."""
    is_batch: bool = False
    stretch: str = "none"
    nodata: float | None = None
    page: Page = 1
    """The page that was asked for; of each image its own is read."""
    has_stored_frame: bool = False
    """Whether masks lie in the frame of the stored pixels."""

    @property
    def settings(self) -> dict[str, Any]:
        """All that the result depends on besides the image and its mask."""
        names = ("exif_orientation", "max_image_size", "stretch", "page")
        head = {"siftcli": __version__, "params": self._params}
        values = {name: getattr(self, name) for name in names}
        return {**head, **values, "nodata": plain_nodata(self.nodata)}

    @property
    def _params(self) -> dict[str, Any]:
        """The parameters, with the content of the orientation weights in the place of their path."""
        params = self.params.to_dict()
        if self.params.orientation == "learned":
            from ..learned.weights import shipped_or

            path = params.pop("orientation_weights")
            try:
                params["orientation_weights_digest"] = shipped_or(path).digest
            except InputError:  # told when an image is worked on
                params["orientation_weights_digest"] = None
        return params


@dataclass(frozen=True)
class Found:
    """What a worker hands back."""

    features: Features | None = None
    error: str | None = None
    time_s: float = 0.0
    origin: Origin | None = None
    drawing: bytes | None = None
    n_pages: int = 1
    """Pages of the file."""
    is_faint: bool = False
    """Whether few features were found, and the picture uses a small part of its range."""


def find(request: Request, job: Job) -> Found:
    """Do what a worker does: read, detect, draw; what goes wrong with the image is told, not raised."""
    # Imported where the work is done: who only hands it out need not load the kernels first.
    from ..api import detect_in_picture

    start = time.perf_counter()
    found = Found()
    error = None
    try:
        _refuse_special(request, job)
        # Looked at before it is read: a file that changes meanwhile is found changed next time.
        origin = _origin(request, job) if request.keeps_origins else None
        picture, mask = _read(request, job)
        features = detect_in_picture(picture, request.params, mask=mask, threads=request.threads)
        features = replace(features, image_name=Path(job.image.name).name)
        found = Found(
            features,
            origin=origin,
            drawing=None if job.drawing is None else _drawn(request, job, features),
            n_pages=picture.n_pages,
            is_faint=picture.looks_faint(len(features), request.params.max_features),
        )
    except SiftcliError as reason:
        error = str(reason).replace(job.image.path, job.image.label, 1)
    except MemoryError:
        error = f"{job.image.label}: not enough memory; reduce it with --max-image-size"
    except Exception as reason:
        if not request.is_batch:
            raise
        error = f"{job.image.label}: {type(reason).__name__} in siftcli ({reason}); please report it"
    return replace(found, error=error, time_s=time.perf_counter() - start)


def find_elsewhere(request: Request, folder: str, expected: dict[str, str], job: Job) -> Found:
    """Do what a worker on another machine does: paths are those of ``folder``.

    A worker that has come to the cluster since the run began is checked as the others were.
    """
    from ..parallel.cluster import check_versions

    try:
        check_versions({"this worker": versions()}, expected)
    except InputError as error:
        return Found(error=f"{job.image.label}: {error}")
    path = os.path.join(folder, job.image.path)  # noqa: PTH118  a name that is absolute stays as it is
    mask = None if job.mask is None else Path(folder, job.mask)
    return find(request, replace(job, image=replace(job.image, path=path), mask=mask))


def _refuse_special(request: Request, job: Job) -> None:
    """A pipe found in a folder may never end, and one that is looked at first is read no second time."""
    if not (request.is_batch or request.keeps_origins):
        return
    for path in (job.image.path, job.mask):
        if path is not None and is_special(path):
            raise InputError(f"{path}: expected a file, got a pipe or a device; read it alone, into a file")


def _read(request: Request, job: Job) -> tuple[Picture, NDArray[np.bool_] | None]:
    with quiet_decoders():
        picture = _picture(request, job, request.exif_orientation).reduced(request.max_image_size)
        if job.mask is None:
            return picture, None
        return picture, read_mask(job.mask, picture, stored_frame=request.has_stored_frame)


def _picture(request: Request, job: Job, exif_orientation: str) -> Picture:
    """The whole picture, not reduced."""
    return read_image(
        job.image.path,
        exif_orientation=exif_orientation,
        page=job.image.page - 1,
        stretch=request.stretch,
        nodata=request.nodata,
    )


def _origin(request: Request, job: Job) -> Origin | None:
    try:
        mask = None if job.mask is None else Source.of(job.mask)
        return Origin(settings_text(request.settings), Source.of(job.image.path), mask)
    except (OSError, ValueError):
        return None  # the reason is told when it is read


def _drawn(request: Request, job: Job, features: Features) -> bytes:
    from ..drawing.keypoints import draw_png

    with quiet_decoders():
        grey = _picture(request, job, "apply" if features.exif_orientation != 1 else "ignore").grey
    return draw_png(grey, features)


def killed(job: Job) -> Found:
    """What is said of an image whose workers on a cluster died."""
    return Found(
        error=f"{job.image.label}: the Dask workers that worked on it died, more than "
        "distributed.scheduler.allowed-failures of them; was memory short?"
    )


def lost(job: Job) -> Found:
    """What is said of an image whose process died."""
    return Found(error=f"{job.image.label}: the process that worked on it died; was memory short?")
