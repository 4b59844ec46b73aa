"""Collections: files and folders that store the features of many images.

A writer finishes every image in one step (a transaction, a journaled commit, a rename), so that after a
kill each image is either complete or missing.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from ..errors import InputError, OutputError
from ..features import Features
from ..io.writing import is_special
from ._record import FeatureFile
from ._registry import DEFAULT_CAMERA, DEFAULT_CAMERA_MODEL, FORMATS, Format, format_of

if TYPE_CHECKING:
    from ..matching.cameras import Camera


@dataclass(frozen=True, kw_only=True)
class WriteOptions:
    """How a collection is opened for writing."""

    images: Mapping[str, str | None] = field(default_factory=dict)
    """Names of all images that may be written, with their files, if any, for EXIF tags."""
    overwrite: bool = False
    """Replace the collection; with ``append``, replace features of existing images."""
    append: bool = False
    """Add to an existing collection."""
    camera: str = DEFAULT_CAMERA
    """How images share cameras in a COLMAP database: one of ``CAMERA_CHOICES``."""
    camera_model: str = DEFAULT_CAMERA_MODEL
    """COLMAP's camera model."""
    pose_priors: bool = True
    """Whether a COLMAP database gets position and gravity from EXIF tags; COLMAP 3.10 to 3.13 cannot open
    a file that has them."""
    settings: str = ""
    """Settings recorded in a new collection, in ASCII, so that an interrupted run can resume."""


class Writer(Protocol):
    """A collection open for writing."""

    def has(self, name: str) -> bool:
        """Whether the collection has the complete features of this image."""

    def write(self, name: str, features: Features, provenance: str = "") -> None:
        """Write the features of an image, and what they were made from, completely or not at all."""

    def n_images(self) -> int:
        """Number of images whose features it has."""

    def settings(self) -> str | None:
        """Settings recorded in the collection; None if there are none, empty if it has no image yet."""

    def provenance(self, name: str) -> str | None:
        """What the features of an image were made from; None if it is not recorded."""

    def close(self) -> None:
        """Close the collection."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


@runtime_checkable
class WithCameras(Protocol):
    """A collection that stores cameras."""

    def camera(self, name: str) -> Camera | None:
        """The camera of an image; None if it is not known."""


@runtime_checkable
class MadeWith(Protocol):
    """A collection that records options of its making which only it has."""

    def made_with(self) -> dict[str, str | bool]:
        """The values of these fields of :class:`WriteOptions`; empty if they are not recorded."""


class Reader(Protocol):
    """A collection open for reading."""

    def names(self) -> list[str]:
        """Names of its images, sorted."""

    def read(self, name: str) -> FeatureFile:
        """Read the features of an image."""

    def stored(self, name: str) -> tuple[int, tuple[int, int]]:
        """Number of the features of an image, and its width and height as stored; (0, 0) if unknown.

        The features themselves are not read where the format allows it.
        """

    def provenance(self, name: str) -> str | None:
        """What the features of an image were made from; None if it is not recorded."""

    def close(self) -> None:
        """Close the collection."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def check_collection(
    path: str | PathLike[str], entry: Format, *, overwrite: bool = False, append: bool = False
) -> None:
    """Check that a collection can be written.

    Raises
    ------
    OutputError
        If it exists and may be neither replaced nor added to, or cannot be written.
    MissingDependencyError
        If it needs a package that is not installed.
    """
    name, target = os.fspath(path), Path(path)
    _ = entry.codec
    if os.path.lexists(target):
        if is_special(target) or target.is_dir() != entry.codec.IS_FOLDER:
            kind = "a folder" if entry.codec.IS_FOLDER else "a file"
            raise OutputError(f"{name}: expected {kind} for {entry.name}; choose another name")
        if not (overwrite or append):
            raise OutputError(
                f"{name} exists; pass --overwrite to replace it or --append to add images to it"
            )
    folder = target.absolute().parent
    if not folder.is_dir():
        raise OutputError(f"{name} cannot be written: {folder} is not a folder; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise OutputError(f"{name} cannot be written: {folder} is not writable; choose another folder")


def open_writer(
    path: str | PathLike[str], format: str | None = None, options: WriteOptions | None = None
) -> Writer:
    """Open a collection for writing.

    Raises
    ------
    InputError, OutputError
        If an existing file is not such a collection, or may not be changed.
    """
    options = options or WriteOptions()
    entry = format_of(path, format)
    check_collection(path, entry, overwrite=options.overwrite, append=options.append)
    writer: Writer = entry.codec.open_writer(Path(path), options)
    return writer


def open_reader(path: str | PathLike[str], format: str | None = None) -> Reader:
    """Open a collection, or a folder of feature files, for reading.

    Raises
    ------
    InputError
        If it is missing, damaged or of another kind.
    """
    if not os.path.exists(path):  # noqa: PTH110  Path.exists raises for a name that is too long
        raise InputError(f"{os.fspath(path)}: no such file; check the path")
    if is_special(path):
        raise InputError(f"{os.fspath(path)}: expected a file or a folder, got a pipe or device; name a file")
    entry = None if format is None and Path(path).is_dir() else _readable(path, format)
    if Path(path).is_dir() and Path(path).suffix.lower() in FORMATS["parquet"].suffixes:
        entry = FORMATS["parquet"]
    if entry is None or not entry.is_collection:
        if not Path(path).is_dir():
            raise InputError(f"{os.fspath(path)}: expected a collection or a folder of feature files")
        from ._folder import FolderReader

        return FolderReader(Path(path), entry)
    reader: Reader = entry.codec.open_reader(Path(path))
    return reader


def _readable(path: str | PathLike[str], format: str | None) -> Format:
    try:
        entry = format_of(path, format)
    except OutputError as error:
        raise InputError(str(error)) from error
    if not entry.can_read:
        raise InputError(f"{os.fspath(path)}: {entry.name} files cannot be read; give another file")
    return entry
