"""Planning of a detection run: which files are read and written, checked before any work."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from ..errors import OutputError, ParameterError
from ..features import Features
from ..formats import DEFAULT_FORMAT, FORMATS, Format, format_of
from ..formats._collections import WriteOptions, check_collection
from ..formats._registry import check_suffix
from ..io.masks import find_masks
from ..io.reading import STANDARD_INPUT
from ..io.work_list import ImageFile, Tell, find_images, names_several
from ..io.writing import check_output, is_new, is_special
from ..system.names import file_name, names_folder, same_file_key
from ..words import counted
from .pages import Page, at_page

STANDARD_OUTPUT = "-"


class Job(NamedTuple):
    """An image to process and where its outputs go."""

    image: ImageFile
    output: Path | None = None
    drawing: Path | None = None
    mask: Path | None = None


class Plan(NamedTuple):
    """Which files a detection run reads and writes; already checked."""

    jobs: tuple[Job, ...]
    format: str
    is_batch: bool
    """Whether several images, or a folder, were given: the outputs are then folders."""
    folder: Path | None
    """The output folder, if the outputs go to one."""
    to_stdout: bool
    overwrite: bool
    collection: WriteOptions | None = None
    """How the collection is opened, if all images go into one; it is then the output of every job."""
    page: Page = 1
    """The page as requested."""
    is_new: bool = False
    """Whether features are written where none were before."""

    @property
    def makes_folders(self) -> bool:
        """Whether missing output folders are created. The folder of a single named file must exist."""
        return self.is_batch or self.folder is not None

    @property
    def records_provenance(self) -> bool:
        """Whether outputs record what they were made from, so that an interrupted batch can resume."""
        return self.collection is not None or (self.folder is not None and self.format == DEFAULT_FORMAT)

    @property
    def resume_hint(self) -> str:
        """What to tell the user after an interruption."""
        if self.records_provenance:
            return "run the same command again to resume"
        return "finished images are kept; only a folder of npz files or a collection can be resumed"

    @property
    def failures_folder(self) -> Path | None:
        """The folder of the list of failures."""
        return self.jobs[0].output.parent if self.collection and self.jobs[0].output else self.folder

    @property
    def wants_rootsift(self) -> bool:
        """Whether programs that read the output expect RootSIFT."""
        return FORMATS[self.format].rootsift

    @property
    def has_stored_frame(self) -> bool:
        """Whether outputs and masks are in the frame of the stored pixels, without the EXIF orientation."""
        written = self.to_stdout or any(job.output for job in self.jobs)
        return written and FORMATS[self.format].stored_frame

    @property
    def loss(self) -> str:
        """One line on what the format of a new output cannot store; empty if it stores everything."""
        return FORMATS[self.format].loss if self.is_new else ""

    def frame_note(self, features: Features) -> str:
        """One line if coordinates are written in another frame than that of the features; else empty."""
        if features.exif_orientation == 1 or not self.has_stored_frame:
            return ""
        return (
            f"{features.image_name} has the EXIF orientation {features.exif_orientation}: coordinates are "
            f"written in the stored frame, as readers of {self.format} ignore the orientation"
        )


def make_plan(  # noqa: PLR0913  the options of a command
    inputs: Iterable[str | os.PathLike[str]],
    *,
    output: str | None = None,
    format: str | None = None,
    drawing: str | None = None,
    mask: str | None = None,
    mask_optional: bool = False,
    overwrite: bool = False,
    collection: WriteOptions | None = None,
    image_root: str | None = None,
    page: Page = 1,
    tell: Tell = lambda _line: None,
) -> Plan:
    """Choose which files are read and written, and check that they can be.

    Parameters
    ----------
    inputs
        Image files and folders.
    output
        For one image a file (a name with a suffix) or a folder (a name without). For several
        images a folder, in which each gets the file ``<relative name>.<format>``, or a collection
        (``.h5``, ``.db``, ``.parquet``). ``"-"`` is the standard output; None writes nothing.
    format
        Name of the format. By default it follows from the suffix of ``output``; npz in a folder.
    drawing
        A PNG file for one image, a folder for several.
    mask
        A mask for all images, or a folder of masks (see :func:`find_masks`), in the frame of the
        output (``Plan.has_stored_frame``).
    mask_optional
        Whether images may lack a mask in the folder.
    overwrite
        Whether existing files are replaced.
    collection
        Options of a collection: whether to append, and the cameras. Its ``images`` and
        ``overwrite`` are set here.
    image_root
        Folder that image names are relative to; by default the folder that all inputs share.
    page
        Page of files with several pages, from 1; ``"all"`` makes each page an image ``NAME[page]``.
    tell
        Called with one line of text about files in folders that are skipped.

    Raises
    ------
    InputError
        If a folder has no image.
    OutputError, ParameterError
        If the outputs exist, cannot be written or do not fit the inputs, or an image is outside the root.
    """
    names = [os.fspath(path) for path in inputs]
    if "" in (output, drawing, mask):
        raise ParameterError(
            "expected a path for -o, --draw or --mask, got an empty one; name a file or folder"
        )
    found = at_page(find_images(names, image_root, tell=tell, takes_standard_input=True), page)
    images, masks = (found, {}) if mask is None else find_masks(found, mask, is_optional=mask_optional)
    if len(images) < len(found):
        tell(f"skipped {counted(len(found) - len(images), 'mask')} among the images")
    is_batch = len(images) > 1 or any(names_several(name) for name in names)
    to_stdout = output == STANDARD_OUTPUT
    if to_stdout and (is_batch or format is None):
        raise ParameterError(
            "the standard output (-o -) expects one image and --format; pass both, or name a file or a folder"
        )
    file = None if output is None or to_stdout else Path(output)
    opened = _opened_collection(file, format, images, overwrite, collection)
    folder = file if file is not None and not opened and _is_folder_name(output or "", is_batch) else None
    entry = _format(None if folder else file, format)
    if file is not None and folder is None:
        check_suffix(file, entry)
    if to_stdout and entry.is_collection:
        raise ParameterError(
            f"{entry.name} is a collection, which cannot go to the standard output; name a file"
        )
    jobs = tuple(
        Job(
            image=image,
            output=folder / _name_in_folder(image, entry) if folder else file,
            drawing=_drawing(drawing, image, is_batch),
            mask=masks.get(image.name),
        )
        for image in images
    )
    starts = to_stdout or (file is not None and is_new(file))
    plan = Plan(jobs, entry.name, is_batch, folder, to_stdout, overwrite, opened, page, starts)
    if plan.records_provenance and images[0].path == STANDARD_INPUT:
        raise ParameterError(f"{output}: the standard input (-) goes to one file; name it: -o NAME.npz")
    _check_outputs(plan)
    return plan


def _opened_collection(
    file: Path | None,
    format: str | None,
    images: list[ImageFile],
    overwrite: bool,
    options: WriteOptions | None,
) -> WriteOptions | None:
    """How the output collection is opened; None if the output is not a collection."""
    options = options or WriteOptions()
    is_collection = file is not None and _names_collection(file, format)
    if options.append and not is_collection:
        raise ParameterError(
            "--append expects a collection as the output; name a .h5, .db or .parquet output"
        )
    if file is None or not is_collection:
        return None
    check_collection(file, format_of(file, format), overwrite=overwrite, append=True)
    return replace(options, images={image.name: image.path for image in images}, overwrite=overwrite)


def _names_collection(file: Path, format: str | None) -> bool:
    if format is not None:
        return FORMATS[format].is_collection if format in FORMATS else False
    return any(file.suffix.lower() in entry.suffixes for entry in FORMATS.values() if entry.is_collection)


def _is_folder_name(output: str, is_batch: bool) -> bool:
    path = Path(output)
    if path.is_dir() or names_folder(output):
        return True
    if is_batch and (os.path.lexists(path) or path.suffix.lower() in _file_suffixes()):
        raise ParameterError(f"{output}: several images need a folder or a collection, got a file; name one")
    return is_batch or not (path.suffix or is_special(path))


def _file_suffixes() -> set[str]:
    return {suffix for entry in FORMATS.values() for suffix in entry.suffixes}


def _format(file: Path | None, format: str | None) -> Format:
    """Find the format by its name, else by the file's suffix; npz for devices without a known suffix."""
    if format is None and (
        file is None or (is_special(file) and file.suffix.lower() not in _file_suffixes())
    ):
        format = DEFAULT_FORMAT
    return format_of(file or "", format)


def _name_in_folder(image: ImageFile, entry: Format) -> str:
    """Name of an image's output file. A page number is kept when the suffix is replaced (``a[3].feat``)."""
    page = f"[{image.page}]" if image.is_page else ""
    file = Path(image.name.removesuffix(page))
    name = str(file.with_name(file.stem + page + file.suffix)) if entry.replaces_suffix else image.name
    return entry.name_in_folder(name)


def _inside(folder: Path, image: ImageFile, suffix: str) -> Path:
    return folder / (file_name(image.name) + suffix)


def _drawing(drawing: str | None, image: ImageFile, is_batch: bool) -> Path | None:
    if drawing is None:
        return None
    path = Path(drawing)
    if is_batch:
        if os.path.lexists(path) and not path.is_dir():
            raise ParameterError(
                f"{drawing}: drawings of several images need a folder, got a file; name a folder"
            )
        return _inside(path, image, ".png")
    if path.suffix.lower() != ".png" and not is_special(path):
        raise ParameterError(f"{drawing}: expected a .png file for the drawing; use that suffix")
    return path


def _check_outputs(plan: Plan) -> None:
    # not Path.resolve, which raises on a loop of links
    images = {Path(os.path.realpath(job.image.path)) for job in plan.jobs}
    if plan.folder is not None:
        _check_distinct(plan.jobs)
    for job in plan.jobs:
        for path in (None if plan.collection else job.output, job.drawing):
            if path is None:
                continue
            if Path(os.path.realpath(path)) in images:
                raise OutputError(f"{path} is an input image; choose another name for the output")
            if plan.makes_folders:
                _check_reachable(path)
            if path.parent.is_dir() or not plan.makes_folders:
                check_output(path, overwrite=plan.overwrite or _may_resume(plan, job))


def _may_resume(plan: Plan, job: Job) -> bool:
    """Whether an existing output may be of an interrupted run; its provenance is checked at the start."""
    return plan.records_provenance and job.output is not None and job.output.exists()


def _check_distinct(jobs: tuple[Job, ...]) -> None:
    """Check that no two images share an output: some formats replace the image's suffix."""
    taken: dict[str, str] = {}
    for job in jobs:
        other = taken.setdefault(same_file_key(str(job.output)), job.image.name)
        if other != job.image.name:
            raise OutputError(f"{other} and {job.image.name} would both be {job.output}; rename one of them")


def _check_reachable(path: Path) -> None:
    """Check that the folders above an output exist or can be created."""
    ancestor = next(parent for parent in path.absolute().parents if os.path.lexists(parent))
    if not ancestor.is_dir():
        raise OutputError(f"{path} cannot be written: {ancestor} is not a folder; choose another place")
    if not os.access(ancestor, os.W_OK | os.X_OK):
        raise OutputError(f"{path} cannot be written: {ancestor} is not writable; choose another folder")
