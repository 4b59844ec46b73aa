"""Saving and loading features: a registry, and one module per format.

The module of a format with one file per image has ``encode(features) -> bytes`` and
``decode(bytes) -> FeatureFile``, or ``encode_pair`` and ``decode_pair`` if two files belong together.
The module of a collection has ``open_writer`` and ``open_reader``. Modules are imported when they are
first used. Units and conventions are converted in these modules only. To add a format, write its module
and register it in ``FORMATS``.
"""

from __future__ import annotations

import codecs
import os
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING

from ..errors import InputError, OutputError
from ..io.limits import MAX_FILE_BYTES
from ..io.reading import read_bytes
from ..io.writing import check_output, write_inside, write_output
from ..words import counted
from ._registry import (
    CAMERA_CHOICES,
    CAMERA_MODELS,
    CONTENT,
    DEFAULT_CAMERA,
    DEFAULT_CAMERA_MODEL,
    DEFAULT_FORMAT,
    FAILURES,
    FAILURES_HEADER,
    FORMATS,
    PAIR_FAILURES,
    PAIR_FAILURES_HEADER,
    Format,
    format_of,
    is_feature_name,
)

if TYPE_CHECKING:
    from ..features import Features
    from ._record import FeatureFile

__all__ = [
    "CAMERA_CHOICES",
    "CAMERA_MODELS",
    "CONTENT",
    "DEFAULT_CAMERA",
    "DEFAULT_CAMERA_MODEL",
    "DEFAULT_FORMAT",
    "FAILURES",
    "FAILURES_HEADER",
    "FORMATS",
    "PAIR_FAILURES",
    "PAIR_FAILURES_HEADER",
    "Format",
    "encode",
    "format_of",
    "inspect",
    "is_feature_name",
    "load",
    "save",
    "save_inside",
]


def encode(features: Features, name: str) -> bytes:
    """Encode features as the content of a file in the named format.

    Raises
    ------
    OutputError
        If the format is unknown, or needs more than one file, or is a collection.
    """
    codec = format_of("", name).codec
    if not hasattr(codec, "encode"):
        raise OutputError(f"{name} needs several files or is a collection; give an output with -o")
    return bytes(codec.encode(features))


def save(
    features: Features, path: str | PathLike[str], format: str | None = None, *, overwrite: bool = False
) -> None:
    """Save features to a file, completely or not at all.

    Parameters
    ----------
    features
        Features of one image.
    path
        The file; its suffix determines the format. A collection (``.h5``, ``.db``, ``.parquet``) is
        created with one image, ``features.image_name``.
    format
        Name of the format, one of ``FORMATS``; by default chosen by the suffix.
    overwrite
        Whether an existing file is replaced.

    Raises
    ------
    OutputError
        If the format is unknown, the file exists, or it cannot be written.

    Examples
    --------
    >>> import siftcli
    >>> features = siftcli.detect("sample_images/camera.png", max_features=500)
    >>> siftcli.save(features, "camera.npz", overwrite=True)
    >>> siftcli.save(features, "camera.csv", overwrite=True)
    """
    entry = format_of(path, format)
    if entry.is_collection:
        _save_alone(features, path, entry, overwrite=overwrite)
        return
    files = _files(path, entry)
    for file in files:
        check_output(file, overwrite=overwrite)
    for file, data in zip(files, _parts(features, path, entry), strict=True):
        write_output(file, data, overwrite=overwrite)


def save_inside(
    features: Features, path: str | PathLike[str], format: str, *, overwrite: bool = False
) -> None:
    """Save features as :func:`save` does, but replace links instead of following them.

    For files in a folder whose names siftcli chose.

    Raises
    ------
    OutputError
        If the file exists, or cannot be written.
    """
    entry = format_of(path, format)
    files = _files(path, entry)
    if existing := [file for file in files if os.path.lexists(file) and not overwrite]:
        raise OutputError(f"{os.fspath(existing[0])} exists; pass --overwrite to replace it")
    for file, data in zip(files, _parts(features, path, entry), strict=True):
        write_inside(file, data, overwrite=overwrite)


def _files(path: str | PathLike[str], entry: Format) -> list[str | PathLike[str]]:
    second = entry.companion(path)
    return [path] if second is None else [path, second]


def _parts(features: Features, path: str | PathLike[str], entry: Format) -> list[bytes]:
    """Content of each file."""
    if entry.companion(path) is None:
        return [entry.codec.encode(features)]
    return list(entry.codec.encode_pair(features))


def _save_alone(features: Features, path: str | PathLike[str], entry: Format, *, overwrite: bool) -> None:
    """Create a collection with one image."""
    from ._collections import WriteOptions, open_writer

    if not features.image_name:
        raise OutputError(f"{os.fspath(path)}: a collection needs the image's name; set features.image_name")
    options = WriteOptions(images={features.image_name: None}, overwrite=overwrite)
    with open_writer(path, entry.name, options) as writer:
        writer.write(features.image_name, features)


def load(path: str | PathLike[str], format: str | None = None, *, image: str | None = None) -> Features:
    """Load features from a file.

    Parameters
    ----------
    path
        The file; its suffix determines the format.
    format
        As for :func:`save`.
    image
        Name of the image, for a collection of several images.

    Returns
    -------
    Features
        Exactly as saved, in siftcli's own formats (npz, csv, json, jsonl, parquet). Values that
        another format does not store are 1 (sign), 0 (response, orientation) or derived from the
        scale (octave). An unknown ``image_size`` is (0, 0).

    Raises
    ------
    InputError
        If the file is missing, damaged or of another format, or does not contain the image.

    Examples
    --------
    >>> import siftcli
    >>> features = siftcli.detect("sample_images/camera.png", max_features=500)
    >>> siftcli.save(features, "camera.npz", overwrite=True)
    >>> siftcli.load("camera.npz")
    <Features: 500 keypoints of 'camera.png', 512 x 512 px, sigma ... px, rootsift>
    """
    return inspect(path, format, image=image).features


def inspect(path: str | PathLike[str], format: str | None = None, *, image: str | None = None) -> FeatureFile:
    """Load features together with the format, version and convention of their file.

    Parameters and errors are those of :func:`load`.
    """
    name = os.fspath(path)
    try:
        entry = format_of(path, format)
    except OutputError as error:
        _check_there(name)
        raise InputError(str(error)) from error
    if not entry.can_read:
        raise InputError(f"{name}: {entry.name} files cannot be read; load the features from another format")
    if entry.is_collection:
        return _inspect_in_collection(name, entry, image)
    content = _decoded(name, path, entry)
    if image is not None and image not in ("", content.features.image_name):
        content = content._replace(features=replace(content.features, image_name=image))
    return content


def _decoded(name: str, path: str | PathLike[str], entry: Format) -> FeatureFile:
    second = entry.companion(path)
    parts = [_read(name)] if second is None else [_read(name), _read(os.fspath(second))]
    if not entry.is_binary:
        parts = [part.removeprefix(codecs.BOM_UTF8) for part in parts]
    try:
        content: FeatureFile = (
            entry.codec.decode(*parts) if second is None else entry.codec.decode_pair(*parts)
        )
    except MemoryError as error:
        raise InputError(f"{name}: not enough memory to read it; split it, or add memory") from error
    except InputError as error:
        made = "siftcli " if not entry.lacks else ""
        raise InputError(
            f"{name}: expected a {made}{entry.name} file: {error}; write it again with siftcli detect"
        ) from error
    return content


def _inspect_in_collection(name: str, entry: Format, image: str | None) -> FeatureFile:
    from ._collections import open_reader

    with open_reader(name, entry.name) as reader:
        if image is not None:
            return reader.read(image)
        names = reader.names()
        if len(names) != 1:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise InputError(f"{name} holds {counted(len(names), 'image')}; name one of them: {shown}")
        return reader.read(names[0])


def _check_there(name: str) -> None:
    """Report a missing file before an unknown suffix."""
    _read(name)


def _read(name: str) -> bytes:
    try:
        return read_bytes(name, MAX_FILE_BYTES)
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    except FileNotFoundError as error:
        raise InputError(f"{name}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise InputError(f"{name}: expected a feature file, got a folder; name a file in it") from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name}: cannot be read ({reason}); check the path and its permissions") from error
