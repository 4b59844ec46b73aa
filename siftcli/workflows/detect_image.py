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
from ..io.provenance import Origin, Source, settings_text
from ..io.writing import is_special
from ..params import SiftParams
from ..versions import versions
from .detect_plan import Job


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

    @property
    def settings(self) -> dict[str, Any]:
        """All that the result depends on besides the image and its mask."""
        names = ("exif_orientation", "max_image_size")
        head = {"siftcli": __version__, "params": self._params}
        return {**head, **{name: getattr(self, name) for name in names}}

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


def find(request: Request, job: Job) -> Found:
    """Do what a worker does: read, detect, draw; what goes wrong with the image is told, not raised."""
    # Imported where the work is done: who only hands it out need not load the kernels first.
    from ..api import detect_in_picture

    start = time.perf_counter()
    origin = features = drawing = error = None
    try:
        _refuse_special(request, job)
        # Looked at before it is read: a file that changes meanwhile is found changed next time.
        origin = _origin(request, job) if request.keeps_origins else None
        picture, mask = _read(request, job)
        features = detect_in_picture(picture, request.params, mask=mask, threads=request.threads)
        drawing = None if job.drawing is None else _drawn(job, features)
    except SiftcliError as reason:
        error = str(reason)
    except MemoryError:
        error = f"{job.image.path}: not enough memory; reduce it with --max-image-size"
    except Exception as reason:
        if not request.is_batch:
            raise
        error = f"{job.image.path}: {type(reason).__name__} in siftcli ({reason}); please report it"
    if error is not None:
        features = None
    return Found(features, error, time.perf_counter() - start, origin, drawing)


def find_elsewhere(request: Request, folder: str, expected: dict[str, str], job: Job) -> Found:
    """Do what a worker on another machine does: paths are those of ``folder``.

    A worker that has come to the cluster since the run began is checked as the others were.
    """
    from ..parallel.cluster import check_versions

    try:
        check_versions({"this worker": versions()}, expected)
    except InputError as error:
        return Found(error=f"{job.image.path}: {error}")
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
        how = {"exif_orientation": request.exif_orientation, "max_image_size": request.max_image_size}
        picture = read_image(job.image.path, **how)  # type: ignore[arg-type]
        return picture, None if job.mask is None else read_mask(job.mask, picture)


def _origin(request: Request, job: Job) -> Origin | None:
    try:
        mask = None if job.mask is None else Source.of(job.mask)
        return Origin(settings_text(request.settings), Source.of(job.image.path), mask)
    except (OSError, ValueError):
        return None  # the reason is told when it is read


def _drawn(job: Job, features: Features) -> bytes:
    from ..drawing.keypoints import draw_png

    exif = "apply" if features.exif_orientation != 1 else "ignore"
    with quiet_decoders():
        grey = read_image(job.image.path, exif_orientation=exif).grey
    return draw_png(grey, features)


def killed(job: Job) -> Found:
    """What is said of an image whose workers on a cluster died."""
    return Found(
        error=f"{job.image.path}: the Dask workers that worked on it died, more than "
        "distributed.scheduler.allowed-failures of them; was memory short?"
    )


def lost(job: Job) -> Found:
    """What is said of an image whose process died."""
    return Found(error=f"{job.image.path}: the process that worked on it died; was memory short?")
