"""hloc: ``features.h5``, a group for each image, named by its path relative to the folder of images.

``keypoints`` (N, 2), (0, 0) the centre of the top-left pixel of the stored image (hloc adds 0.5 itself
when it imports into COLMAP); ``descriptors`` (128, N) float32 of unit length, because hloc's matcher
takes 2·(1 − d₀·d₁) for a squared distance; ``scores``, if responses are known; ``scales`` (σ), ``oris``
(degrees) and ``image_size`` (width, height). All are float32: hloc's float16 rounds coordinates to half a
pixel.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from .._version import __version__
from ..errors import InputError, OutputError, StorageError
from ..features import Features
from ..io.writing import temporary_name
from ._base import Closing, refuse_replacing, unknown_image
from ._collections import WriteOptions
from ._conventions import in_stored_frame, known_scores, unit_length
from ._journaled import JournaledFile, finish_interrupted
from ._record import FeatureFile
from ._unit import features_of

IS_FOLDER = False
CONVENTION = (
    "hloc: x, y; (0, 0) is the centre of the top-left pixel of the stored image; scales are sigma, oris "
    "degrees clockwise on the screen; descriptors of unit length in Lowe's order"
)
_COMPLETE = "complete"
_PROVENANCE = "siftcli_origin"
_SETTINGS = "siftcli_settings"
MAKER = "siftcli"
_NAMES = ("keypoints", "descriptors", "scores", "scales", "oris", "image_size")
_SMALL_BYTES = 1 << 26
_MOST_COMPRESSION = 100
H5_ERRORS = (
    OSError,
    ValueError,
    RuntimeError,
    KeyError,
    TypeError,
    MemoryError,
    OverflowError,
    AttributeError,
)
"""Exceptions that h5py raises for damaged files."""


def open_writer(path: Path, options: WriteOptions) -> HlocWriter:
    """Open ``features.h5`` for writing."""
    return HlocWriter(path, options)


def open_reader(path: Path) -> HlocReader:
    """Open ``features.h5`` for reading."""
    return HlocReader(path)


def open_file(path: Path, mode: str) -> h5py.File:
    """Open an HDF5 file.

    Raises
    ------
    InputError
        If it is damaged or of another kind.
    """
    try:
        return h5py.File(path, mode)
    except H5_ERRORS as error:
        raise InputError(f"{path}: expected an HDF5 file ({_reason(error)}); write it again") from error


def key(name: str) -> str:
    """Return an image's name as the name of a group.

    Raises
    ------
    OutputError
        If it cannot be the name of a group; h5py accepts UTF-8 only.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise _no_name(name) from error
    if not name.strip("/") or "\0" in name:
        raise _no_name(name)
    return name


def create(path: Path, attributes: Mapping[str, str]) -> None:
    """Create an empty file, completely or not at all, so that a kill leaves no unreadable file."""
    temporary = temporary_name(path)
    try:
        with open_file(temporary, "x") as file:
            for name, text in {MAKER: __version__, **attributes}.items():
                file.attrs[name] = np.bytes_(text.encode("ascii"))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def open_in_steps(path: Path) -> tuple[JournaledFile, h5py.File]:
    """Open an existing file for changes, which ``commit`` of the journaled file makes permanent.

    Raises
    ------
    InputError, OutputError
        If it is damaged or of another kind, or in use.
    """
    try:
        storage = JournaledFile(path)
    except OSError as error:
        raise OutputError(f"{path} cannot be written: {error.strerror}; is it in use?") from error
    try:
        return storage, h5py.File(storage, "r+")
    except H5_ERRORS as error:
        storage.close()
        raise InputError(f"{path}: expected an HDF5 file ({_reason(error)}); write it again") from error


def close_in_steps(storage: JournaledFile, file: h5py.File) -> None:
    """Close a file opened by :func:`open_in_steps`."""
    file.close()
    with contextlib.suppress(OSError):  # complete images have been committed already
        storage.commit()
    storage.close()


def write_dataset(group: h5py.Group, name: str, array: NDArray[Any]) -> None:
    """Create a data set as ``create_dataset`` does, in half its time; a large part of that of an image."""
    settings = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    settings.set_obj_track_times(False)  # the same content, the same bytes
    kind, shape = h5py.h5t.py_create(array.dtype, logical=True), h5py.h5s.create_simple(array.shape)
    created = h5py.h5d.create(group.id, name.encode(), kind, shape, settings)
    created.write(h5py.h5s.ALL, h5py.h5s.ALL, np.ascontiguousarray(array))


def cannot_write(path: Path, name: str, error: Exception) -> OutputError:
    """Return the error for something that cannot be written."""
    kind = StorageError if isinstance(error, OSError | RuntimeError) else OutputError
    return kind(f"{path}: {name} cannot be written ({_reason(error)})")


def _no_name(name: str) -> OutputError:
    return OutputError(f"{name!r} cannot be the name of an image in an HDF5 file; rename the image")


class HlocWriter(Closing):
    """Writes one group per image, marked as complete, in one step."""

    def __init__(self, path: Path, options: WriteOptions) -> None:
        self.path, self.overwrite = path, options.overwrite
        if not (options.append and path.exists()):
            settings = {_SETTINGS: options.settings} if options.settings else {}
            create(path, {"convention": CONVENTION, **settings})
        self.storage, self.file = open_in_steps(path)

    def has(self, name: str) -> bool:
        """Whether it has the complete features of this image."""
        with reading_errors(self.path):
            group = self.file.get(key(name))
            return isinstance(group, h5py.Group) and "keypoints" in group and is_complete(group)

    def n_images(self) -> int:
        """Number of images whose features it has."""
        return len(_complete_groups(self.path, self.file))

    def settings(self) -> str | None:
        """Settings recorded in the file; None if there are none."""
        with reading_errors(self.path):
            return text_attribute(self.file, _SETTINGS)

    def provenance(self, name: str) -> str | None:
        """What the features of an image were made from; None if it is not recorded."""
        with reading_errors(self.path):
            return text_attribute(self.file[key(name)], _PROVENANCE)

    def write(self, name: str, features: Features, provenance: str = "") -> None:
        """Write the features of an image."""
        if self.has(name) and not self.overwrite:
            raise refuse_replacing(self.path, name)
        try:
            group = self.file.require_group(key(name))
            group.attrs[_COMPLETE] = False
            _remove_datasets(group)
            for dataset, array in _arrays(in_stored_frame(features)).items():
                write_dataset(group, dataset, array)
            group.attrs["descriptor_kind"] = np.bytes_(features.descriptor_kind)
            if provenance or _PROVENANCE in group.attrs:
                group.attrs[_PROVENANCE] = np.bytes_(provenance.encode("ascii"))
            group.attrs.modify(_COMPLETE, True)
            self.file.flush()
            self.storage.commit()
        except H5_ERRORS as error:
            raise cannot_write(self.path, name, error) from error

    def close(self) -> None:
        """Close the file."""
        close_in_steps(self.storage, self.file)


class HlocReader(Closing):
    """Reads ``features.h5``, hloc's own included."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with contextlib.suppress(
            OSError
        ):  # for example a read-only file; errors of reading are reported below
            finish_interrupted(path)
        self.file = open_file(path, "r")
        self.n_bytes = path.stat().st_size

    def names(self) -> list[str]:
        """Names of its images, sorted, without groups that an interrupted siftcli left unfinished."""
        return sorted(_complete_groups(self.path, self.file))

    def read(self, name: str) -> FeatureFile:
        """Read the features of an image.

        Raises
        ------
        InputError
            If there are none, or they are damaged.
        """
        with reading_errors(self.path):
            group = self.file.get(key(name))
            if not isinstance(group, h5py.Group) or "keypoints" not in group:
                raise unknown_image(self.path, name, self.names())
            arrays = {n: read_dataset(group[n], self.n_bytes) for n in _NAMES if n in group}
            if "descriptors" not in arrays:
                raise InputError(f"{self.path}: {name} has no descriptors; write it again")
            arrays["descriptors"] = arrays["descriptors"].T
            arrays["descriptor_kind"] = np.array(text_attribute(group, "descriptor_kind") or "sift")
            return features_of("hloc", CONVENTION, arrays, image_name=name)

    def stored(self, name: str) -> tuple[int, tuple[int, int]]:
        """Number of the features of an image, and its size; (0, 0) if that is unknown."""
        with reading_errors(self.path):
            group = self.file[key(name)]
            shape = group["keypoints"].shape
            size = read_dataset(group["image_size"], self.n_bytes) if "image_size" in group else np.zeros(2)
            if len(shape) != 2 or size.shape != (2,):
                raise InputError(f"expected rows of keypoints and a size of {name}")
            return int(shape[0]), (int(size[0]), int(size[1]))

    def provenance(self, name: str) -> str | None:
        """What the features of an image were made from; None if it is not recorded."""
        with reading_errors(self.path):
            return text_attribute(self.file[key(name)], _PROVENANCE)

    def close(self) -> None:
        """Close the file."""
        self.file.close()


def _complete_groups(path: Path, file: h5py.File) -> list[str]:
    """Names of the images whose features are there."""
    found: list[str] = []

    def visit(name: str, item: Any) -> None:
        if isinstance(item, h5py.Group) and "keypoints" in item and is_complete(item):
            found.append(name)

    with reading_errors(path):
        file.visititems(visit)  # hard links only, each object once: no cycles, no other files
    return found


def is_complete(group: h5py.Group) -> bool:
    """Whether a group is complete. Groups of other programs have no mark and count as complete."""
    if _COMPLETE not in group.attrs:
        return True
    mark = group.attrs.get_id(_COMPLETE)
    return bool(mark.shape == () and mark.dtype == np.bool_ and group.attrs[_COMPLETE])


def text_attribute(item: Any, name: str) -> str | None:
    """Read an attribute of fixed-length text, or None without one.

    Texts of variable length are neither written nor read: a damaged heap of them can make the HDF5
    library loop forever.
    """
    if name not in item.attrs:
        return None
    found = item.attrs.get_id(name)
    if found.shape != () or found.dtype.kind != "S":
        raise InputError(f"expected the attribute {name} as text of fixed length")
    return bytes(item.attrs[name]).decode("utf-8", "replace")


def read_dataset(dataset: Any, n_bytes: int) -> NDArray[Any]:
    """Read an array, unless it is larger than a file of ``n_bytes`` can store.

    Raises
    ------
    InputError
        If it is too large, not an array of numbers, or stored in another file.
    """
    if not isinstance(dataset, h5py.Dataset) or dataset.dtype.kind not in "iuf" or dataset.shape is None:
        raise InputError("expected arrays of numbers")
    if dataset.is_virtual or dataset.external:
        raise InputError("expected arrays in the file itself, got one stored in another")
    if dataset.nbytes > max(_SMALL_BYTES, _MOST_COMPRESSION * n_bytes):
        raise InputError(f"it claims an array of {dataset.nbytes} bytes in a file of {n_bytes}")
    return np.asarray(dataset[()])


def _remove_datasets(group: h5py.Group) -> None:
    """Remove the datasets of a group's image, but not subgroups, which belong to other images."""
    for name in list(group):
        is_own = isinstance(group.get(name, getlink=True), h5py.HardLink)
        if not (is_own and isinstance(group[name], h5py.Group)):
            del group[name]


def _arrays(features: Features) -> dict[str, NDArray[Any]]:
    return {
        "keypoints": features.xy,
        "descriptors": np.ascontiguousarray(unit_length(features.descriptors).T),
        **known_scores("scores", features),
        "scales": features.scale,
        "oris": np.rad2deg(features.orientation.astype(np.float64)).astype(np.float32),
        "image_size": np.array(features.image_size, np.int32),
    }


@contextlib.contextmanager
def reading_errors(path: Path) -> Iterator[None]:
    """Convert exceptions for a damaged file into one-line errors."""
    try:
        yield
    except InputError as error:
        text = str(error)
        raise InputError(text if text.startswith(str(path)) else f"{path}: {text}; write it again") from error
    except H5_ERRORS as error:
        raise InputError(f"{path}: damaged HDF5 file ({_reason(error)}); write it again") from error


def _reason(error: BaseException) -> str:
    return " ".join(str(error).split())[:120]
