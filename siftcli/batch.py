"""Images in, files out: which images, which outputs, and one after the other.

Everything that can be wrong with a request is found by :func:`make_plan`, before any
work; what goes wrong with one image later is told in its :class:`Outcome`, and the
others continue.
"""

from __future__ import annotations

import csv
import io
import os
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from .api import detect
from .draw import draw_png
from .errors import InputError, OutputError, ParameterError, SiftcliError
from .features import Features
from .formats import (
    DEFAULT_FORMAT,
    FORMATS,
    Format,
    check_output,
    encode,
    format_of,
    is_special,
    save,
    write_output,
)
from .formats._collections import WriteOptions, Writer, check_collection, open_writer
from .image import check_max_image_size, read_image
from .params import SiftParams
from .summary import SCHEMA, summarise

IMAGE_SUFFIXES = (
    ".png",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
    ".webp",
    ".pgm",
    ".ppm",
    ".pnm",
    ".pbm",
    ".bmp",
)
"""What a folder is searched for; a file given by its name may have any suffix."""

STANDARD_OUTPUT = "-"
FAILURES = "failures.csv"


@dataclass(frozen=True)
class ImageFile:
    """An image of the work list."""

    path: str
    """As it can be opened."""
    name: str
    """Relative to the folder that all inputs share; unique in the list."""


@dataclass(frozen=True)
class Job:
    """One image and what is to be made of it."""

    image: ImageFile
    output: Path | None = None
    drawing: Path | None = None
    mask: Path | None = None


@dataclass(frozen=True)
class Plan:
    """A checked request."""

    jobs: tuple[Job, ...]
    format: str
    is_batch: bool
    """Whether outputs are folders: several images, or a folder, were given."""
    folder: Path | None
    """The folder of the outputs, if they go to one."""
    to_stdout: bool
    overwrite: bool
    collection: WriteOptions | None = None
    """How the one file (or folder) is opened that takes all images, if there is one; each job's output."""

    @property
    def makes_folders(self) -> bool:
        """Whether missing folders of outputs are made; that of a named file must exist."""
        return self.is_batch or self.folder is not None

    @property
    def failures_folder(self) -> Path | None:
        """Where the list of failures goes."""
        return self.jobs[0].output.parent if self.collection and self.jobs[0].output else self.folder

    @property
    def wants_rootsift(self) -> bool:
        """Whether readers of the output expect RootSIFT."""
        return FORMATS[self.format].rootsift

    @property
    def loss(self) -> str:
        """One line on what the output cannot carry; empty if it carries all."""
        written = self.to_stdout or any(job.output for job in self.jobs)
        return FORMATS[self.format].loss if written else ""

    def frame_note(self, features: Features) -> str:
        """One line on coordinates that are not written in the frame of the features; empty if they are."""
        if (
            features.exif_orientation == 1
            or not FORMATS[self.format].stored_frame
            or not any(job.output for job in self.jobs)
        ):
            return ""
        return (
            f"{features.image_name} has the EXIF orientation {features.exif_orientation}: coordinates are "
            f"written in the stored frame, as readers of {self.format} ignore it"
        )


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


def find_images(inputs: Iterable[str | os.PathLike[str]]) -> list[ImageFile]:
    """List images: files as they are given, folders searched.

    A folder is searched by suffix and recursively, in sorted order; hidden files and folders
    are skipped, and a linked folder is visited once. A file that comes up twice is listed once.

    Raises
    ------
    InputError
        If a folder cannot be read or has no image, or nothing is given.
    """
    names = [os.fspath(path) for path in inputs]
    if not names or "" in names:
        raise InputError("expected an image or a folder of images, got an empty name or none; name one")
    paths = [Path(name) for name in names]
    roots = [_absolute(path if path.is_dir() else path.parent) for path in paths]
    root = os.path.commonpath(roots)
    found: dict[Path, ImageFile] = {}
    for path in paths:
        for file in _search(path) if path.is_dir() else [path]:
            absolute = _absolute(file)
            found.setdefault(absolute, ImageFile(str(file), str(absolute.relative_to(root))))
    return list(found.values())


def _absolute(path: Path) -> Path:
    """Make a path absolute, without ``..``; links stay, as their names are the user's."""
    return Path(os.path.normpath(path.absolute()))


def _search(folder: Path) -> list[Path]:
    def fail(error: OSError) -> None:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}); check its permissions")

    files: list[Path] = []
    seen: set[Path] = set()
    for here, folders, names in os.walk(folder, followlinks=True, onerror=fail):
        folders[:] = _unseen(Path(here), folders, seen)
        files += [Path(here) / name for name in names if _is_image_name(name)]
    if not files:
        raise InputError(
            f"{folder}: expected a folder with images ({', '.join(IMAGE_SUFFIXES)}), found none; "
            "name another folder or the files"
        )
    return sorted(files)


def _unseen(here: Path, folders: list[str], seen: set[Path]) -> list[str]:
    """Those folders, sorted and not hidden, whose real place has not been visited."""
    seen.add(here.resolve())
    unseen = []
    for name in sorted(folders):
        real = (here / name).resolve()
        if not name.startswith(".") and real not in seen:
            seen.add(real)
            unseen.append(name)
    return unseen


def _is_image_name(name: str) -> bool:
    return name.lower().endswith(IMAGE_SUFFIXES) and not name.startswith(".")


def make_plan(
    inputs: Iterable[str | os.PathLike[str]],
    *,
    output: str | None = None,
    format: str | None = None,
    drawing: str | None = None,
    mask: str | None = None,
    mask_optional: bool = False,
    overwrite: bool = False,
    collection: WriteOptions | None = None,
) -> Plan:
    """Settle what is read and written, and check that it can be, before any work.

    Parameters
    ----------
    inputs
        Image files and folders.
    output
        For one image a file (its name has a suffix) or a folder (it has none); for several
        a folder, in which each image has ``<relative name>.<format>``, or a collection
        (``.h5``, ``.db``, ``.parquet``); ``"-"`` for the standard output; None to write nothing.
    format
        Name of the format; from the suffix of ``output`` when not given, npz in a folder.
    drawing
        For one image a PNG file, for several a folder.
    mask
        For one image a mask image, for several a folder with ``<relative name>.png``.
    mask_optional
        Whether an image of several may have no mask.
    overwrite
        Whether existing files are replaced.
    collection
        Whether images are added to an existing collection, and their cameras; its ``images``
        and ``overwrite`` are set here.

    Raises
    ------
    InputError
        If a folder has no image.
    OutputError, ParameterError
        If the outputs exist, cannot be written, or do not fit the inputs.
    """
    names = [os.fspath(path) for path in inputs]
    if "" in (output, drawing, mask):
        raise ParameterError("expected a path for the output, drawing or mask, got an empty name; name one")
    images = find_images(names)
    is_batch = len(images) > 1 or any(Path(name).is_dir() for name in names)
    to_stdout = output == STANDARD_OUTPUT
    if to_stdout and (is_batch or format is None):
        raise ParameterError(
            "the standard output takes one image in a named format; pass one image and --format"
        )
    file = None if output is None or to_stdout else Path(output)
    opened = _opened_collection(file, format, images, overwrite, collection)
    folder = file if file is not None and not opened and _is_folder_name(output or "", is_batch) else None
    entry = _format(None if folder else file, format)
    if to_stdout and entry.is_collection:
        raise ParameterError(
            f"{entry.name} holds many images and cannot go to the standard output; name a file"
        )
    jobs = tuple(
        Job(
            image=image,
            output=folder / entry.name_in_folder(image.name) if folder else file,
            drawing=_drawing(drawing, image, is_batch),
            mask=_mask(mask, image, is_batch, mask_optional),
        )
        for image in images
    )
    plan = Plan(jobs, entry.name, is_batch, folder, to_stdout, overwrite, opened)
    _check_outputs(plan)
    return plan


def _opened_collection(
    file: Path | None,
    format: str | None,
    images: list[ImageFile],
    overwrite: bool,
    options: WriteOptions | None,
) -> WriteOptions | None:
    """How the output is opened, if it is a collection."""
    options = options or WriteOptions()
    is_collection = file is not None and _names_collection(file, format)
    if options.append and not is_collection:
        raise ParameterError("--append adds images to a collection; name a .h5, .db or .parquet output")
    if file is None or not is_collection:
        return None
    check_collection(file, format_of(file, format), overwrite=overwrite, append=options.append)
    return replace(options, images={image.name: image.path for image in images}, overwrite=overwrite)


def _names_collection(file: Path, format: str | None) -> bool:
    if format is not None:
        return FORMATS[format].is_collection if format in FORMATS else False
    return any(file.suffix.lower() in entry.suffixes for entry in FORMATS.values() if entry.is_collection)


def _is_folder_name(output: str, is_batch: bool) -> bool:
    path = Path(output)
    if path.is_dir() or output.endswith(os.sep):
        return True
    if is_batch and (os.path.lexists(path) or path.suffix.lower() in _file_suffixes()):
        raise ParameterError(f"{output}: several images need a folder, not a file; name a folder")
    return is_batch or not (path.suffix or is_special(path))


def _file_suffixes() -> set[str]:
    return {suffix for entry in FORMATS.values() for suffix in entry.suffixes}


def _format(file: Path | None, format: str | None) -> Format:
    """Choose the format by its name, else by the file's suffix; npz where a suffix says nothing."""
    if format is None and (
        file is None or (is_special(file) and file.suffix.lower() not in _file_suffixes())
    ):
        format = DEFAULT_FORMAT
    return format_of(file or "", format)


def _inside(folder: Path, image: ImageFile, suffix: str) -> Path:
    return folder / (image.name + suffix)


def _drawing(drawing: str | None, image: ImageFile, is_batch: bool) -> Path | None:
    if drawing is None:
        return None
    path = Path(drawing)
    if is_batch:
        if os.path.lexists(path) and not path.is_dir():
            raise ParameterError(f"{drawing}: drawings of several images need a folder; name a folder")
        return _inside(path, image, ".png")
    if path.suffix.lower() != ".png" and not is_special(path):
        raise ParameterError(f"{drawing}: expected a .png file for the drawing of one image; rename it")
    return path


def _mask(mask: str | None, image: ImageFile, is_batch: bool, optional: bool) -> Path | None:
    if mask is None:
        return None
    path = Path(mask)
    if not is_batch:
        return path
    if not path.is_dir():
        raise ParameterError(f"{mask}: masks of several images need a folder of <image name>.png; name one")
    path = _inside(path, image, ".png")
    return None if optional and not path.exists() else path


def _check_outputs(plan: Plan) -> None:
    images = {Path(job.image.path).resolve() for job in plan.jobs}
    if plan.folder is not None:
        _check_distinct(plan.jobs)
    for job in plan.jobs:
        for path in (None if plan.collection else job.output, job.drawing):
            if path is None:
                continue
            if path.resolve() in images:
                raise OutputError(f"{path} is an input image; choose another name for the output")
            if plan.makes_folders:
                _check_reachable(path)
            if path.parent.is_dir() or not plan.makes_folders:
                check_output(path, overwrite=plan.overwrite)


def _check_distinct(jobs: tuple[Job, ...]) -> None:
    """Some formats name a file by the stem of its image: two images may want the same."""
    taken: dict[Path | None, str] = {}
    for job in jobs:
        other = taken.setdefault(job.output, job.image.name)
        if other != job.image.name:
            raise OutputError(f"{other} and {job.image.name} would both be {job.output}; rename one of them")


def _check_reachable(path: Path) -> None:
    """Check that the folders that lead to an output exist or can be made."""
    ancestor = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not ancestor.is_dir():
        raise OutputError(f"{path} cannot be written: {ancestor} is not a folder; choose another place")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise OutputError(f"{path} cannot be written: {ancestor} is not writable; choose another folder")


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
