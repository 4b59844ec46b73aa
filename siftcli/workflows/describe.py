"""Describing keypoints of people's own, or of other detectors, in one image."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from ..api import describe_in_picture
from ..errors import InputError, OutputError, ParameterError
from ..features import UNKNOWN_SIZE, Features
from ..formats import FORMATS, Format, format_of, inspect, keypoint_table
from ..formats._collections import check_collection, open_reader
from ..image import Picture, page_index, read_image
from ..image.quiet import quiet_decoders
from ..io.limits import MAX_FILE_BYTES
from ..io.reading import read_bytes
from ..params import SiftParams
from .detect import written
from .detect_image import Outcome
from .detect_outputs import Files
from .detect_plan import Plan

TABLE = "table"
"""What ``--keypoints-format`` calls text with ``x y scale angle``."""
_TABLE_SUFFIXES = (".txt", ".csv")
_OWN_CSV = b"# siftcli "
_KNOWS_FRAME = ("npz", "csv", "json", "jsonl", "parquet", "lightglue")
"""Formats that record the EXIF orientation that was applied."""


@dataclass(frozen=True)
class Keypoints:
    """Keypoints as read from a file."""

    features: Features
    frame: str | None
    """"apply" or "ignore": what of the EXIF orientation their coordinates presuppose; None if unknown."""


def read_keypoints(
    path: str,
    format: str | None = None,
    *,
    image_name: str,
    angle_unit: str | None = None,
) -> Keypoints:
    """Read keypoints from a feature file, a collection or a table.

    Parameters
    ----------
    path
        The file.
    format
        Name of its format, or ``"table"``; from the suffix when not given.
    image_name
        Which image of a collection.
    angle_unit
        "radians" or "degrees", for a table only.

    Raises
    ------
    InputError
        If the file cannot be read, or lacks the image.
    ParameterError
        If ``angle_unit`` is given for a file of features.
    """
    if not Path(path).exists():
        raise InputError(f"{path}: no such file; check the path")
    if _is_table(path, format):
        return Keypoints(_read_table(path, angle_unit or keypoint_table.ANGLE_UNITS[0]), None)
    if angle_unit is not None:
        raise ParameterError(f"--angle-unit is for tables of keypoints, and {path} is none; drop it")
    try:
        entry = format_of(path, format)
    except OutputError as error:
        raise InputError(f"{error}; for text with x y scale angle it is {TABLE}") from error
    image = _image_in(path, entry, image_name) if entry.is_collection else None
    found = inspect(path, entry.name, image=image).features
    return Keypoints(found, _frame(entry, found))


def _is_table(path: str, format: str | None) -> bool:
    if format is not None:
        return format == TABLE
    if Path(path).suffix.lower() not in _TABLE_SUFFIXES:
        return False
    return not _content(path).startswith(_OWN_CSV)


def _read_table(path: str, angle_unit: str) -> Features:
    try:
        return keypoint_table.decode(_content(path), angle_unit)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _content(path: str) -> bytes:
    try:
        return read_bytes(path, MAX_FILE_BYTES)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{path}: cannot be read ({reason}); check the path") from error


def _image_in(path: str, entry: Format, name: str) -> str:
    """The image of a collection: the one of that name, or the only one."""
    with open_reader(path, entry.name) as reader:
        names = reader.names()
    return names[0] if len(names) == 1 and name not in names else name


def _frame(entry: Format, features: Features) -> str | None:
    if entry.stored_frame:
        return "ignore"
    if entry.name in _KNOWS_FRAME:
        return "apply" if features.exif_orientation != 1 else "ignore"
    return None


def describe_image(
    plan: Plan,
    keypoints: Keypoints,
    params: SiftParams,
    *,
    exif_orientation: str | None = None,
    threads: int | None = None,
    **reading: Any,
) -> Iterator[Outcome]:
    """Describe the keypoints in the one image of a plan, and write the features.

    Parameters
    ----------
    plan
        From :func:`siftcli.workflows.detect_plan.make_plan`, of one image.
    keypoints
        From :func:`read_keypoints`.
    params
        Scale space and descriptor.
    exif_orientation
        "apply" or "ignore", for keypoints that do not tell their frame; "apply" when not given.
    threads, **reading
        ``stretch`` and ``nodata``, as for :func:`siftcli.detect`.

    Raises
    ------
    InputError
        If the image cannot be read, is not of the size that the keypoints state, or a keypoint lies
        outside it.
    ParameterError
        If ``exif_orientation`` is given for keypoints that tell their frame.
    OutputError
        If the features cannot be written.
    """
    if exif_orientation is not None and keypoints.frame is not None:
        raise ParameterError("--exif-orientation has no effect on keypoints that tell their frame; drop it")
    (job,) = plan.jobs
    if plan.collection is not None and job.output is not None:
        check_collection(job.output, FORMATS[plan.format], overwrite=plan.overwrite)
    start = time.perf_counter()
    frame = keypoints.frame or exif_orientation or "apply"
    with quiet_decoders():
        picture = read_image(
            job.image.path, exif_orientation=frame, page=page_index(job.image.page), **reading
        )
    frames = _placed(keypoints.features, picture)
    features = describe_in_picture(picture, frames, params, threads=threads)
    features = replace(features, image_name=Path(job.image.name).name)
    drawing = None
    if job.drawing is not None:
        from ..drawing.keypoints import draw_png

        drawing = draw_png(picture.grey, features)
    seconds = time.perf_counter() - start
    outcome = Outcome(job, features, time_s=seconds, n_pages=picture.n_pages, drawing=drawing)
    yield written(outcome, plan, Files(plan))


def _placed(features: Features, picture: Picture) -> Features:
    """The keypoints with the image's size and orientation, if all lie in it."""
    if tuple(features.image_size) != UNKNOWN_SIZE:
        picture.require_size(features.image_size)
    width, height = picture.input_size
    x, y = features.xy.T
    is_inside = (x >= -0.5) & (y >= -0.5) & (x <= width - 0.5) & (y <= height - 0.5)
    if not is_inside.all():
        row = int(np.argmin(is_inside))
        raise InputError(
            f"{picture.label}: expected keypoints in its {width} x {height} pixels, got ({x[row]:g}, "
            f"{y[row]:g}) for keypoint {row + 1}; remove the {int((~is_inside).sum())} that lie outside"
        )
    return replace(
        features, image_size=picture.input_size, exif_orientation=picture.exif_orientation, removed={}
    )
