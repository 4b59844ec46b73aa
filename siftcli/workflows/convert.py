"""Conversion between formats, from a file, a folder of files or a collection to any of these."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from os import PathLike
from pathlib import Path, PurePath

from ..errors import InputError, OutputError, ParameterError, SiftcliError
from ..features import Features
from ..formats import DEFAULT_FORMAT, FORMATS, Format, format_of, inspect, save, save_inside
from ..formats._alicevision import Views
from ..formats._collections import Reader, WriteOptions, check_collection, open_reader, open_writer
from ..formats._registry import check_suffix
from ..image import read_image
from ..io.writing import check_output, is_new
from ..system.names import file_name, names_folder, same_file_key

_Item = tuple[str, Features | str]
"""Name of an image, and its features or the reason why there are none."""
_BY_VIEWS = "openmvg"
"""The format that AliceVision reads, from files named by view ids."""
_Write = Callable[[str, Features], None]


@dataclass(frozen=True)
class Conversion:
    """What is converted, from where to where; already checked."""

    source: str
    source_format: str | None
    target: str
    target_format: Format
    names: tuple[str, ...] | None
    """Images of the source; None for a single file."""
    images: str | None
    """Folder of the images, for their size and EXIF tags."""
    is_new: bool
    """Whether features are written where none were before."""
    is_folder: bool
    """Whether the target is a folder of files."""
    options: WriteOptions
    views: Views | None = None
    """Views that give the target's files the names AliceVision expects."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Source file name to image name, if the source's files are named by views."""
    n_without_image: int = 0
    """Number of images of the source that the folder of images has not."""

    @property
    def loss(self) -> str:
        """One line on what a new target cannot store; empty if it stores everything."""
        return self.target_format.loss if self.is_new else ""

    def image_name(self, name: str) -> str:
        """Image name of the features that the source has under this name."""
        return self.renamed.get(name, name)

    def file_name(self, name: str) -> str:
        """Name of an image's file in the target folder.

        Raises
        ------
        InputError
            If no view, or more than one, shows the image.
        OutputError
            If the file would lie outside the folder.
        """
        if self.views is not None:
            return self.views.file_name(name, _image_file(self.images, name))
        if not is_inside(file_name(name)):
            raise OutputError(f"{name!r} would lie outside {self.target}; convert it to a collection instead")
        return self.target_format.name_in_folder(name)


@dataclass(frozen=True)
class Converted:
    """What became of an image: the number of features, or the reason why there are none."""

    name: str
    n_features: int = 0
    error: str | None = None


def plan_conversion(
    source: str,
    target: str,
    *,
    from_: str | None = None,
    to: str | None = None,
    images: str | None = None,
    view_ids: str | None = None,
    options: WriteOptions | None = None,
) -> Conversion:
    """Choose what is read and written, and check that it can be.

    Parameters
    ----------
    source
        A feature file, a folder of them, or a collection.
    target
        A file, a collection, or a folder (a name without a known suffix, for several images).
    from_, to
        Names of the formats; by default chosen by the suffixes, npz for a folder.
    images
        Folder of the images.
    view_ids
        AliceVision's ``.sfm`` file, by whose view ids openmvg files of the target (or else of the source)
        are named.
    options
        How a collection is opened.

    Raises
    ------
    InputError
        If the source cannot be read, or the views do not match it.
    OutputError, ParameterError
        If the target is unsuitable, exists, or cannot be written.
    """
    options = options or WriteOptions()
    if target in ("", "-"):
        raise ParameterError(f"expected a file or a folder to convert to, got {target!r}; give one")
    names = _names(source, from_)
    entry, is_folder = _target_format(target, to, several=names is not None and len(names) != 1)
    if not is_folder:
        check_suffix(target, entry)
    if not entry.is_collection and options.append:
        raise ParameterError(
            "--append expects a collection as the output; name a .h5, .db or .parquet output"
        )
    if os.path.realpath(source) == os.path.realpath(target):
        raise OutputError(f"{target} is the input; name another output")
    _check_distinct(names or [], entry, target)
    if entry.is_collection:
        check_collection(target, entry, overwrite=options.overwrite, append=options.append)
    elif not is_folder:
        check_output(target, overwrite=options.overwrite)
    listed, starts = None if names is None else tuple(names), is_new(target)
    plan = Conversion(source, from_, target, entry, listed, images, starts, is_folder, options)
    plan = plan if view_ids is None else _with_views(plan, view_ids)
    return replace(plan, n_without_image=_n_without_image(plan))


def _with_views(plan: Conversion, path: str) -> Conversion:
    """Name the files of the target, or else of the source, by the views of an ``.sfm`` file."""
    if plan.target_format.name == _BY_VIEWS and plan.is_folder:
        views = Views(path)
        views.check_distinct({name: _image_file(plan.images, name) for name in plan.names or ()})
        return replace(plan, views=views)
    if plan.source_format == _BY_VIEWS and plan.names is not None:
        return replace(plan, renamed=Views(path).image_names(plan.names, plan.images))
    raise ParameterError(
        f"--view-ids expects a folder of {_BY_VIEWS} files; pass --to {_BY_VIEWS} and a folder to write, "
        f"or --from {_BY_VIEWS} and a folder to read"
    )


def _n_without_image(plan: Conversion) -> int:
    """Number of images that the folder of images has not. For names from views it need not be there.

    Raises
    ------
    ParameterError
        If it has none of them.
    """
    if plan.images is None or plan.renamed:
        return 0
    if not Path(plan.images).is_dir():
        raise ParameterError(f"--images must be a folder; got {plan.images}")
    names = plan.names or ()
    missing = [name for name in names if _image_file(plan.images, name) is None]
    if names and len(missing) == len(names):
        raise _no_image(plan.images, missing[0])
    return len(missing)


def _no_image(folder: str, name: str) -> ParameterError:
    return ParameterError(
        f"--images has no effect: {folder} has no image of the source, such as {name}; give the folder that "
        "the names are relative to, or drop --images"
    )


def convert(plan: Conversion) -> Iterator[Converted]:
    """Convert image by image, in the order of their names.

    Raises
    ------
    InputError, OutputError
        If the source or the target cannot be opened.
    """
    if plan.names is None:
        features = inspect(plan.source, plan.source_format).features
        name = features.image_name or _stem(plan.source)
        if plan.images is not None and _image_file(plan.images, name) is None:
            raise _no_image(plan.images, name)
        yield from _write_all(plan, [(name, features)])
        return
    with open_reader(plan.source, plan.source_format) as reader:
        yield from _write_all(plan, _read_all(reader, plan))


def _read_all(reader: Reader, plan: Conversion) -> Iterator[_Item]:
    for stored in plan.names or ():
        name = plan.image_name(stored)
        try:
            features = reader.read(stored).features
            yield name, replace(features, image_name=name) if plan.renamed else features
        except SiftcliError as error:
            yield name, str(error)


def _names(source: str, format: str | None) -> list[str] | None:
    """Images of a collection or a folder; None for a file of one image."""
    if not Path(source).exists():
        raise InputError(f"{source}: no such file; check the path")
    if not Path(source).is_dir():
        try:
            entry = format_of(source, format)
        except OutputError as error:
            raise InputError(str(error)) from error
        if not entry.is_collection:
            return None
    with open_reader(source, format) as reader:
        return reader.names()


def _target_format(target: str, format: str | None, *, several: bool) -> tuple[Format, bool]:
    """Find the format, and whether the target is a folder of such files."""
    is_folder = Path(target).is_dir() or names_folder(target) or not Path(target).suffix
    if format is None and is_folder and Path(target).suffix not in FORMATS["parquet"].suffixes:
        return FORMATS[DEFAULT_FORMAT], True
    entry = format_of(target, format)
    if entry.is_collection:
        return entry, False
    if several and not is_folder:
        raise ParameterError(f"{target}: several images need a folder or a collection, got a file; name one")
    return entry, is_folder


def _check_distinct(names: Iterable[str], entry: Format, target: str) -> None:
    """Check that no two images of the source have the same place in the target.

    ``./a.png`` and ``a.png`` are the same file and the same HDF5 group, and some formats replace the
    image's suffix.
    """
    taken: dict[object, str] = {}
    for name in names:
        if not (entry.is_collection or is_inside(file_name(name))):
            continue  # reported when it is written
        place = _place(name, entry)
        other = taken.setdefault(place, name)
        if other != name:
            raise OutputError(f"{other} and {name} would both be {place} in {target}; rename one of them")


def _place(name: str, entry: Format) -> str:
    """The file, group or name of an image in the target."""
    if not entry.is_collection:
        return same_file_key(str(PurePath(entry.name_in_folder(name))))
    return str(PurePath(name.lstrip("/"))) if entry.name == "hloc" else name


def _stem(source: str) -> str:
    """Image name if the file does not contain it: the file name without the format's suffix."""
    return Path(source).with_suffix("").name


def _write_all(plan: Conversion, found: Iterable[_Item]) -> Iterator[Converted]:
    if not plan.target_format.is_collection:
        yield from (_converted(*item, partial(_write_file, plan), plan) for item in found)
        return
    found = list(found) if plan.names is None else found
    names = [plan.image_name(name) for name in plan.names or [name for name, _ in found]]
    images = {name: _image_file(plan.images, name) for name in names}
    options = replace(plan.options, images=images)
    with open_writer(plan.target, plan.target_format.name, options) as writer:
        yield from (_converted(*item, writer.write, plan) for item in found)


def _converted(name: str, features: Features | str, write: _Write, plan: Conversion) -> Converted:
    if isinstance(features, str):
        return Converted(name, error=features)
    try:
        write(name, _completed(features, name, plan.images))
    except SiftcliError as error:
        return Converted(name, error=str(error))
    return Converted(name, len(features))


def _completed(features: Features, name: str, folder: str | None) -> Features:
    """Add the image's name and size if the source does not have them."""
    path = _image_file(folder, name)
    if min(features.image_size) > 0 or path is None:
        return replace(features, image_name=features.image_name or name)
    size = read_image(path, exif_orientation="ignore").input_size
    return replace(features, image_size=size, image_name=features.image_name or name)


def _image_file(folder: str | None, name: str) -> str | None:
    """Path of the image with this name; None if it is missing or outside the folder."""
    if folder is None or not is_inside(name):
        return None
    path = Path(folder, name)
    return str(path) if path.is_file() else None


def is_inside(name: str | PathLike[str]) -> bool:
    """Whether a relative name stays inside its folder."""
    path = PurePath(name)  # Windows has names that are not absolute and yet lead elsewhere: "C:a", "\\a"
    return bool(path.parts) and not path.anchor and ".." not in path.parts and "\0" not in str(name)


def _write_file(plan: Conversion, name: str, features: Features) -> None:
    path = Path(plan.target)
    if plan.is_folder:
        path /= plan.file_name(name)
        path.parent.mkdir(parents=True, exist_ok=True)
    write = save_inside if plan.is_folder else save
    write(features, path, plan.target_format.name, overwrite=plan.options.overwrite)
